-- redis: stream global/team_interaction_state_log
-- if-table: team_interaction_states
-- follow: team_interaction_states id
--
-- Every row of the log; the entry as the backend writes it. global.sql says how.
SELECT '0-' || l.id AS id,
       '{"id":' || l.id
         || ',"team_id":' || l.team_id
         || ',"slug":' || to_json(l.slug)::text
         || ',"node":' || to_json(l.node)::text
         || coalesce(',"predecessor":' || to_json(l.predecessor)::text, '')
         || ',"timestamp":' || '"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || CASE WHEN l.graph_state NOT IN ('null', 'false', '0', '""')
              THEN ',"graph_state":' || regexp_replace(l.graph_state::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM team_interaction_states AS l
