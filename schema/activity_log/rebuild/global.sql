-- redis: stream global/activity_log
-- follow: activity_log id
-- publish: global/activity_log
--
-- Every row of the log, with the ids of the table. Gaps are rolled-back transactions and are right.
-- `entry` is what the backend writes with JSON.stringify: its members in its order, no blanks, the time in UTC cut to milliseconds. A field
-- without a value is left out: team_id of an event for all teams, an empty slug, data that is null. A currency_delta of 0 and an empty
-- object are values and stay. internal_data never leaves the database.
-- PostgreSQL prints jsonb with a blank behind `:` and `,`, and 2.50 as it was stored. The expression steps over strings as a whole and drops
-- blanks and closing zeros between them. JSON.stringify still writes two things otherwise, with the same meaning: members whose names
-- are integers come first there, and numbers from 1e21 or below 1e-6 have an exponent.
SELECT '0-' || id AS id,
       '{"id":' || id
         || coalesce(',"team_id":' || team_id, '')
         || ',"timestamp":"' || to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || coalesce(',"currency_delta":' || currency_delta, '')
         || ',"type":' || to_json(type)::text
         || coalesce(',"slug":' || to_json(nullif(slug, ''))::text, '')
         || CASE WHEN data NOT IN ('null', 'false', '0', '""')
              THEN ',"data":' || regexp_replace(data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM activity_log
