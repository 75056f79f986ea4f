-- redis: zset
-- keys: leaderboard:*
-- scores: integers
-- if-table: sprockets.leaderboard_totals
--
-- Every board that has not ended, from the totals that `archive` keeps.
SELECT sprockets.leaderboard_key(t.timeframe, t.begins, t.repository_id, s.project_scope) AS key, t.user_id::text AS member, t.score,
       sprockets.leaderboard_end(t.timeframe, t.begins, s.keep_after) AS expire_at
FROM sprockets.leaderboard_totals AS t
CROSS JOIN sprockets.leaderboard_settings AS s
-- Boards that ended long ago are not even looked at; of the others, `expire_at` says whether they are to be there.
WHERE t.timeframe = 'all_time' OR t.begins > (now() AT TIME ZONE 'UTC')::date - s.keep_after - interval '367 days'
