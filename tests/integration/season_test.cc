// season_of_code beside the real services: a database that they migrated, and a Redis that they write.
#include <map>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/integration/set_deployment.h"

namespace sprockets::harness {
namespace {

// What Alfred's goose migrations do, in two steps. The second one fails on tables that somebody else has made.
constexpr const char* kFirstStep = R"(
CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE IF NOT EXISTS maintainers (id SERIAL NOT NULL, ghUsername TEXT NOT NULL UNIQUE, full_name TEXT NOT NULL,
  CONSTRAINT "maintainers_pkey" PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS user_account (id SERIAL NOT NULL, first_name TEXT NOT NULL, middle_name TEXT,
  last_name TEXT NOT NULL, email TEXT NOT NULL, ghUsername TEXT UNIQUE, password TEXT NOT NULL,
  status BOOLEAN DEFAULT true, bounty INT NOT NULL DEFAULT 0, refresh_token TEXT, created_at TIMESTAMP DEFAULT NOW(),
  updated_at TIMESTAMP DEFAULT NOW(), CONSTRAINT "user_account_pkey" PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS repository (id UUID DEFAULT gen_random_uuid(), name TEXT NOT NULL, description TEXT NOT NULL,
  url TEXT NOT NULL UNIQUE, maintainers TEXT[], tags TEXT[], is_internal BOOLEAN DEFAULT false, installation_id BIGINT,
  created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW(),
  CONSTRAINT "repository_pkey" PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS issues (id UUID DEFAULT gen_random_uuid(), title TEXT NOT NULL, repoUrl TEXT NOT NULL
  REFERENCES repository (url), url TEXT NOT NULL UNIQUE, tags TEXT[], difficulty TEXT DEFAULT 'Easy',
  resolved BOOLEAN DEFAULT false, created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW(),
  CONSTRAINT "issues_pkey" PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS solutions (id SERIAL NOT NULL, url TEXT NOT NULL, repo_url TEXT NOT NULL
  REFERENCES repository (url), ghUsername TEXT NOT NULL REFERENCES user_account (ghUsername),
  is_merged BOOLEAN DEFAULT false, created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW(),
  CONSTRAINT "solutions_pkey" PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS badge_info (id SERIAL NOT NULL, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
  CONSTRAINT "badge_info_pkey" PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS badge_dispatch (id SERIAL NOT NULL, ghUsername TEXT NOT NULL REFERENCES
  user_account (ghUsername), badge_name TEXT NOT NULL REFERENCES badge_info (name),
  awarded_at TIMESTAMP DEFAULT NOW(), CONSTRAINT "badge_dispatch_pkey" PRIMARY KEY (id));
)";
constexpr const char* kSecondStep = R"(
ALTER TABLE repository ADD COLUMN on_display BOOLEAN NOT NULL DEFAULT false, DROP COLUMN installation_id;
ALTER TABLE issues ADD COLUMN bounty_promised INTEGER NOT NULL DEFAULT 0;
)";

/// Alfred, DevPool and Gravemind, as far as Redis and PostgreSQL see them. Which short names Gravemind counts under
/// depends on its age.
class Services {
 public:
  Services(const SetStage& stage, bool new_gravemind) : stage_(stage), new_gravemind_(new_gravemind) {
    for (const char* board : {"cpp", "java", "python", "javascript", "go", "rust", "flutter", "kotlin", "haskell"})
      Redis({"ZADD", std::string(board) + "-ranking-sset", "0", "__dummy__"});
    Redis({"ZADD", "leaderboard-sset", "0", "__dummy__"});
    for (const char* hash :
         {"doc-set", "bug-hunter-set", "helper-set", "testing-set", "feature-suggestion-set", "language-set"})
      Redis({"HSETNX", hash, "__dummy__", "0"});
    for (const char* stream :
         {"issue-stream", "bounty-stream", "automatic-events-stream", "solution-merged-stream", "live-update-stream"})
      Redis({"XADD", stream, "*", "__dummy__", "1"});
    stage_.Sql(
        "INSERT INTO repository (name, description, url, tags) VALUES ('go', '', 'u/go', '{Go}'), "
        "('py', '', 'u/py', '{PY}'), ('zig', '', 'u/zig', '{zig}'), ('docs', '', 'u/docs', NULL)");
    stage_.Sql("INSERT INTO badge_info (name, description) VALUES ('Doc Champ', ''), ('Pest Control', '')");
  }

  void Join(const std::string& user, bool status = true) const {
    stage_.Sql(
        "INSERT INTO user_account (first_name, last_name, email, ghUsername, password, status) VALUES ('a', 'b', "
        "'c', '" +
        user + "', 'p', " + (status ? "true" : "false") + ")");
  }
  void Bounty(const std::string& user, int amount) const {
    stage_.Sql("UPDATE user_account SET bounty = bounty + " + std::to_string(amount) + " WHERE ghUsername = '" + user +
               "'");
    Redis({"ZINCRBY", "leaderboard-sset", std::to_string(amount), user});
    Redis({"XADD", "bounty-stream", "*", "data", "{}"});
  }
  void Merge(const std::string& user, const std::string& repository, int count) const {
    static int number = 0;
    for (int i = 0; i < count; ++i) {
      const std::string url = "u/" + repository + "/pull/" + std::to_string(++number);
      stage_.Sql("INSERT INTO solutions (url, repo_url, ghUsername, is_merged) VALUES ('" + url + "', 'u/" +
                 repository + "', '" + user + "', true)");
      Redis({"XADD", "solution-merged-stream", "*", "data", "{}"});
      Redis({"ZINCRBY", "leaderboard-sset", "0.001", user});
      if (repository == "docs") continue;
      const std::string board = repository == "py" && !new_gravemind_ ? "python" : repository;
      Redis({"ZINCRBY", board + "-ranking-sset", "1", user});
    }
  }
  void Achieve(const std::string& user, const std::string& hash, int count, const std::string& badge = "") const {
    Redis({"HINCRBY", hash, user, std::to_string(count)});
    if (!badge.empty())
      stage_.Sql("INSERT INTO badge_dispatch (ghUsername, badge_name) VALUES ('" + user + "', '" + badge + "')");
  }

 private:
  void Redis(const Command& command) const {
    const Reply reply = stage_.redis.Call(command);
    INFO(command[0] << " " << command[1] << ": " << reply);
    REQUIRE(reply.type != Reply::Type::kError);
  }
  const SetStage& stage_;
  const bool new_gravemind_;
};

TEST_CASE("migrate before the services' own migrations or behind them: both work, and the tables are theirs",
          "[season]") {
  for (const bool migrate_first : {true, false}) {
    INFO(migrate_first);
    const Deployment season("season_of_code");
    const SetStage& stage = season.stage;
    if (migrate_first) season.Expect("migrate", 0);
    stage.Sql(kFirstStep);
    // An older database: nothing of the second step is needed.
    season.Expect("rebuild", 0);
    stage.Sql(kSecondStep);
    season.Expect("migrate", 0);
    season.Expect("migrate", 0, {"--dry-run"});
    season.Expect("rebuild", 0);
    CHECK(stage.postgres.Value(stage.database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "7");
    // What is made is the program's own, in a schema of its own; the set needs nothing for itself.
    CHECK(stage.postgres.Value(stage.database, "SELECT string_agg(DISTINCT set_name, ' ') FROM sprockets.migrations") ==
          "sprockets");
  }
}

TEST_CASE("a season that the services play is verified, and a rebuild changes nothing", "[season]") {
  const bool new_gravemind = GENERATE(false, true);
  INFO(new_gravemind);
  Deployment season("season_of_code");
  SetStage& stage = season.stage;
  stage.Sql(std::string(kFirstStep) + kSecondStep);
  season.Expect("migrate", 0);
  season.Expect("access", 0);
  const Services services(stage, new_gravemind);
  for (const char* user : {"ada", "bob", "in-debt", "paid-back", "only-merges"}) services.Join(user);
  services.Join("suspended", false);
  services.Join("never-earned");
  services.Bounty("ada", 50);
  services.Merge("ada", "go", 7);
  services.Merge("ada", "docs", 30);
  services.Bounty("bob", 300);
  services.Merge("bob", "py", 12);
  services.Bounty("in-debt", -25);
  services.Bounty("paid-back", 40);
  services.Bounty("paid-back", -40);
  services.Merge("only-merges", "zig", 2);
  services.Bounty("suspended", 10);
  services.Achieve("ada", "doc-set", 5, "Doc Champ");
  services.Achieve("bob", "bug-hunter-set", 5, "Pest Control");
  services.Achieve("bob", "helper-set", 1);
  // It has drifted.
  CHECK(stage.redis.Call({"ZSCORE", "leaderboard-sset", "ada"}).text != "50.037");

  season.LogInAs("admin");
  const auto before = stage.Dump();
  const CommandResult verified = stage.Run("verify", {"--json"});
  INFO(verified);
  CHECK(verified.exit_code == 0);
  CHECK(verified.Summary().at("result") == "verified");
  CHECK(verified.Summary().at("access_compared") == true);
  season.LogInAs("replayer");
  const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  for (const auto& [name, state] : rebuilt.States()) CHECK(name + " " + state == name + " unchanged");
  CHECK(stage.Dump() == before);

  // One pull request too many, a counter below its badge, a member that nobody knows.
  stage.redis.Call({"ZINCRBY", "leaderboard-sset", "0.001", "bob"});
  stage.redis.Call({"HINCRBY", "doc-set", "ada", "-4"});
  stage.redis.Call({"ZADD", "go-ranking-sset", "3", "old-name"});
  const CommandResult damaged = stage.Run("verify", {"--json"});
  INFO(damaged);
  CHECK(damaged.exit_code == 1);
  CHECK(season.Differences(damaged) == std::vector<Strings>{{"hash", "doc-set", "ada", "different"},
                                                            {"zset", "go-ranking-sset", "old-name", "extra"},
                                                            {"zset", "leaderboard-sset", "bob", "different"}});
  season.Expect("verify", 0, {"--repair"});
  CHECK(stage.redis.Call({"HGET", "doc-set", "ada"}).text == "2");
  CHECK(stage.redis.Call({"HGET", "bug-hunter-set", "bob"}).text == "5");
  CHECK(stage.redis.Call({"ZSCORE", "leaderboard-sset", "bob"}).text == "300.012");

  // A total loss brings back all that SQL knows, under both names.
  stage.redis.Call({"FLUSHALL"});
  season.Expect("rebuild", 0);
  season.Expect("verify", 0, {"--only", "*boards"});
  CHECK(stage.redis.Call({"ZSCORE", "python-ranking-sset", "bob"}).text == "12");
  CHECK(stage.redis.Call({"ZSCORE", "py-ranking-sset", "bob"}).text == "12");
  CHECK(stage.redis.Call({"ZSCORE", "leaderboard-sset", "suspended"}).text == "10");
  CHECK(stage.redis.Call({"ZSCORE", "leaderboard-sset", "never-earned"}).type == Reply::Type::kNull);
}

TEST_CASE("boards on which no service counts yet are right as Alfred has made them", "[season]") {
  Deployment season("season_of_code");
  const SetStage& stage = season.stage;
  stage.Sql(std::string(kFirstStep) + kSecondStep);
  season.Expect("access", 0);
  season.LogInAs("admin");
  const Services services(stage, true);
  services.Join("ada");
  services.Merge("ada", "docs", 1);
  stage.Sql("INSERT INTO solutions (url, repo_url, ghUsername, is_merged) VALUES ('u/go/pull/x', 'u/go', 'ada', true)");
  stage.redis.Call({"ZINCRBY", "leaderboard-sset", "0.001", "ada"});
  season.Expect("verify", 0);
  season.Expect("rebuild", 0);
  CHECK(stage.redis.Call({"ZCARD", "go-ranking-sset"}).integer == 1);
}

}  // namespace
}  // namespace sprockets::harness
