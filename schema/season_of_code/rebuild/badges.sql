-- redis: hash
-- values: at-least
-- ignore-members: __dummy__
--
-- Counters behind the badges: username -> how many contributions of that kind. PostgreSQL does not hold the counters, only the badges,
-- and a badge is awarded when its counter reaches a certain number. So the number behind the highest badge that the user has is the least
-- that the counter can be. A live counter is that large or larger; a lost one comes back as that number, so no badge is given twice.
-- The same badge twice, from a redelivered event, changes nothing. Badges of other kinds (pull requests, impact, issues, streaks) have no
-- hash, and names that are not listed are passed over. `Polygot` is how the deployment spells it; the right spelling is taken as well.
-- `__dummy__` with 0 is the placeholder that the services put into a hash that is missing; see leaderboard.sql.
WITH badge (key, badge_name, counter) AS (
  VALUES
    ('bug-hunter-set', 'sanitizer', 1),
    ('bug-hunter-set', 'pest control', 5),
    ('bug-hunter-set', 'planet cleanser', 10),
    ('doc-set', 'doc champ', 2),
    ('feature-suggestion-set', 'high charity', 2),
    ('helper-set', 'the scholar', 1),
    ('helper-set', 'the gulliver', 3),
    ('helper-set', 'the oracle', 5),
    ('testing-set', 'lab assistant', 1),
    ('testing-set', 'quality assurer', 5),
    ('testing-set', 'full-coded alchemist', 10),
    ('language-set', 'polygot', 3),
    ('language-set', 'polyglot', 3),
    ('language-set', 'jack of all stacks', 5)
)
SELECT b.key, d.ghUsername AS field, max(b.counter) AS value
FROM badge_dispatch AS d
JOIN badge AS b ON b.badge_name = lower(btrim(d.badge_name))
WHERE d.ghUsername IS NOT NULL AND d.ghUsername <> '__dummy__'
GROUP BY b.key, d.ghUsername
UNION ALL
SELECT DISTINCT key, '__dummy__', 0
FROM badge
WHERE EXISTS (SELECT FROM user_account WHERE ghUsername IS NOT NULL)
