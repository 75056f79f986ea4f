-- From entries to rows: archive/10_events.sql calls rindexer_take.

-- One event of the chain: what it was in the entry, and the row that it gives.
CREATE TYPE sprockets.rindexer_item AS (
  position   bigint,  -- of its entry in the log, and its place in the entry
  ordinal    bigint,
  event_name text,
  network    text,
  item       jsonb,
  table_name text,
  columns    jsonb    -- name → value, as jsonb_populate_record reads them
);

-- The items of one entry, an array or a single object, without their rows.
CREATE FUNCTION sprockets.rindexer_items(log_position bigint, fields jsonb) RETURNS SETOF sprockets.rindexer_item
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  message jsonb := coalesce(fields ->> 'payload', fields ->> 'event_data', fields ->> 'data')::jsonb;
  events jsonb := message -> 'event_data';
BEGIN
  IF message IS NULL THEN
    RAISE EXCEPTION 'the entry has none of the fields payload, event_data and data as text' USING ERRCODE = '22023';
  END IF;
  IF jsonb_typeof(message) <> 'object' OR coalesce(message ->> 'event_name', '') = '' OR events IS NULL
     OR jsonb_typeof(events) NOT IN ('array', 'object') THEN
    RAISE EXCEPTION 'the message is no object with an event_name and an event_data' USING ERRCODE = '22023';
  END IF;
  RETURN QUERY
    SELECT log_position, item.ordinality, message ->> 'event_name', message ->> 'network', item.value,
           coalesce(known.table_name, 'generic_events'), NULL::jsonb
    FROM jsonb_array_elements(CASE jsonb_typeof(events) WHEN 'array' THEN events ELSE jsonb_build_array(events) END)
      WITH ORDINALITY AS item
    LEFT JOIN sprockets.rindexer_events AS known ON known.event_name = message ->> 'event_name';
END $$;

-- The values of an item's columns. A member in camel case is a column in snake case.
CREATE FUNCTION sprockets.rindexer_columns(event sprockets.rindexer_item, settings sprockets.rindexer_settings) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  about jsonb := event.item -> 'transaction_information';
  own jsonb;
  bytes bytea;
