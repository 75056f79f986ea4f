-- What `snapshot` keeps: sorted sets and consumer groups of a Redis, as they were at one time. A snapshot is written in one transaction,
-- and its last statement says that it is whole.
CREATE TABLE sprockets.snapshots (
  number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  taken_at     timestamptz NOT NULL DEFAULT now(),  -- when it began
  keys_glob    bytea NOT NULL,                      -- which keys it has
  log_position bigint NOT NULL,  -- what had been archived when it began: the highest position in sprockets.log; 0: nothing
  completed_at timestamptz,      -- null: it is not whole
  zsets        bigint,           -- how many it has: who restores it counts them again
  members      bigint,
  groups       bigint,
  pending      bigint
);
CREATE TABLE sprockets.snapshot_zsets (
  snapshot     bigint NOT NULL REFERENCES sprockets.snapshots ON DELETE CASCADE,
  number       bigint NOT NULL,
  key          bytea NOT NULL,
  expire_at_ms bigint,  -- milliseconds since 1970; null: never
  PRIMARY KEY (snapshot, number)
);
CREATE TABLE sprockets.snapshot_members (
  snapshot bigint NOT NULL REFERENCES sprockets.snapshots ON DELETE CASCADE,
  zset     bigint NOT NULL,
  member   bytea NOT NULL,
  score    float8 NOT NULL,  -- the double itself
  PRIMARY KEY (snapshot, zset, member)
);
CREATE TABLE sprockets.snapshot_groups (
  snapshot       bigint NOT NULL REFERENCES sprockets.snapshots ON DELETE CASCADE,
  number         bigint NOT NULL,
  stream         bytea NOT NULL,
  name           bytea NOT NULL,
  last_delivered text NOT NULL,
  PRIMARY KEY (snapshot, number)
);
CREATE TABLE sprockets.snapshot_consumers (
  snapshot     bigint NOT NULL REFERENCES sprockets.snapshots ON DELETE CASCADE,
  stream_group bigint NOT NULL,
  name         bytea NOT NULL,
  PRIMARY KEY (snapshot, stream_group, name)
);
CREATE TABLE sprockets.snapshot_pending (
  snapshot        bigint NOT NULL REFERENCES sprockets.snapshots ON DELETE CASCADE,
  stream_group    bigint NOT NULL,
  id              text NOT NULL,
  consumer        bytea NOT NULL,
  delivered_at_ms bigint NOT NULL,  -- the last time, by Redis's clock, in milliseconds since 1970
  deliveries      bigint NOT NULL,
  PRIMARY KEY (snapshot, stream_group, id)
);
