-- redis: zset team_interaction_state_log
-- scores: integers
-- values: at-most
-- if-table: team_interaction_states
-- follow: team_interaction_states id
--
-- For each team the highest id of the log that its stream has taken in; top_ids.sql says more.
SELECT t.id AS member, l.top AS score
FROM teams AS t
CROSS JOIN (SELECT max(id) AS top FROM team_interaction_states) AS l
WHERE l.top IS NOT NULL
