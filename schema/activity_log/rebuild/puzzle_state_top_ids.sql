-- redis: zset puzzle_state_log
-- scores: integers
-- values: at-most
-- if-table: puzzle_state_log
-- follow: puzzle_state_log id
--
-- For each team the highest id of the log that its stream has taken in; top_ids.sql says more.
SELECT t.id AS member, l.top AS score
FROM teams AS t
CROSS JOIN (SELECT max(id) AS top FROM puzzle_state_log) AS l
WHERE l.top IS NOT NULL
