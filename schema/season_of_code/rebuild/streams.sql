-- redis: stream
-- trimmed: allowed
-- if-table: sprockets.log
--
-- The streams as `archive` has kept them, with their ids and every field. Where nobody archives them, this gives nothing, and nobody asks
-- for them. Entries that PostgreSQL refused are in the dead letters, until they are accepted.
SELECT stream AS key, id, raw AS fields FROM sprockets.log
WHERE stream IN ('issue-stream', 'bounty-stream', 'automatic-events-stream', 'solution-merged-stream', 'live-update-stream')
UNION ALL
SELECT DISTINCT ON (d.stream, d.id) d.stream, d.id, d.raw FROM sprockets.dead_letters AS d
WHERE d.stream IN ('issue-stream', 'bounty-stream', 'automatic-events-stream', 'solution-merged-stream', 'live-update-stream')
  AND NOT EXISTS (SELECT FROM sprockets.log AS l WHERE l.stream = d.stream AND l.id = d.id)
