-- redis: stream
-- keys: activity_log/*
-- follow: activity_log id
--
-- A stream for each team of `teams`: the events of that team and the events for all. Same ids and same entries as in global/activity_log;
-- what is said there about `entry` holds here. A team that has no event yet has no stream, and one that was removed has none any more.
SELECT 'activity_log/' || l.team AS key,
       '0-' || l.id AS id,
       '{"id":' || l.id
         || coalesce(',"team_id":' || l.team_id, '')
         || ',"timestamp":"' || to_char(l."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
         || coalesce(',"currency_delta":' || l.currency_delta, '')
         || ',"type":' || to_json(l.type)::text
         || coalesce(',"slug":' || to_json(nullif(l.slug, ''))::text, '')
         || CASE WHEN l.data NOT IN ('null', 'false', '0', '""')
              THEN ',"data":' || regexp_replace(l.data::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])| ', '\1\2', 'g') ELSE '' END
         || '}' AS entry
FROM (
  SELECT t.id AS team, own.* FROM teams AS t JOIN activity_log AS own ON own.team_id = t.id
  UNION ALL
  SELECT t.id, shared.* FROM teams AS t CROSS JOIN activity_log AS shared WHERE shared.team_id IS NULL
) AS l
