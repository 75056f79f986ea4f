-- The tables as Alfred's own migrations leave them, for tests and the demonstration. A deployment has them from Alfred: Sprockets never makes
-- them there. Names in camel case are not quoted, so PostgreSQL folds them to lower case.

CREATE TABLE maintainers (
  id         serial PRIMARY KEY,
  ghUsername text NOT NULL UNIQUE,
  full_name  text NOT NULL
);

CREATE TABLE user_account (
  id            serial PRIMARY KEY,
  first_name    text NOT NULL,
  middle_name   text,
  last_name     text NOT NULL,
  email         text NOT NULL,
  ghUsername    text UNIQUE,           -- null until the account is linked
  password      text NOT NULL,
  status        boolean DEFAULT true,  -- nobody asks for it
  bounty        integer NOT NULL DEFAULT 0,
  refresh_token text,
  created_at    timestamp DEFAULT now(),
  updated_at    timestamp DEFAULT now()
);

CREATE TABLE repository (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name        text NOT NULL,
  description text NOT NULL,
  url         text NOT NULL UNIQUE,
  maintainers text[],
  tags        text[],                  -- written by people: any case, any of several names for a language
  is_internal boolean DEFAULT false,
  created_at  timestamp DEFAULT now(),
  updated_at  timestamp DEFAULT now(),
  on_display  boolean NOT NULL DEFAULT false
);

CREATE TABLE issues (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  title           text NOT NULL,
  repoUrl         text NOT NULL REFERENCES repository (url) ON UPDATE CASCADE ON DELETE RESTRICT,
  url             text NOT NULL UNIQUE,
  tags            text[],
  difficulty      text NOT NULL DEFAULT 'EASY',
  resolved        boolean DEFAULT false,
  created_at      timestamp DEFAULT now(),
  updated_at      timestamp DEFAULT now(),
  bounty_promised integer NOT NULL DEFAULT 0
);

CREATE TABLE issue_claims (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  ghUsername text NOT NULL REFERENCES user_account (ghUsername) ON UPDATE CASCADE ON DELETE RESTRICT,
  issue_url  text NOT NULL,
  claimed_on timestamp NOT NULL,
  elapsed_on timestamp NOT NULL
);

-- url is not unique: a redelivered webhook inserts its pull request again.
CREATE TABLE solutions (
  id         serial PRIMARY KEY,
  url        text NOT NULL,
  repo_url   text NOT NULL REFERENCES repository (url) ON UPDATE CASCADE ON DELETE RESTRICT,
  ghUsername text NOT NULL REFERENCES user_account (ghUsername) ON UPDATE CASCADE ON DELETE RESTRICT,
  is_merged  boolean DEFAULT false,
  created_at timestamp DEFAULT now(),
  updated_at timestamp DEFAULT now()
);

CREATE TABLE bounty_log (
  id            serial PRIMARY KEY,
  ghUsername    text NOT NULL REFERENCES user_account (ghUsername) ON UPDATE CASCADE ON DELETE RESTRICT,
  dispatched_by text NOT NULL REFERENCES maintainers (ghUsername) ON UPDATE CASCADE ON DELETE RESTRICT,
  proof_url     text NOT NULL,
  amount        integer NOT NULL,
  created_at    timestamp DEFAULT now()
);

CREATE TABLE badge_info (
  id          serial PRIMARY KEY,
  name        text NOT NULL UNIQUE,
  description text NOT NULL
);

CREATE TABLE badge_dispatch (
  id         serial PRIMARY KEY,
  ghUsername text NOT NULL REFERENCES user_account (ghUsername) ON UPDATE CASCADE ON DELETE RESTRICT,
  badge_name text NOT NULL REFERENCES badge_info (name) ON UPDATE CASCADE ON DELETE RESTRICT,
  awarded_at timestamp DEFAULT now()
);
