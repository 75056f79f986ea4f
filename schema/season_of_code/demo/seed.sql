-- A small season with everything in it that has gone wrong in a real one. The same rows every time: no clock, no chance.
-- Meant for an empty database with the tables of tables.sql.

INSERT INTO maintainers (id, ghUsername, full_name) VALUES
  (1, 'maintainer-a', 'Asha Maintainer'),
  (2, 'maintainer-b', 'Bo Maintainer');

-- Sixty accounts. Every tenth has not linked GitHub, every ninth has another status, one has none. Some have earned nothing.
INSERT INTO user_account (id, first_name, middle_name, last_name, email, ghUsername, password, status, bounty, created_at, updated_at)
SELECT i, 'First' || i, CASE WHEN i % 4 = 0 THEN 'M' END, 'Last' || i, 'user' || i || '@example.org',
       CASE WHEN i % 10 <> 0 THEN 'dev-' || lpad(i::text, 2, '0') END,
       'not-a-password',
       CASE WHEN i = 13 THEN NULL ELSE i % 9 <> 0 END,
       (i * 37 % 40) * 25,
       timestamp '2025-11-01 09:00:00' + i * interval '1 hour', timestamp '2025-11-01 09:00:00' + i * interval '1 hour'
FROM generate_series(1, 60) AS i;

-- Names that break quoting, sorting or folding somewhere on the way, and bounties at the edges.
UPDATE user_account AS u
SET ghUsername = n.name, bounty = n.bounty
FROM (VALUES
  (1, 'Upper-Case', 500),
  (2, 'upper-case', 500),
  (3, 'naïve-Ωmega-🚀', 75),
  (4, 'quo"te''d', 300),
  (5, 'back\slash', 300),
  (6, 'with space', 300),
  (7, '%s{}*?[a]', 300),
  (8, '007', 7),
  (11, '-inf', 1),
  (12, repeat('long-', 40), 12),
  (14, E'tab\tand\nline', 14),
  (15, 'in-debt', -25),
  (16, 'nobody-yet', 0),
  (17, 'millionaire', 2000000000)
) AS n (id, name, bounty)
WHERE u.id = n.id;

INSERT INTO repository (id, name, description, url, maintainers, tags, is_internal, on_display, created_at, updated_at)
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, name, 'What it is for', 'https://github.com/soc/' || name, ARRAY['maintainer-a'], tags, n % 2 = 0, true,
       timestamp '2025-10-01 00:00:00', timestamp '2025-10-01 00:00:00'
FROM (VALUES
  (0, 'engine', ARRAY['C++', 'cpp', 'CMake']),                   -- two names of one language
  (1, 'gateway', ARRAY['Go', 'Redis']),
  (2, 'gateway-tools', ARRAY['golang', 'Python']),               -- two languages
  (3, 'notebooks', ARRAY['PY', 'machine-learning']),
  (4, 'web', ARRAY['JavaScript', 'CSS']),
  (5, 'web-old', ARRAY['js', 'Node.js']),
  (6, 'kernel', ARRAY['Rust', 'rs', 'C']),
  (7, 'app', ARRAY['Flutter', 'KT']),
  (8, 'service', ARRAY['JAVA', ' kotlin ']),                     -- blanks
  (9, 'proofs', ARRAY['Haskell']),
  (10, 'docs', ARRAY['documentation', 'good first issue']),      -- no language
  (11, 'empty-tags', ARRAY[]::text[]),
  (12, 'no-tags', NULL),
  (13, 'null-tag', ARRAY[NULL, 'Cpp', 'java', 'python', 'go', 'rust']),
  (14, 'never-used', ARRAY['haskell', 'dart'])
) AS r (n, name, tags);
-- Nobody has written any Zig: its board has the placeholder only.

-- 400 pull requests, two in three merged.
INSERT INTO solutions (url, repo_url, ghUsername, is_merged, created_at, updated_at)
SELECT r.url || '/pull/' || n, r.url, u.ghUsername, n % 3 <> 0,
       timestamp '2025-11-05 10:00:00' + n * interval '7 minutes', timestamp '2025-11-05 10:00:00' + n * interval '7 minutes'
FROM generate_series(1, 400) AS n
JOIN user_account AS u ON u.id = n * 7 % 60 + 1 AND u.ghUsername IS NOT NULL
JOIN repository AS r ON r.id = ('00000000-0000-4000-8000-' || lpad((n % 14)::text, 12, '0'))::uuid
WHERE u.id <> 16
ORDER BY n;

-- One user with 137 more, all in one repository: a sum of 0.001 that drifts when it is added up one by one.
INSERT INTO solutions (url, repo_url, ghUsername, is_merged, created_at, updated_at)
SELECT 'https://github.com/soc/gateway/pull/' || n, 'https://github.com/soc/gateway', 'Upper-Case', true,
       timestamp '2025-11-08 10:00:00' + n * interval '1 minute', timestamp '2025-11-08 10:00:00' + n * interval '1 minute'
FROM generate_series(1001, 1137) AS n;

