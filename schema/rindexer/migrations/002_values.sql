-- Values as producers of different age write them. What cannot be read is an error that says so.

-- A whole number: a JSON number, decimal digits, or hexadecimal digits behind 0x. With `bare` = 'hex', digits without 0x are hexadecimal,
-- too. PostgreSQL's numeric holds all of uint256; nothing here passes through a double.
CREATE FUNCTION sprockets.rindexer_number(name text, value jsonb, bare text DEFAULT 'decimal') RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  word text := value #>> '{}';
  number numeric := 0;
BEGIN
  IF jsonb_typeof(value) = 'number' AND word ~ '^[0-9]+([.]0+)?$' THEN RETURN trunc(word::numeric); END IF;
  IF jsonb_typeof(value) = 'string' AND bare = 'decimal' AND word ~ '^[0-9]{1,78}$' THEN RETURN word::numeric; END IF;
  IF jsonb_typeof(value) = 'string' AND (word ~ '^0[xX][0-9a-fA-F]{1,64}$' OR bare = 'hex' AND word ~ '^[0-9a-fA-F]{1,64}$') THEN
    word := regexp_replace(word, '^0[xX]', '');
    word := lpad(word, (length(word) + 6) / 7 * 7, '0');
    FOR at IN 1 .. length(word) BY 7 LOOP
      number := number * 268435456 + ('x0' || substr(word, at, 7))::bit(32)::int;
    END LOOP;
    RETURN number;
  END IF;
  RAISE EXCEPTION '% is %, and should be a whole number', name, coalesce(left(value::text, 80), 'missing') USING ERRCODE = '22023';
END $$;

-- The same, where it has to fit a column.
CREATE FUNCTION sprockets.rindexer_bigint(name text, value jsonb, bare text DEFAULT 'decimal') RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  number numeric := sprockets.rindexer_number(name, value, bare);
BEGIN
  IF number <= 9223372036854775807 THEN RETURN number; END IF;
  RAISE EXCEPTION '% is %, which is beyond 2^63 - 1', name, number USING ERRCODE = '22003';
END $$;

-- Seconds since 1970, or nothing.
CREATE FUNCTION sprockets.rindexer_time(value jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF value IS NULL OR jsonb_typeof(value) = 'null' THEN RETURN NULL; END IF;
  RETURN to_timestamp(sprockets.rindexer_bigint('block_timestamp', value));
END $$;

-- Bytes in hexadecimal, with or without 0x.
CREATE FUNCTION sprockets.rindexer_bytes(name text, value text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF value ~ '^(0[xX])?([0-9a-fA-F]{2})*$' THEN RETURN decode(regexp_replace(value, '^0[xX]', ''), 'hex'); END IF;
  RAISE EXCEPTION '% is %, and should be bytes in hexadecimal', name, coalesce('"' || left(value, 80) || '"', 'missing')
    USING ERRCODE = '22023';
END $$;

-- NULL where the bytes are no text of PostgreSQL's: no UTF-8, or with a NUL.
CREATE FUNCTION sprockets.rindexer_text(bytes bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RETURN convert_from(bytes, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN NULL;
END $$;

-- Keccak-256 of up to 135 bytes, as Ethereum has it. It takes some milliseconds, and is needed once for each triple that does not bring its
-- own counter term.
CREATE FUNCTION sprockets.rindexer_keccak256(message bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  rounds CONSTANT bigint[] := ARRAY[x'0000000000000001', x'0000000000008082', x'800000000000808A', x'8000000080008000',
    x'000000000000808B', x'0000000080000001', x'8000000080008081', x'8000000000008009', x'000000000000008A', x'0000000000000088',
    x'0000000080008009', x'000000008000000A', x'000000008000808B', x'800000000000008B', x'8000000000008089', x'8000000000008003',
    x'8000000000008002', x'8000000000000080', x'000000000000800A', x'800000008000000A', x'8000000080008081', x'8000000000008080',
    x'0000000080000001', x'8000000080008008']::bit(64)[]::bigint[];
  turns CONSTANT int[] := ARRAY[0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];
  a bigint[] := array_fill(0::bigint, ARRAY[25]);  -- lane x, y is number 5 y + x + 1
  b bigint[] := array_fill(0::bigint, ARRAY[25]);
  c bigint[] := array_fill(0::bigint, ARRAY[5]);
  block bytea;
  lane bigint;
  n int;
  result bytea := '';
BEGIN
  IF length(message) > 135 THEN RAISE EXCEPTION 'more than 135 bytes' USING ERRCODE = '22023'; END IF;
  block := message || decode(repeat('00', 136 - length(message)), 'hex');
  block := set_byte(block, length(message), 1);
  block := set_byte(block, 135, get_byte(block, 135) | 128);
  FOR i IN 0 .. 16 LOOP
    lane := 0;
    FOR k IN REVERSE 7 .. 0 LOOP lane := (lane << 8) | get_byte(block, 8 * i + k); END LOOP;
    a[i + 1] := lane;
  END LOOP;
  FOR r IN 1 .. 24 LOOP
    FOR x IN 1 .. 5 LOOP c[x] := a[x] # a[x + 5] # a[x + 10] # a[x + 15] # a[x + 20]; END LOOP;
    FOR x IN 0 .. 4 LOOP
      lane := c[(x + 4) % 5 + 1] # ((c[(x + 1) % 5 + 1] << 1) | ((c[(x + 1) % 5 + 1] >> 63) & 1));
      FOR y IN 0 .. 4 LOOP a[5 * y + x + 1] := a[5 * y + x + 1] # lane; END LOOP;
    END LOOP;
    FOR x IN 0 .. 4 LOOP
      FOR y IN 0 .. 4 LOOP
        lane := a[5 * y + x + 1];
        n := turns[5 * y + x + 1];
        IF n > 0 THEN lane := (lane << n) | ((lane >> (64 - n)) & ((1::bigint << n) - 1)); END IF;
        b[5 * ((2 * x + 3 * y) % 5) + y + 1] := lane;
      END LOOP;
    END LOOP;
    FOR x IN 0 .. 4 LOOP
      FOR y IN 0 .. 4 LOOP
        a[5 * y + x + 1] := b[5 * y + x + 1] # (~b[5 * y + (x + 1) % 5 + 1] & b[5 * y + (x + 2) % 5 + 1]);
      END LOOP;
    END LOOP;
    a[1] := a[1] # rounds[r];
  END LOOP;
  FOR i IN 1 .. 4 LOOP
    FOR k IN 0 .. 7 LOOP result := result || decode(lpad(to_hex(((a[i] >> (8 * k)) & 255)::int), 2, '0'), 'hex'); END LOOP;
  END LOOP;
  RETURN result;
END $$;

-- The term against a triple, as the contract names it: keccak256(keccak256("COUNTER_SALT") || id).
CREATE FUNCTION sprockets.rindexer_counter_term(term_id text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT '0x' || encode(sprockets.rindexer_keccak256(
    '\xe7cbc1eb0e9b3f8688b0bc91a8278f7d2867f14f2a10dc3f0d9fcfdc32dada12'::bytea || sprockets.rindexer_bytes('termId', term_id)), 'hex')
$$;
