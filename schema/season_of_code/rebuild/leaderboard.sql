-- redis: zset leaderboard-sset
-- tolerance: 1e-6
-- zeros: optional
-- ignore-members: __dummy__
--
-- Score: bounty + 0.001 x merged pull requests. Readers take the bounty from before the point and the count from behind it.
-- The sum is taken in numeric and becomes a double only at the end, so it is the double nearest to the decimal. The live board adds
-- 0.001 again and again and drifts in the last places, which the tolerance covers: it is far below one pull request.
-- A pull request counts once, however many rows a redelivered webhook has made of it.
-- Listed is who has a username and has earned something, or owes it. The services never write a 0 for a user, but a bounty and a penalty may
-- leave one. They do not ask for `status` either.
-- `__dummy__` with 0 is the placeholder that the services put into a board that is missing. It comes only where there is a user: an emptied
-- database then gives no row at all, and the guard against empty sources can see it.
SELECT u.ghUsername AS member,
       (coalesce(u.bounty, 0) + 0.001 * coalesce(m.pull_requests, 0))::float8 AS score
FROM user_account AS u
LEFT JOIN (
  SELECT ghUsername, count(DISTINCT url) AS pull_requests
  FROM solutions
  WHERE is_merged
  GROUP BY ghUsername
) AS m ON m.ghUsername = u.ghUsername
WHERE u.ghUsername IS NOT NULL AND u.ghUsername <> '__dummy__' AND (u.bounty <> 0 OR m.pull_requests > 0)
UNION ALL
SELECT '__dummy__', 0
WHERE EXISTS (SELECT FROM user_account WHERE ghUsername IS NOT NULL)
