-- The tables of the consumer that the set stands beside, for tests: keys without the network, and a trigger that keeps a table of atoms.
-- In production its own migrations make them.
CREATE TABLE atom_created_events (
  transaction_hash text NOT NULL, log_index bigint NOT NULL, atom_data text, raw_data bytea, atom_wallet text NOT NULL, creator text NOT NULL,
  term_id text NOT NULL, address text NOT NULL, block_hash text NOT NULL, block_number bigint NOT NULL, network text NOT NULL,
  transaction_index bigint NOT NULL, block_timestamp timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (transaction_hash, log_index)
);
CREATE TABLE deposited_events (
  transaction_hash text NOT NULL, log_index bigint NOT NULL, assets text NOT NULL, assets_after_fees text NOT NULL, curve_id text NOT NULL,
  receiver text NOT NULL, sender text NOT NULL, shares text NOT NULL, term_id text NOT NULL, total_shares text NOT NULL,
  vault_type smallint NOT NULL, address text NOT NULL, block_hash text NOT NULL, block_number bigint NOT NULL, network text NOT NULL,
  transaction_index bigint NOT NULL, block_timestamp timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (transaction_hash, log_index)
);
CREATE TABLE triple_created_events (
  transaction_hash text NOT NULL, log_index bigint NOT NULL, creator text NOT NULL, object_id text NOT NULL, predicate_id text NOT NULL,
  subject_id text NOT NULL, term_id text NOT NULL, counter_term_id text NOT NULL, address text NOT NULL, block_hash text NOT NULL,
  block_number bigint NOT NULL, network text NOT NULL, transaction_index bigint NOT NULL, block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (transaction_hash, log_index)
);
CREATE TABLE redeemed_events (
  transaction_hash text NOT NULL, log_index bigint NOT NULL, assets text NOT NULL, curve_id text NOT NULL, fees text NOT NULL,
  receiver text NOT NULL, sender text NOT NULL, shares text NOT NULL, term_id text NOT NULL, total_shares text NOT NULL,
  vault_type smallint NOT NULL, address text NOT NULL, block_hash text NOT NULL, block_number bigint NOT NULL, network text NOT NULL,
  transaction_index bigint NOT NULL, block_timestamp timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (transaction_hash, log_index)
);
CREATE TABLE share_price_changed_events (
  transaction_hash text NOT NULL, log_index bigint NOT NULL, term_id text NOT NULL, curve_id text NOT NULL, share_price text NOT NULL,
  total_assets text NOT NULL, total_shares text NOT NULL, vault_type smallint NOT NULL, address text NOT NULL, block_hash text NOT NULL,
  block_number bigint NOT NULL, network text NOT NULL, transaction_index bigint NOT NULL, block_timestamp timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (transaction_hash, log_index)
);
CREATE TABLE generic_events (
  transaction_hash text NOT NULL, log_index bigint NOT NULL, event_name text NOT NULL, event_data jsonb NOT NULL, address text NOT NULL,
  block_hash text NOT NULL, block_number bigint NOT NULL, network text NOT NULL, transaction_index bigint NOT NULL,
  block_timestamp timestamptz, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (transaction_hash, log_index)
);

-- The newest state of each atom, which a trigger keeps. It demands a time of the block.
CREATE TABLE atom (term_id text PRIMARY KEY, data text, creator_id text NOT NULL, created_at timestamp NOT NULL);
CREATE FUNCTION keep_atom() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO atom VALUES (NEW.term_id, NEW.atom_data, NEW.creator, NEW.block_timestamp)
  ON CONFLICT (term_id) DO UPDATE SET data = excluded.data, creator_id = excluded.creator_id, created_at = excluded.created_at;
  RETURN NEW;
END $$;
CREATE TRIGGER keep_atom AFTER INSERT ON atom_created_events FOR EACH ROW EXECUTE FUNCTION keep_atom();
