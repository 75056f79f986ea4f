-- key: leaderboard:global:{timeframe}
-- scoped-key: leaderboard:project:{scope}:{timeframe}
-- scoped-key: leaderboard:{scope}:{timeframe}
-- timeframe: all_time
-- timeframe: yearly yearly:%Y
-- timeframe: monthly monthly:%Y-%m
-- timeframe: weekly weekly:%G-W%V
-- timeframe: daily daily:%Y-%m-%d
-- ids: numbers
--
-- The boards of the periods that it is now, of all projects or of one. The second key is that of the option `project_scope` = `plain`.
SELECT t.user_id::text AS member, t.score
FROM sprockets.leaderboard_totals AS t
WHERE t.timeframe = $1::text AND t.repository_id = coalesce($2::numeric, -1)
  AND t.begins = (SELECT CASE $1::text WHEN 'yearly' THEN date_trunc('year', utc) WHEN 'monthly' THEN date_trunc('month', utc)
                                       WHEN 'weekly' THEN date_trunc('week', utc) WHEN 'daily' THEN utc ELSE '0001-01-01' END::date
                  FROM (SELECT now() AT TIME ZONE 'UTC' AS utc) AS clock)
