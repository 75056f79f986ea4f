-- redis: zset activity_log
-- scores: integers
-- values: at-most
-- follow: activity_log id
--
-- For each team the highest id of the global log that its stream has taken in: after a rebuild that is the top of the log for every team.
-- A reader takes a team's events up to this id from the team's stream and the rest from the global one. So this must be written after
-- both, and be gone before either is dropped: a score without its streams hides everything below it for good.
-- The backend writes a team's score when somebody asks for the team, so a live one is lower, or not there.
SELECT t.id AS member, l.top AS score
FROM teams AS t
CROSS JOIN (SELECT max(id) AS top FROM activity_log) AS l
WHERE l.top IS NOT NULL
