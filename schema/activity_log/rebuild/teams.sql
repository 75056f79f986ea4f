-- redis: stream
-- keys: activity_log/*
-- up-to: activity_log
-- follow: activity_log id
--
-- A stream for each team of `teams`: the events of that team and the events for all. Same ids and same entries as in global/activity_log;
-- what is said there about `entry` holds here. A team that has no event yet has no stream, and one that was removed has none any more.
-- The backend fills a team's stream when somebody asks for the team, and then writes its mark: entries above the mark may be missing.
SELECT 'activity_log/' || l.team AS key,
       '0-' || l.id AS id,
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
  SELECT t.id AS team, own.* FROM teams AS t JOIN LATERAL (
    SELECT id, "timestamp", team_id, type, slug, currency_delta, strong_currency_delta, data, internal_data
    FROM activity_log WHERE team_id = t.id
  ) AS own ON true
  UNION ALL
  SELECT t.id, shared.* FROM teams AS t CROSS JOIN LATERAL (
    SELECT id, "timestamp", team_id, type, slug, currency_delta, strong_currency_delta, data, internal_data
    FROM activity_log WHERE team_id IS NULL
  ) AS shared
) AS l
