-- redis: stream contributions
-- trimmed: allowed
-- if-table: sprockets.log
--
-- The stream as it was archived. Entries that PostgreSQL refused are in the dead letters, until they are accepted.
SELECT id, raw AS fields FROM sprockets.log WHERE stream = 'contributions'
UNION ALL
SELECT DISTINCT ON (d.id) d.id, d.raw FROM sprockets.dead_letters AS d
WHERE d.stream = 'contributions' AND NOT EXISTS (SELECT FROM sprockets.log AS l WHERE l.stream = d.stream AND l.id = d.id)
