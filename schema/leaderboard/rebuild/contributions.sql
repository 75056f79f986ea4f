-- redis: stream contributions
-- trimmed: allowed
-- if-table: sprockets.entries
--
-- The stream as it was archived. Entries that PostgreSQL refused are in the dead letters, until they are accepted.
SELECT id, fields FROM sprockets.entries WHERE stream = 'contributions'
