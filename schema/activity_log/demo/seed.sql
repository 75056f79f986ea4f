-- A small hunt with everything in its log that is hard to copy. The same rows every time: no clock, no chance.
-- Meant for an empty database with the tables of tables.sql.

INSERT INTO teams (id, username, password) OVERRIDING SYSTEM VALUE
SELECT i, 'team-' || i, 'not-a-password' FROM generate_series(1, 12) AS i;

-- 300 events; ids 50 to 59 and every id that 17 divides were rolled back. Every sixth event is for all teams. Team 12 has none of its own.
INSERT INTO activity_log (id, "timestamp", team_id, type, slug, currency_delta, data, internal_data) OVERRIDING SYSTEM VALUE
SELECT i,
       timestamptz '2025-01-17 17:00:00+00' + i * interval '61.007 seconds',
       CASE WHEN i % 6 <> 0 THEN i % 11 + 1 END,
       (ARRAY['puzzle_unlocked', 'puzzle_guess_submitted', 'puzzle_solved', 'round_unlocked', 'currency_adjusted'])[i % 5 + 1],
       CASE WHEN i % 5 <> 4 THEN 'slot-' || i % 40 END,
       CASE WHEN i % 5 = 4 THEN i % 7 - 3 ELSE 0 END,
       CASE WHEN i % 5 = 1 THEN jsonb_build_object('canonical_input', 'GUESS' || i, 'correct', i % 2 = 0) END,
       CASE WHEN i % 9 = 0 THEN jsonb_build_object('operator', 'secret') END
FROM generate_series(1, 300) AS i
WHERE i % 17 <> 0 AND i NOT BETWEEN 50 AND 59;

INSERT INTO activity_log (id, "timestamp", team_id, type, slug, currency_delta, data, internal_data) OVERRIDING SYSTEM VALUE VALUES
  -- times: no fraction, more than milliseconds, another zone, one that must not be rounded up into the next year
  (301, '2025-01-17 23:00:00+00', NULL, 'round_unlocked', 'the_murder', 0, NULL, NULL),
  (302, '2025-01-17 23:00:00.123987+00', 1, 'puzzle_unlocked', 'a', 0, NULL, NULL),
  (303, '2025-01-18 04:30:00.5+05:30', 1, 'puzzle_unlocked', 'b', 0, NULL, NULL),
  (304, '2025-12-31 23:59:59.999999+00', 2, 'puzzle_unlocked', 'c', 0, NULL, NULL),
  -- fields that are empty in several ways
  (305, '2025-01-18 00:00:00.001+00', 2, 'puzzle_unlocked', '', 0, 'null', '{"why": "hidden"}'),
  (306, '2025-01-18 00:00:01+00', 2, 'interaction_completed', 'x', 0, '{}', '{}'),
  (307, '2025-01-18 00:00:02+00', 2, 'interaction_completed', 'x', 0, '[]', NULL),
  -- text and JSON that break quoting
  (308, '2025-01-18 00:00:03+00', 3, 'puzzle_guess_submitted', E'quo"te\\back\nline\tтест🚀/', -5,
   '{"b": "two  blanks, a \" and : \\", "a": [1, 2.50, 1.0, 10, 0.505, 1.00500, -0.10, null, true, {"deep": " 1.0 "}], "": "", "ключ": "🚀\u0001"}', NULL),
  -- a team that is gone: in the global stream only
  (400, '2025-01-18 00:00:04+00', 99, 'puzzle_solved', 'slot-1', 10, NULL, NULL),
  -- the last one is for all, behind a large gap
  (5000, '2025-01-18 00:00:05+00', NULL, 'gate_completed', 'gate', 0, NULL, NULL);

UPDATE activity_log SET strong_currency_delta = 2 WHERE id IN (302, 5000);

INSERT INTO team_registration_log (team_id, "timestamp", type, data)
SELECT i, timestamptz '2025-01-01 12:00:00+00', 'team_registered', jsonb_build_object('name', 'Team ' || i) FROM generate_series(1, 12) AS i;
INSERT INTO puzzle_state_log (team_id, "timestamp", slug, data) VALUES
  (1, '2025-01-18 00:00:00.25+00', 'control_room', '{"room": 1.50}'),
  (2, '2025-01-18 00:00:01+00', NULL, '{}');
INSERT INTO team_interaction_states (team_id, "timestamp", slug, node, predecessor, graph_state) VALUES
  (1, '2025-01-18 00:00:00+00', 'the_vault', 'start', NULL, NULL),
  (1, '2025-01-18 00:00:01+00', 'the_vault', 'door', 'start', '{"seen": ["start"]}');

SELECT setval(pg_get_serial_sequence('teams', 'id'), 12), setval(pg_get_serial_sequence('activity_log', 'id'), 5000);
