-- archive: contributions
-- json: data payload
-- returns: scores
--
-- Events, the boards that they count for, and the scores that have changed. An event counts once for its own id: neither a second delivery
-- nor a second entry of it changes anything. It counts for the periods of its own time, in UTC, however late it comes. Rows are written in
-- the order of their keys, so that two instances wait for each other and do not block each other for ever.
WITH entry AS MATERIALIZED (
  SELECT position, stream || ' ' || id AS entry, event_id, coalesce(fields ->> 'data', fields ->> 'payload')::jsonb AS data FROM batch
),
-- The member that holds the payload says what happened, and there is one of them.
named AS MATERIALIZED (
  SELECT e.position, min(p.member) AS member, count(*) AS payloads
  FROM entry AS e
  CROSS JOIN LATERAL jsonb_object_keys(e.data) AS name
  JOIN sprockets.leaderboard_payloads AS p ON p.member = name AND jsonb_typeof(e.data -> name) = 'object'
  GROUP BY e.position
),
event AS MATERIALIZED (
  SELECT coalesce(nullif(e.data ->> 'id', ''), e.event_id, e.entry) AS event_id,
         CASE WHEN n.payloads = 1 THEN p.event ELSE sprockets.leaderboard_refuse(
           CASE WHEN e.data IS NULL THEN 'the entry has no field data'
                ELSE 'the event has ' || coalesce(n.payloads, 0) || ' payloads that are known, and should have one' END) END AS event,
         sprockets.leaderboard_time(e.data ->> 'time') AS event_time,
         sprockets.leaderboard_id(p.users[1], coalesce(e.data -> n.member ->> p.users[1], e.data -> n.member ->> p.users[2])) AS user_id,
         sprockets.leaderboard_id('repository_id', coalesce(e.data ->> 'repository_id', e.data ->> 'repositoryId')) AS repository_id,
         worth.points
  FROM entry AS e
  LEFT JOIN named AS n ON n.position = e.position
  LEFT JOIN sprockets.leaderboard_payloads AS p ON p.member = n.member
  LEFT JOIN sprockets.leaderboard_points AS worth ON worth.event = p.event
),
fresh AS (
  INSERT INTO sprockets.leaderboard_events (event_id, event, event_time, user_id, repository_id, points)
  SELECT event_id, event, event_time, user_id, repository_id, points FROM event ORDER BY event_id
  ON CONFLICT (event_id) DO NOTHING
  RETURNING user_id, repository_id, points, event_time AT TIME ZONE 'UTC' AS utc
),
delta AS (
  SELECT period.timeframe, period.begins, scope.repository_id, f.user_id, sum(f.points) AS points
  FROM fresh AS f
  CROSS JOIN LATERAL (VALUES ('all_time', date '0001-01-01'), ('yearly', date_trunc('year', f.utc)::date),
    ('monthly', date_trunc('month', f.utc)::date), ('weekly', date_trunc('week', f.utc)::date), ('daily', f.utc::date)
  ) AS period (timeframe, begins)
  CROSS JOIN LATERAL (VALUES (-1::numeric), (f.repository_id)) AS scope (repository_id)
  GROUP BY 1, 2, 3, 4
),
total AS (
  INSERT INTO sprockets.leaderboard_totals AS t (timeframe, begins, repository_id, user_id, score)
  SELECT timeframe, begins, repository_id, user_id, points FROM delta
  ORDER BY timeframe COLLATE "C", begins, repository_id, user_id
  ON CONFLICT (timeframe, begins, repository_id, user_id) DO UPDATE SET score = t.score + excluded.score
  RETURNING t.timeframe, t.begins, t.repository_id, t.user_id, t.score
)
SELECT key, member, score, expire_at
FROM (
  SELECT sprockets.leaderboard_key(t.timeframe, t.begins, t.repository_id, s.project_scope) AS key, t.user_id::text AS member,
         t.score::float8 AS score, sprockets.leaderboard_end(t.timeframe, t.begins, s.keep_after) AS expire_at
  FROM total AS t CROSS JOIN sprockets.leaderboard_settings AS s
) AS board
-- Redis has let go of a board that has ended. The totals keep it.
WHERE expire_at IS NULL OR expire_at > now()
