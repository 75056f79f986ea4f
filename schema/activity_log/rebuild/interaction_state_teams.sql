-- redis: stream
-- keys: team_interaction_state_log/*
-- up-to: team_interaction_state_log
-- if-table: team_interaction_states
-- follow: team_interaction_states id
--
-- A stream for each team of `teams`. Same ids and same entries as in global/team_interaction_state_log. teams.sql says what may be missing.
SELECT 'team_interaction_state_log/' || t.id AS key,
       '0-' || l.id AS id,
       '{"id":' || l.id
         || ',"team_id":' || l.team_id
         || ',"slug":' || to_json(l.slug)::text
         || ',"node":' || to_json(l.node)::text
         || coalesce(',"predecessor":' || to_json(l.predecessor)::text, '')
         || ',"timestamp":' || '"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || CASE WHEN l.graph_state NOT IN ('null', 'false', '0', '""')
              THEN ',"graph_state":' || regexp_replace(l.graph_state::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM teams AS t
JOIN team_interaction_states AS l ON l.team_id = t.id
