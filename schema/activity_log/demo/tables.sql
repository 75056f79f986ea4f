-- The tables as the backend's own migrations (knex) leave them, for tests and the demonstration. A deployment has them from there: Sprockets
-- never makes them there. No foreign key from team_id: a team may be removed while its events stay.

CREATE TABLE teams (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  username    varchar(255) NOT NULL UNIQUE,
  password    varchar(255),
  deactivated boolean NOT NULL DEFAULT false
);

CREATE TABLE activity_log (
  id                    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "timestamp"           timestamptz NOT NULL DEFAULT now(),
  team_id               integer,                     -- null: the event concerns all teams
  type                  text NOT NULL,
  slug                  varchar(255),
  currency_delta        integer NOT NULL DEFAULT 0,
  data                  jsonb,
  internal_data         jsonb,                       -- for operators
  strong_currency_delta integer NOT NULL DEFAULT 0   -- since January 2025
);

CREATE TABLE team_registration_log (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "timestamp" timestamptz NOT NULL DEFAULT now(),
  team_id     integer NOT NULL,
  type        text NOT NULL,
  data        jsonb
);

CREATE TABLE puzzle_state_log (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  team_id     integer NOT NULL,
  "timestamp" timestamptz NOT NULL DEFAULT now(),
  slug        varchar(255),
  data        jsonb NOT NULL
);

CREATE TABLE team_interaction_states (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  team_id     integer NOT NULL,
  slug        varchar(255) NOT NULL,
  node        varchar(255) NOT NULL,
  predecessor varchar(255),
  "timestamp" timestamptz NOT NULL DEFAULT now(),
  graph_state jsonb
);
