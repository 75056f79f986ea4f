-- redis: stream global/puzzle_state_log
-- if-table: puzzle_state_log
-- follow: puzzle_state_log id
--
-- Every row of the log; the entry as the backend writes it. global.sql says how.
SELECT '0-' || l.id AS id,
       '{"id":' || l.id
         || ',"team_id":' || l.team_id
         || ',"timestamp":' || '"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || ',"slug":' || coalesce(to_json(l.slug)::text, 'null')
         || CASE WHEN l.data NOT IN ('null', 'false', '0', '""')
              THEN ',"data":' || regexp_replace(l.data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM puzzle_state_log AS l
