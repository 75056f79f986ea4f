-- redis: stream
-- trimmed: allowed
-- if-table: sprockets.entries
--
-- The streams as `archive` has kept them, with their ids and every field. Where nobody archives them, this gives nothing, and nobody asks
-- for them. Entries that PostgreSQL refused are in the dead letters, until they are accepted.
SELECT stream AS key, id, fields FROM sprockets.entries
WHERE stream IN ('issue-stream', 'bounty-stream', 'automatic-events-stream', 'solution-merged-stream', 'live-update-stream')
