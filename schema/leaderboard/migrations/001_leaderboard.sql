-- What the set keeps in PostgreSQL: what each kind of event is worth, the events, and the totals of the boards.

-- Options of the set. Change them with UPDATE; README.md says what must be done then.
CREATE TABLE sprockets.leaderboard_settings (
  one           boolean PRIMARY KEY DEFAULT true CHECK (one),                              -- there is one row
  project_scope text NOT NULL DEFAULT 'project' CHECK (project_scope IN ('project', 'plain')),  -- leaderboard:project:7:… or leaderboard:7:…
  keep_after    interval NOT NULL DEFAULT '0' CHECK (keep_after >= '0')                    -- how long a board outlives its period
);
INSERT INTO sprockets.leaderboard_settings DEFAULT VALUES;

CREATE TABLE sprockets.leaderboard_points (
  event  text PRIMARY KEY,
  points integer NOT NULL
);
INSERT INTO sprockets.leaderboard_points VALUES
  ('pull_request_opened', 1), ('pull_request_closed', 2), ('pull_request_review', 3), ('issue_opened', 4), ('issue_closed', 5),
  ('issue_comment', 6), ('commit_push', 7);

-- The member of an event's JSON that holds the payload, in each spelling, and with it the type of the event: protobuf's own names, their
-- JSON names, and both without `payload`. A review counts for the reviewer.
CREATE TABLE sprockets.leaderboard_payloads (
  member text PRIMARY KEY,
  event  text NOT NULL REFERENCES sprockets.leaderboard_points,
  users  text[] NOT NULL  -- the names that the user's id may have in it
);
INSERT INTO sprockets.leaderboard_payloads
SELECT member, event, users
FROM (VALUES
  ('pr_opened', 'prOpened', 'pull_request_opened', '{user_id,userId}'::text[]),
  ('pr_closed', 'prClosed', 'pull_request_closed', '{user_id,userId}'),
  ('pr_review', 'prReview', 'pull_request_review', '{reviewer_user_id,reviewerUserId}'),
  ('issue_opened', 'issueOpened', 'issue_opened', '{user_id,userId}'),
  ('issue_closed', 'issueClosed', 'issue_closed', '{user_id,userId}'),
  ('issue_commented', 'issueCommented', 'issue_comment', '{user_id,userId}'),
  ('push', 'push', 'commit_push', '{user_id,userId}')
) AS named (snake, camel, event, users)
CROSS JOIN LATERAL (SELECT snake UNION SELECT camel UNION SELECT snake || '_payload' UNION SELECT camel || 'Payload') AS spelling (member);

-- Every event that was counted, once, whoever delivered it and how often.
CREATE TABLE sprockets.leaderboard_events (
  event_id      text COLLATE "C" PRIMARY KEY,  -- the event's own `id`
  event         text NOT NULL,
  event_time    timestamptz NOT NULL,          -- when it happened, not when it came
  user_id       numeric(20) NOT NULL,          -- 64 bits without a sign
  repository_id numeric(20) NOT NULL,
  points        integer NOT NULL,
  processed_at  timestamptz NOT NULL DEFAULT now()
);

-- The boards: what `archive` adds up and what `rebuild` reads.
CREATE TABLE sprockets.leaderboard_totals (
  timeframe     text COLLATE "C" NOT NULL,
  begins        date NOT NULL,                  -- of the period, in UTC; 0001-01-01: of all time
  repository_id numeric(20) NOT NULL,           -- -1: all projects together
  user_id       numeric(20) NOT NULL,
  score         bigint NOT NULL,
  PRIMARY KEY (timeframe, begins, repository_id, user_id)
);

-- Whatever is wrong with an event is an error that says it: the entry becomes a dead letter.
CREATE FUNCTION sprockets.leaderboard_refuse(why text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN RAISE EXCEPTION '%', why USING ERRCODE = '22023'; END $$;

-- The functions below are one expression each, so that PostgreSQL puts them into the query instead of calling them for every event.

-- An id, a number or a text of up to 64 bits without a sign. Protobuf's JSON writes such numbers as texts, and leaves out a 0, which
-- stands for none.
CREATE FUNCTION sprockets.leaderboard_id(name text, value text) RETURNS numeric LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN value ~ '^[0-9]{1,20}$' AND value::numeric >= 1 AND value::numeric <= 18446744073709551615 THEN value
    ELSE sprockets.leaderboard_refuse(name || ' is ' || coalesce('"' || left(value, 40) || '"', 'missing') ||
                                      ', and should be a number from 1 to 2^64 - 1') END::numeric
$$;

-- The event's own time, RFC 3339. A zone has to be there: the session's must not matter. What is finer than microseconds is cut off, since
-- rounding it would move the last instant of a day into the next one.
CREATE FUNCTION sprockets.leaderboard_time(value text) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'
    THEN regexp_replace(value, '([.][0-9]{6})[0-9]+', '\1')
    ELSE sprockets.leaderboard_refuse('time is ' || coalesce('"' || left(value, 40) || '"', 'missing') ||
                                      ', and should be as in 2025-11-02T23:59:59Z') END::timestamptz
$$;

-- Each board with its key in Redis, and when it ends.
CREATE FUNCTION sprockets.leaderboard_key(timeframe text, begins date, repository_id numeric, project_scope text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT 'leaderboard:' || CASE WHEN repository_id < 0 THEN 'global' WHEN project_scope = 'project' THEN 'project:' || repository_id
                                ELSE repository_id::text END || ':' || timeframe ||
         CASE timeframe WHEN 'all_time' THEN '' WHEN 'yearly' THEN to_char(begins, ':YYYY') WHEN 'monthly' THEN to_char(begins, ':YYYY-MM')
                        WHEN 'weekly' THEN to_char(begins, ':IYYY"-W"IW') ELSE to_char(begins, ':YYYY-MM-DD') END
$$;
CREATE FUNCTION sprockets.leaderboard_end(timeframe text, begins date, keep_after interval) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT (begins + CASE timeframe WHEN 'yearly' THEN interval '1 year' WHEN 'monthly' THEN interval '1 month'
                                  WHEN 'weekly' THEN interval '7 days' WHEN 'daily' THEN interval '1 day' END + keep_after) AT TIME ZONE 'UTC'
$$;
