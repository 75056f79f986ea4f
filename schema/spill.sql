-- The fixed tables of a spill file. Beside them stands one table per stream, made when its first event comes:
--
--   CREATE TABLE "bounty-stream" (
--     _ticket      INTEGER PRIMARY KEY,  -- the event's number, over all files and all lives of the sidecar
--     _event_id    ANY NOT NULL,         -- not stored a second time as a field, except inside _raw
--     _received_ms INTEGER NOT NULL,     -- when the sidecar took it, milliseconds since 1970, UTC
--     _anchor      TEXT,                 -- in doubt: if the event landed, then above this entry id; null: certainly never sent
--                                        -- "repeat": never sent, but it may be the second copy of an event that landed long ago
--     _conn        INTEGER,              -- in doubt: the row of _connections that it was in flight on; null: none that is known
--     _options     BLOB,                 -- MAXLEN or MINID with what follows, as a RESP array; null: none
--     _checksum    INTEGER NOT NULL,     -- 32 bits of XXH3 over the stream's name and everything that the row says
--     _raw         BLOB,                 -- an event of another layout: all of its fields as a RESP array; the columns below are null
--     "github_id" ANY, "amount" ANY …    -- the fields of the stream's first event in this file, in its order
--   ) STRICT;
--
-- A file of --ack disk is a journal (user_version 2 instead of 1; 3 if its sidecar does not sync each commit, --fsync-interval):
-- its sidecar has told the client the id of the entry that each event becomes. There the table of a stream has two columns more behind _ticket, which _checksum covers, too:
--
--     _id          TEXT NOT NULL,        -- the entry's id, as Redis writes it
--     _origin      INTEGER,              -- the event was moved, because others had overtaken it: the ticket of its first row, in
--                                        -- this file or in one before it. Of an event's rows the one with the highest ticket counts
--
-- and so that nobody has to search for them, the moved rows are listed:
--
--   CREATE TABLE _moves (
--     stream_id INTEGER NOT NULL,
--     ticket    INTEGER NOT NULL,          -- of the row with an _origin
--     origin    INTEGER NOT NULL,
--     PRIMARY KEY (stream_id, ticket)
--   ) STRICT, WITHOUT ROWID;
--
-- How far each stream of a journal has landed stands in state.sqlite; done_ticket is not used. An _anchor in a journal's row says
-- that the row was salvaged from a damaged file.
--
-- Bytes that are UTF-8 are stored as TEXT so that people can read them, others as BLOB. Names with a leading underscore are
-- the spill's own: a stream or a field that has one is kept under another name, or in _raw.

-- One row: what holds for the whole file.
CREATE TABLE _file (
  number           INTEGER PRIMARY KEY,         -- as in the file's name
  producer         ANY NOT NULL,                -- event ids that the sidecar made are "<producer>-<n>"
  event_id_field   ANY NOT NULL,                -- the field of an entry that carries the event id
  begun_ms         INTEGER NOT NULL,            -- milliseconds since 1970, UTC
  connections_lost INTEGER NOT NULL,            -- 1: connections of earlier lives are not known, so no fence covers them all
  streams          INTEGER,                     -- how many rows _streams has; null until the file is sealed
  rows             INTEGER,                     -- how many events the file holds; null until the file is sealed
  drained_ms       INTEGER NOT NULL DEFAULT 0   -- when the last row was drained; 0: not yet
) STRICT;

-- Made by sidecars that know it, so files of before do not have it:
--
--   CREATE TABLE _redis (
--     database INTEGER NOT NULL,                  -- the number of the database that the events are for
--     server   TEXT NOT NULL DEFAULT ''           -- the address of its Redis, as redis://host:port or unix:///path; files of before do not have it
--   ) STRICT;

-- A row per stream: where its events are, how many there must be, and how far the drain has come.
CREATE TABLE _streams (
  id               INTEGER PRIMARY KEY,
  name             BLOB NOT NULL UNIQUE,        -- any bytes
  table_name       TEXT NOT NULL UNIQUE,        -- the name itself where SQLite can bear it, else "_stream-<id>"
  event_id_at      INTEGER,                     -- how many of the table's fields stand before the event id; null: every row is in _raw
  tail             TEXT NOT NULL,               -- the stream's last entry id when its first event came into this file
  rows             INTEGER,                     -- this and the next three are complete when the file is sealed; until then they
                                                -- are null, or as its writer noted them after a checkpoint
  first_ticket     INTEGER,
  last_ticket      INTEGER,
  checksum         INTEGER,                     -- the sum of _checksum over all rows
  done_ticket      INTEGER NOT NULL DEFAULT 0,  -- every row up to here is in Redis, or in _rejected
  open_last_ticket INTEGER,                     -- the batch that was sent last reaches up to here; null: no batch is open
  open_target      ANY,                         -- the stream that it goes to
  open_anchor      TEXT,                        -- that stream's last entry id when the batch was first tried
  open_run_id      ANY,                         -- of the Redis that it was last sent to
  open_breaks      INTEGER                      -- how often a connection to that Redis broke over the batch's first row
                                                -- alone, while everything else passed
) STRICT;

-- Connections to Redis that may still deliver an event of this file: what a fence must kill.
CREATE TABLE _connections (
  id        INTEGER PRIMARY KEY,
  run_id    ANY NOT NULL,                       -- of the Redis; client ids start again with it
  client_id INTEGER NOT NULL,
  UNIQUE (run_id, client_id)
) STRICT;

-- Rows that Redis will not take. They stay in their stream's table. A row leaves this list when it is in Redis after all.
CREATE TABLE _rejected (
  stream_id INTEGER NOT NULL,
  ticket    INTEGER NOT NULL,
  reason    ANY NOT NULL,                       -- in Redis's words
  PRIMARY KEY (stream_id, ticket)
) STRICT, WITHOUT ROWID;

-- A drain that leads a stream's events elsewhere (--rename), or that finds a stream shorter than it was, adds
--
--   CREATE TABLE _led_to (
--     stream_id INTEGER NOT NULL,
--     target    ANY NOT NULL,             -- a stream that events of this one were sent to, all of them or some
--     anchor    TEXT NOT NULL,            -- the target's last entry id when the first of them was sent
--     run_id    ANY NOT NULL,             -- of the Redis at that time
--     PRIMARY KEY (stream_id, target)
--   ) STRICT, WITHOUT ROWID;
