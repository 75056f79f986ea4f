-- redis: stream
-- keys: team_registration_log/*
-- up-to: team_registration_log
-- if-table: team_registration_log
-- follow: team_registration_log id
--
-- A stream for each team of `teams`. Same ids and same entries as in global/team_registration_log. teams.sql says what may be missing.
SELECT 'team_registration_log/' || t.id AS key,
       '0-' || l.id AS id,
       '{"id":' || l.id
         || ',"team_id":' || l.team_id
         || ',"timestamp":' || '"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || ',"type":' || to_json(l.type)::text
         || CASE WHEN l.data NOT IN ('null', 'false', '0', '""')
              THEN ',"data":' || regexp_replace(l.data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM teams AS t
JOIN team_registration_log AS l ON l.team_id = t.id
