-- redis: stream global/team_registration_log
-- if-table: team_registration_log
-- follow: team_registration_log id
--
-- Every row of the log; the entry as the backend writes it. global.sql says how.
SELECT '0-' || l.id AS id,
       '{"id":' || l.id
         || ',"team_id":' || l.team_id
         || ',"timestamp":' || '"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || ',"type":' || to_json(l.type)::text
         || CASE WHEN l.data NOT IN ('null', 'false', '0', '""')
              THEN ',"data":' || regexp_replace(l.data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM team_registration_log AS l
