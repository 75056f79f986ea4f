-- What `archive` keeps in PostgreSQL. `migrate` applies it once, under the reserved set name `sprockets`, before the files
-- of a set, which may refer to what is made here.

-- Every entry of the archived streams, each once. An entry is new if neither its id nor its event id is here for its stream.
CREATE TABLE sprockets.log (
  position     bigint PRIMARY KEY,    -- grows with the time of arrival; not without gaps. Entries of one batch are neighbours
  stream       text NOT NULL,
  id           text NOT NULL,         -- of the entry: "1700000000000-0"
  event_id     text,                  -- of the first field of that name (--event-id-field), where it has 1 to 256 bytes. \x and
                                      -- hex digits where it is no UTF-8
  received_at  timestamptz NOT NULL,  -- as the id says it; when the entry was read, where the id is no time of this age
  fields       jsonb,                 -- an object of texts; null where jsonb cannot say it: NUL, bytes that are no UTF-8, a
                                      -- field that comes twice, more than 64 MiB
  raw          bytea[] NOT NULL,      -- name, value, name, value, …: every field in its order, byte by byte
  payload_hash bytea NOT NULL         -- of raw; 16 bytes of BLAKE2b
);
CREATE UNIQUE INDEX log_entries ON sprockets.log (stream, id);
CREATE UNIQUE INDEX log_events ON sprockets.log (stream, event_id) WHERE event_id IS NOT NULL;

-- Entries whose event the log has under another id, with the same fields: a client had sent it again. They are no news, but
-- they stand in the stream.
CREATE TABLE sprockets.repeats (
  stream       text NOT NULL,
  id           text NOT NULL,
  event_id     text NOT NULL,
  raw          bytea[] NOT NULL,
  payload_hash bytea NOT NULL,
  PRIMARY KEY (stream, id)
);

-- A batch takes one number, and its entries get the positions from 65536 times that number on.
CREATE SEQUENCE sprockets.log_blocks;

-- The entries that a handler is for. Which ones these are is said for the transaction alone, so it works behind a pooler,
-- and in psql by hand: SET LOCAL sprockets.batch_first TO 65536; SET LOCAL sprockets.batch_last TO 65600;
CREATE VIEW sprockets.batch AS
SELECT position, stream, id, event_id, received_at, fields, raw
FROM sprockets.log
WHERE position >= nullif(current_setting('sprockets.batch_first', true), '')::bigint
  AND position <= nullif(current_setting('sprockets.batch_last', true), '')::bigint;

-- Where reading of each stream began: entries at or below it are not wanted. A group that has to be made again begins
-- there, since what is below the highest archived id need not be archived: it may have been pending when its group was lost.
CREATE TABLE sprockets.log_begins (
  stream     text NOT NULL,
  group_name text NOT NULL,
  after_id   text NOT NULL,
  PRIMARY KEY (stream, group_name)
);

-- Entries that PostgreSQL does not take, with the reason. `archive --retry-dead` offers them again.
CREATE TABLE sprockets.dead_letters (
  number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stream       text NOT NULL,
  id           text NOT NULL,
  event_id     text,
  raw          bytea[] NOT NULL,
  payload_hash bytea,                 -- null: written by a handler, about a part of an entry that is in the log
  error        text NOT NULL,
  sqlstate     text,
  handler      text,                  -- the file that failed; null: the log itself refused the entry
  died_at      timestamptz NOT NULL DEFAULT now(),
  retried_at   timestamptz            -- since then the entry is in the log
);
-- An entry that is delivered again is the same dead letter.
CREATE UNIQUE INDEX dead_letters_entries ON sprockets.dead_letters (stream, id, payload_hash);

-- Every entry that archive has seen, under its id: what a stream is rebuilt from.
CREATE VIEW sprockets.entries AS
SELECT stream, id, raw AS fields FROM sprockets.log
UNION ALL
SELECT stream, id, raw FROM sprockets.repeats
UNION ALL
SELECT DISTINCT ON (dead.stream, dead.id) dead.stream, dead.id, dead.raw
FROM sprockets.dead_letters AS dead
WHERE dead.payload_hash IS NOT NULL
  AND NOT EXISTS (SELECT FROM sprockets.log WHERE log.stream = dead.stream AND log.id = dead.id)
  AND NOT EXISTS (SELECT FROM sprockets.repeats WHERE repeats.stream = dead.stream AND repeats.id = dead.id);

-- Scores that Redis does not have yet. Handlers that say `-- returns: scores` fill it in the transaction of their batch;
-- whoever writes them to Redis deletes them by key, member and version, so that a newer score stays.
CREATE TABLE sprockets.outbox (
  key       text COLLATE "C" NOT NULL,
  member    text COLLATE "C" NOT NULL,
  score     float8 NOT NULL CHECK (score <> 'NaN'),
  expire_at timestamptz,              -- of the key, where it has no expiry yet
  version   bigint NOT NULL,
  PRIMARY KEY (key, member)
);
CREATE SEQUENCE sprockets.outbox_versions;

-- The rows of a statement that may change data, which is allowed neither in a subquery nor in a view.
CREATE FUNCTION sprockets.rows_of(statement text) RETURNS SETOF record LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE statement; END $$;
