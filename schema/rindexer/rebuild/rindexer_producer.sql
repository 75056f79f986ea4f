-- redis: stream rindexer_producer
-- trimmed: allowed
-- if-table: sprockets.log
--
-- The stream as it was archived. Entries that PostgreSQL refused are in the dead letters, until they are accepted.
SELECT id, raw AS fields FROM sprockets.log WHERE stream = 'rindexer_producer'
UNION ALL
SELECT DISTINCT ON (d.id) d.id, d.raw FROM sprockets.dead_letters AS d
WHERE d.stream = 'rindexer_producer' AND NOT EXISTS (SELECT FROM sprockets.log AS l WHERE l.stream = d.stream AND l.id = d.id)