BEGIN
  IF jsonb_typeof(event.item) <> 'object' OR about IS NULL OR jsonb_typeof(about) <> 'object' THEN
    RAISE EXCEPTION 'the item is no object with a transaction_information' USING ERRCODE = '22023';
  END IF;
  IF event.table_name = 'generic_events' THEN
    own := jsonb_build_object('event_name', event.event_name, 'event_data', event.item - 'transaction_information');
  ELSE
    SELECT jsonb_object_agg(lower(regexp_replace(member.key, '([A-Z])', '_\1', 'g')),
             CASE WHEN settings.hex_prefix = 'added' AND member.key LIKE '%Id' AND member.key <> 'curveId'
                    AND member.value #>> '{}' NOT LIKE '0x%' THEN to_jsonb('0x' || (member.value #>> '{}')) ELSE member.value END)
    INTO own
    FROM jsonb_each(event.item - 'transaction_information') AS member;
  END IF;
  IF event.table_name = 'atom_created_events' THEN
    bytes := sprockets.rindexer_bytes('atomData', event.item ->> 'atomData');
    own := own || jsonb_build_object('atom_data', sprockets.rindexer_text(bytes));
    own := own || jsonb_build_object('raw_data', CASE WHEN own ->> 'atom_data' IS NULL THEN bytes::text END);
  END IF;
  IF own ? 'vault_type' THEN
    own := own || jsonb_build_object('vault_type', sprockets.rindexer_number('vaultType', event.item -> 'vaultType'));
  END IF;
  RETURN own || jsonb_build_object(
    'network', coalesce(about ->> 'network', event.network),
    'address', about ->> 'address',
    'block_hash', about ->> 'block_hash',
    'block_number', sprockets.rindexer_bigint('block_number', about -> 'block_number'),
    'block_timestamp', sprockets.rindexer_time(about -> 'block_timestamp'),
    'transaction_hash', about ->> 'transaction_hash',
    'transaction_index', sprockets.rindexer_bigint('transaction_index', about -> 'transaction_index'),
    'log_index', sprockets.rindexer_bigint('log_index', about -> 'log_index', settings.unprefixed_log_index),
    'created_at', now());
END $$;

-- The rows of one table: the consumer's own, or ours where there is none, each with the columns that it has and the key that it has. A row
-- that is there stays as it is; one of a block that was replaced is replaced. Whatever cannot be stored is an error.
CREATE FUNCTION sprockets.rindexer_store_in(name text, events sprockets.rindexer_item[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  target regclass := coalesce(to_regclass(quote_ident(name)), to_regclass('sprockets.' || quote_ident(name)));
  has_columns text[];
  key_columns text;
  column_list text;
  assignments text;
  lost text;
BEGIN
  SELECT array_agg(a.attname::text) INTO has_columns
  FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
  -- What a table never had is no matter; what is gone from it would be lost with every row.
  SELECT string_agg(a.attname, ', ') INTO lost
  FROM pg_attribute AS a
  WHERE a.attrelid = to_regclass('sprockets.' || quote_ident(name)) AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attname NOT IN ('raw_data', 'counter_term_id', 'created_at') AND a.attname <> ALL (has_columns);
  IF lost IS NOT NULL THEN RAISE EXCEPTION '% has no column %', target, lost USING ERRCODE = '42703'; END IF;
  IF NOT 'raw_data' = ANY (has_columns) AND EXISTS (SELECT FROM unnest(events) AS e WHERE e.columns ->> 'raw_data' IS NOT NULL) THEN
    RAISE EXCEPTION 'atomData is no text, and % has no column raw_data for its bytes', target USING ERRCODE = '22021';
  END IF;
  IF 'counter_term_id' = ANY (has_columns) THEN
    SELECT array_agg((e.position, e.ordinal, e.event_name, e.network, e.item, e.table_name,
                      CASE WHEN e.columns ->> 'counter_term_id' IS NOT NULL THEN e.columns ELSE e.columns ||
                        jsonb_build_object('counter_term_id', sprockets.rindexer_counter_term(e.columns ->> 'term_id')) END
                     )::sprockets.rindexer_item) INTO events
    FROM unnest(events) AS e;
  END IF;
  SELECT string_agg(quote_ident(k.attname), ', ' ORDER BY k.attname) INTO key_columns
  FROM pg_index AS i JOIN pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey)
  WHERE i.indrelid = target AND i.indisprimary;
  IF key_columns IS NULL THEN RAISE EXCEPTION '% has no primary key', target USING ERRCODE = '42P10'; END IF;
  SELECT string_agg(quote_ident(c), ', ' ORDER BY c),
         string_agg(format('%1$I = excluded.%1$I', c), ', ' ORDER BY c) FILTER (WHERE c <> 'created_at')
  INTO column_list, assignments
  FROM (SELECT DISTINCT given AS c FROM unnest(events) AS e CROSS JOIN LATERAL jsonb_object_keys(e.columns) AS given) AS g
  WHERE c = ANY (has_columns);
  -- In the order of the key, so that two instances wait for each other and do not block each other for ever.
  EXECUTE format('INSERT INTO %1$s AS old (%2$s) SELECT %2$s FROM (SELECT DISTINCT ON (%3$s) r.* FROM unnest($1) AS e '
                 'CROSS JOIN LATERAL jsonb_populate_record(NULL::%1$s, e.columns) AS r ORDER BY %3$s, e.position DESC, e.ordinal DESC) AS new '
                 'ON CONFLICT (%3$s) DO UPDATE SET %4$s WHERE old.network = excluded.network AND old.block_hash <> excluded.block_hash',
                 target, column_list, key_columns, assignments) USING events;
  EXECUTE format('SELECT e.columns ->> ''network'' FROM unnest($1) AS e WHERE NOT EXISTS (SELECT FROM %s AS t WHERE t.network = '
                 'e.columns ->> ''network'' AND t.transaction_hash = e.columns ->> ''transaction_hash'' AND t.log_index = '
                 '(e.columns ->> ''log_index'')::bigint) LIMIT 1', target) INTO lost USING events;
  IF lost IS NOT NULL THEN
    RAISE EXCEPTION 'the primary key of % has no network, and another network has a row with the key of this one of %', target, lost
      USING ERRCODE = '23505';
  END IF;
END $$;

CREATE FUNCTION sprockets.rindexer_store(events sprockets.rindexer_item[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text;
BEGIN
  FOR name IN SELECT DISTINCT e.table_name FROM unnest(events) AS e ORDER BY 1 LOOP
    PERFORM sprockets.rindexer_store_in(name, array_agg(e)) FROM unnest(events) AS e WHERE e.table_name = name;
  END LOOP;
END $$;

CREATE FUNCTION sprockets.rindexer_bury(entry sprockets.batch, raw bytea[], why text, state text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO sprockets.dead_letters (stream, id, event_id, raw, error, sqlstate, handler)
  VALUES (entry.stream, entry.id, entry.event_id, raw, why, state, 'rindexer')
$$;

-- An item by itself, as an entry that could be sent.
CREATE FUNCTION sprockets.rindexer_as_entry(event sprockets.rindexer_item) RETURNS bytea[] LANGUAGE sql STABLE AS $$
  SELECT ARRAY['payload'::bytea, convert_to(jsonb_build_object('event_name', event.event_name, 'network', event.network,
                                                               'event_data', jsonb_build_array(event.item))::text, 'UTF8')]
$$;

-- The batch. At first everything at once; where that fails, whatever is at fault becomes a dead letter, an entry that cannot be read or
-- a single item, and all the rest is stored. Only faults of the data are taken so: class 22 and 23, and what a trigger raises. Any other
-- error is the archive's.
CREATE FUNCTION sprockets.rindexer_take() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  settings sprockets.rindexer_settings;
  entry sprockets.batch;
  event sprockets.rindexer_item;
  events sprockets.rindexer_item[];
BEGIN
  SELECT * INTO STRICT settings FROM sprockets.rindexer_settings;
  BEGIN
    SELECT array_agg((e.position, e.ordinal, e.event_name, e.network, e.item, e.table_name,
                      sprockets.rindexer_columns(e, settings))::sprockets.rindexer_item)
    INTO events FROM sprockets.batch AS b CROSS JOIN LATERAL sprockets.rindexer_items(b.position, b.fields) AS e;
  EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
    events := '{}';
    FOR entry IN SELECT * FROM sprockets.batch ORDER BY position LOOP
      BEGIN
        FOR event IN SELECT * FROM sprockets.rindexer_items(entry.position, entry.fields) LOOP
          BEGIN
            event.columns := sprockets.rindexer_columns(event, settings);
            events := events || event;
          EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
            PERFORM sprockets.rindexer_bury(entry, sprockets.rindexer_as_entry(event), SQLERRM, SQLSTATE);
          END;
        END LOOP;
      EXCEPTION WHEN data_exception THEN
        PERFORM sprockets.rindexer_bury(entry, entry.raw, SQLERRM, SQLSTATE);
      END;
    END LOOP;
  END;
  BEGIN
    PERFORM sprockets.rindexer_store(events);
  EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
    FOREACH event IN ARRAY events LOOP
      BEGIN
        PERFORM sprockets.rindexer_store(ARRAY[event]);
      EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
        SELECT * INTO entry FROM sprockets.batch AS b WHERE b.position = event.position;
        PERFORM sprockets.rindexer_bury(entry, sprockets.rindexer_as_entry(event), SQLERRM, SQLSTATE);
      END;
    END LOOP;
  END;
END $$;

-- Dead letters of this set once more, after a table or an option was put right. How many were stored.
CREATE FUNCTION sprockets.rindexer_retry() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  letter record;
  fields jsonb;
  stored bigint := 0;
  why text;
  state text;
BEGIN
  FOR letter IN SELECT number, raw FROM sprockets.dead_letters WHERE handler = 'rindexer' AND retried_at IS NULL ORDER BY number FOR UPDATE LOOP
    BEGIN
      SELECT jsonb_object_agg(convert_from(letter.raw[i], 'UTF8'), convert_from(letter.raw[i + 1], 'UTF8')) INTO fields
      FROM generate_series(1, cardinality(letter.raw), 2) AS i;
      PERFORM sprockets.rindexer_store(array_agg((e.position, e.ordinal, e.event_name, e.network, e.item, e.table_name,
                sprockets.rindexer_columns(e, s))::sprockets.rindexer_item))
      FROM sprockets.rindexer_settings AS s CROSS JOIN LATERAL sprockets.rindexer_items(0, fields) AS e;
      UPDATE sprockets.dead_letters SET retried_at = now() WHERE number = letter.number;
      stored := stored + 1;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
      why := SQLERRM;
      state := SQLSTATE;
      UPDATE sprockets.dead_letters SET error = why, sqlstate = state WHERE number = letter.number;
    END;
  END LOOP;
  RETURN stored;
END $$;
