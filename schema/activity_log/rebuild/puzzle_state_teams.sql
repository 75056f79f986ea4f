-- redis: stream
-- keys: puzzle_state_log/*
-- up-to: puzzle_state_log
-- if-table: puzzle_state_log
-- follow: puzzle_state_log id
--
-- A stream for each team of `teams`. Same ids and same entries as in global/puzzle_state_log. teams.sql says what may be missing.
SELECT 'puzzle_state_log/' || t.id AS key,
       '0-' || l.id AS id,
       '{"id":' || l.id
         || ',"team_id":' || l.team_id
         || ',"timestamp":' || '"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || ',"slug":' || coalesce(to_json(l.slug)::text, 'null')
         || CASE WHEN l.data NOT IN ('null', 'false', '0', '""')
              THEN ',"data":' || regexp_replace(l.data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM teams AS t
JOIN puzzle_state_log AS l ON l.team_id = t.id
