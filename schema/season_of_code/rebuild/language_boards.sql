-- redis: zset
-- keys: *-ranking-sset
-- scores: integers
-- ignore-members: __dummy__
-- unused-keys: allowed
--
-- One board a language, score = merged pull requests (each url once) in repositories that carry a tag of that language. A repository with
-- several languages feeds several boards; two tags of one language count once; a tag that is no language feeds none.
-- Tags are compared in lower case without blanks around them. A new alias is a new line in `alias`.
-- Services of different age know three boards by a long or a short name, so those are given twice, with the same members. A live Redis has
-- members under the name that its services count under, and the other board is unused: not there, or with the placeholder only. So are all
-- of them while no service counts on the language boards. After a loss every board is built.
-- `__dummy__` with 0 keeps the board of a language that nobody has used yet, as the services have it; see leaderboard.sql.
WITH alias (tag, language) AS (
  VALUES
    ('cpp', 'cpp'), ('c++', 'cpp'), ('cxx', 'cpp'), ('cplusplus', 'cpp'),
    ('java', 'java'),
    ('python', 'python'), ('py', 'python'), ('python3', 'python'),
    ('javascript', 'javascript'), ('js', 'javascript'), ('ecmascript', 'javascript'),
    ('node', 'javascript'), ('nodejs', 'javascript'), ('node.js', 'javascript'),
    ('go', 'go'), ('golang', 'go'),
    ('rust', 'rust'), ('rs', 'rust'), ('rustlang', 'rust'), ('rust-lang', 'rust'),
    ('flutter', 'flutter'), ('dart', 'flutter'),
    ('kotlin', 'kotlin'), ('kt', 'kotlin'),
    ('haskell', 'haskell'), ('hs', 'haskell'),
    ('zig', 'zig'), ('ziglang', 'zig')
),
board (key, language) AS (
  VALUES
    ('cpp-ranking-sset', 'cpp'),
    ('java-ranking-sset', 'java'),
    ('python-ranking-sset', 'python'),
    ('javascript-ranking-sset', 'javascript'),
    ('go-ranking-sset', 'go'),
    ('rust-ranking-sset', 'rust'),
    ('flutter-ranking-sset', 'flutter'),
    ('kotlin-ranking-sset', 'kotlin'),
    ('haskell-ranking-sset', 'haskell'),
    ('zig-ranking-sset', 'zig'),
    ('py-ranking-sset', 'python'),
    ('js-ranking-sset', 'javascript'),
    ('rs-ranking-sset', 'rust')
),
repository_language AS (
  SELECT DISTINCT r.url AS repo_url, a.language
  FROM repository AS r
  CROSS JOIN LATERAL unnest(r.tags) AS t (tag)
  JOIN alias AS a ON a.tag = lower(btrim(t.tag))
),
score AS (
  SELECT l.language, s.ghUsername AS member, count(DISTINCT s.url) AS score
  FROM solutions AS s
  JOIN repository_language AS l ON l.repo_url = s.repo_url
  WHERE s.is_merged AND s.ghUsername <> '__dummy__'
  GROUP BY l.language, s.ghUsername
)
SELECT b.key, s.member, s.score
FROM board AS b
JOIN score AS s ON s.language = b.language
UNION ALL
SELECT b.key, '__dummy__', 0
FROM board AS b
WHERE EXISTS (SELECT FROM user_account WHERE ghUsername IS NOT NULL)
