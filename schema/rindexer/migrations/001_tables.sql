-- Options of the set, and tables of our own. Where the consumer's own tables are in the search path, these stay empty.

-- Change options with UPDATE. README.md says what each means.
CREATE TABLE sprockets.rindexer_settings (
  one                  boolean PRIMARY KEY DEFAULT true CHECK (one),  -- there is one row
  unprefixed_log_index text NOT NULL DEFAULT 'decimal' CHECK (unprefixed_log_index IN ('decimal', 'hex')),  -- "33" is 33 or 51
  hex_prefix           text NOT NULL DEFAULT 'kept' CHECK (hex_prefix IN ('kept', 'added'))  -- of ids: as they come, or always 0x
);
INSERT INTO sprockets.rindexer_settings DEFAULT VALUES;

-- Which event goes into which table. What is not named goes into generic_events.
CREATE TABLE sprockets.rindexer_events (
  event_name text PRIMARY KEY,
  table_name text NOT NULL UNIQUE
);
INSERT INTO sprockets.rindexer_events VALUES
  ('AtomCreated', 'atom_created_events'), ('Deposited', 'deposited_events'), ('TripleCreated', 'triple_created_events'),
  ('Redeemed', 'redeemed_events'), ('SharePriceChanged', 'share_price_changed_events');

CREATE TABLE sprockets.atom_created_events (
  network text NOT NULL,
  transaction_hash text NOT NULL,
  log_index bigint NOT NULL,
  atom_data text,   -- null where it is no UTF-8, or has a NUL
  raw_data bytea,   -- the bytes, then
  atom_wallet text NOT NULL,
  creator text NOT NULL,
  term_id text NOT NULL,
  address text NOT NULL,
  block_hash text NOT NULL,
  block_number bigint NOT NULL,
  transaction_index bigint NOT NULL,
  block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (network, transaction_hash, log_index)
);
CREATE TABLE sprockets.deposited_events (
  network text NOT NULL,
  transaction_hash text NOT NULL,
  log_index bigint NOT NULL,
  assets text NOT NULL,
  assets_after_fees text NOT NULL,
  curve_id text NOT NULL,
  receiver text NOT NULL,
  sender text NOT NULL,
  shares text NOT NULL,
  term_id text NOT NULL,
  total_shares text NOT NULL,
  vault_type smallint NOT NULL,
  address text NOT NULL,
  block_hash text NOT NULL,
  block_number bigint NOT NULL,
  transaction_index bigint NOT NULL,
  block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (network, transaction_hash, log_index)
);
CREATE TABLE sprockets.triple_created_events (
  network text NOT NULL,
  transaction_hash text NOT NULL,
  log_index bigint NOT NULL,
  creator text NOT NULL,
  object_id text NOT NULL,
  predicate_id text NOT NULL,
  subject_id text NOT NULL,
  term_id text NOT NULL,
  counter_term_id text NOT NULL,
  address text NOT NULL,
  block_hash text NOT NULL,
  block_number bigint NOT NULL,
  transaction_index bigint NOT NULL,
  block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (network, transaction_hash, log_index)
);
CREATE TABLE sprockets.redeemed_events (
  network text NOT NULL,
  transaction_hash text NOT NULL,
  log_index bigint NOT NULL,
  assets text NOT NULL,
  curve_id text NOT NULL,
  fees text NOT NULL,
  receiver text NOT NULL,
  sender text NOT NULL,
  shares text NOT NULL,
  term_id text NOT NULL,
  total_shares text NOT NULL,
  vault_type smallint NOT NULL,
  address text NOT NULL,
  block_hash text NOT NULL,
  block_number bigint NOT NULL,
  transaction_index bigint NOT NULL,
  block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (network, transaction_hash, log_index)
);
CREATE TABLE sprockets.share_price_changed_events (
  network text NOT NULL,
  transaction_hash text NOT NULL,
  log_index bigint NOT NULL,
  term_id text NOT NULL,
  curve_id text NOT NULL,
  share_price text NOT NULL,
  total_assets text NOT NULL,
  total_shares text NOT NULL,
  vault_type smallint NOT NULL,
  address text NOT NULL,
  block_hash text NOT NULL,
  block_number bigint NOT NULL,
  transaction_index bigint NOT NULL,
  block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (network, transaction_hash, log_index)
);
CREATE TABLE sprockets.generic_events (
  network text NOT NULL,
  transaction_hash text NOT NULL,
  log_index bigint NOT NULL,
  event_name text NOT NULL,
  event_data jsonb NOT NULL,
  address text NOT NULL,
  block_hash text NOT NULL,
  block_number bigint NOT NULL,
  transaction_index bigint NOT NULL,
  block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (network, transaction_hash, log_index)
);