-- Redelivered webhooks: every fifth row again as it was, once more every twenty-fifth.
INSERT INTO solutions (url, repo_url, ghUsername, is_merged, created_at, updated_at)
SELECT url, repo_url, ghUsername, is_merged, created_at + interval '3 seconds', updated_at + interval '3 seconds' FROM solutions WHERE id % 5 = 0 ORDER BY id;
INSERT INTO solutions (url, repo_url, ghUsername, is_merged, created_at, updated_at)
SELECT url, repo_url, ghUsername, is_merged, created_at + interval '1 hour', updated_at + interval '1 hour' FROM solutions WHERE id % 25 = 0 ORDER BY id;

-- The webhook of the merge has made a row of its own beside the open one; and is_merged is nullable.
INSERT INTO solutions (url, repo_url, ghUsername, is_merged, created_at, updated_at) VALUES
  ('https://github.com/soc/kernel/pull/2001', 'https://github.com/soc/kernel', 'dev-21', false, '2025-11-20 08:00:00', '2025-11-20 08:00:00'),
  ('https://github.com/soc/kernel/pull/2001', 'https://github.com/soc/kernel', 'dev-21', true, '2025-11-20 09:00:00', '2025-11-20 09:00:00'),
  ('https://github.com/soc/kernel/pull/2002', 'https://github.com/soc/kernel', 'dev-21', NULL, '2025-11-20 10:00:00', '2025-11-20 10:00:00');

-- A bounty paid twice by a redelivery, and a penalty. The bounty column is what the boards show; the log is how it came about.
INSERT INTO bounty_log (ghUsername, dispatched_by, proof_url, amount, created_at) VALUES
  ('Upper-Case', 'maintainer-a', 'https://github.com/soc/gateway/pull/1001', 250, '2025-11-09 12:00:00'),
  ('Upper-Case', 'maintainer-a', 'https://github.com/soc/gateway/pull/1001', 250, '2025-11-09 12:00:04'),
  ('in-debt', 'maintainer-b', 'https://github.com/soc/web/issues/4', -25, '2025-11-10 12:00:00');

INSERT INTO issues (id, title, repoUrl, url, tags, difficulty, resolved, bounty_promised, created_at, updated_at) VALUES
  ('00000000-0000-4000-9000-000000000001', 'Flaky test', 'https://github.com/soc/web', 'https://github.com/soc/web/issues/4', ARRAY['bug'], 'EASY', false, 50, '2025-11-02 00:00:00', '2025-11-02 00:00:00');
INSERT INTO issue_claims (id, ghUsername, issue_url, claimed_on, elapsed_on) VALUES
  ('00000000-0000-4000-a000-000000000001', 'in-debt', 'https://github.com/soc/web/issues/4', '2025-11-03 00:00:00', '2025-11-10 00:00:00');

INSERT INTO badge_info (name, description)
SELECT b.name, 'How it is earned' FROM unnest(ARRAY[
  'Sanitizer', 'Pest Control', 'Planet Cleanser', 'Doc Champ', 'High Charity', 'The Scholar', 'The Gulliver', 'The Oracle', 'Lab Assistant',
  'Quality Assurer', 'Full-Coded Alchemist', ' polygot ', 'Polyglot', 'Jack of All Stacks', 'Hello, Tinkerer', 'Enamoured']) AS b (name);

INSERT INTO badge_dispatch (ghUsername, badge_name, awarded_at) VALUES
  ('Upper-Case', 'Sanitizer', '2025-11-06 00:00:00'),
  ('Upper-Case', 'Pest Control', '2025-11-07 00:00:00'),
  ('Upper-Case', 'Pest Control', '2025-11-07 00:00:02'),        -- redelivered
  ('Upper-Case', 'Planet Cleanser', '2025-11-08 00:00:00'),
  ('upper-case', 'Sanitizer', '2025-11-08 00:00:00'),
  ('naïve-Ωmega-🚀', 'Doc Champ', '2025-11-08 00:00:00'),
  ('dev-21', 'Doc Champ', '2025-11-08 00:00:00'),
  ('dev-21', 'The Scholar', '2025-11-08 00:00:00'),
  ('dev-22', 'The Oracle', '2025-11-12 00:00:00'),              -- the lower ones are missing
  ('dev-23', 'The Scholar', '2025-11-08 00:00:00'),
  ('dev-23', 'The Gulliver', '2025-11-09 00:00:00'),
  ('dev-27', 'Lab Assistant', '2025-11-09 00:00:00'),
  ('dev-24', 'Full-Coded Alchemist', '2025-11-19 00:00:00'),
  ('dev-25', ' polygot ', '2025-11-19 00:00:00'),
  ('dev-26', 'Polyglot', '2025-11-19 00:00:00'),
  ('dev-26', 'Jack of All Stacks', '2025-11-20 00:00:00'),
  ('dev-28', 'Hello, Tinkerer', '2025-11-20 00:00:00'),         -- has no hash
  ('dev-28', 'Enamoured', '2025-11-20 00:00:00');               -- has no hash
-- Nobody has suggested a feature: feature-suggestion-set has the placeholder only.

-- A rename: the foreign keys carry it to the solutions, and no row keeps the old name.
UPDATE user_account SET ghUsername = 'renamed-29' WHERE ghUsername = 'dev-29';

SELECT setval(pg_get_serial_sequence('user_account', 'id'), 60), setval(pg_get_serial_sequence('maintainers', 'id'), 2);
