-- redis: stream global/activity_log
-- follow: activity_log id
-- publish: global/activity_log
--
-- Every row of the log, with the ids of the table. Gaps are rolled-back transactions and are right.
-- `entry` is what the backend writes with JSON.stringify: its members in its order, no blanks, the time in UTC cut to milliseconds. A field
-- without a value is left out: team_id of an event for all teams, an empty slug, data and internal_data that are null. A currency_delta of 0
-- and an empty object are values and stay.
-- Older tables lack strong_currency_delta or internal_data. Their names then mean the columns of `absent`, which are null, and the entry is
-- what the backend of that age writes: without them.
-- PostgreSQL prints jsonb with a blank behind `:` and `,`, and 2.50 as it was stored. The expression steps over strings as a whole and drops
-- blanks and closing zeros between them. JSON.stringify still writes two things otherwise, with the same meaning: members whose names
-- are integers come first there, and numbers from 1e21 or below 1e-6 have an exponent.
SELECT '0-' || l.id AS id,
       '{"id":' || l.id
         || coalesce(',"team_id":' || l.team_id, '')
         || ',"timestamp":' || '"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || coalesce(',"currency_delta":' || l.currency_delta, '')
         || coalesce(',"strong_currency_delta":' || l.strong_currency_delta, '')
         || ',"type":' || to_json(l.type)::text
         || coalesce(',"slug":' || to_json(nullif(l.slug, ''))::text, '')
         || CASE WHEN l.data NOT IN ('null', 'false', '0', '""')
              THEN ',"data":' || regexp_replace(l.data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || CASE WHEN l.internal_data NOT IN ('null', 'false', '0', '""')
              THEN ',"internal_data":' || regexp_replace(l.internal_data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM (SELECT NULL::integer AS strong_currency_delta, NULL::jsonb AS internal_data) AS absent
CROSS JOIN LATERAL (
  SELECT id, "timestamp", team_id, type, slug, currency_delta, strong_currency_delta, data, internal_data
  FROM activity_log
) AS l
