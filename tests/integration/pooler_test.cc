// Every command that speaks to PostgreSQL, through a pooler that gives each transaction another session.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/pgbouncer.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

/// A stage whose commands know only the pooler.
struct PooledStage {
  SetStage stage;
  PgBouncer pooler{stage.postgres};

  PooledStage() {
    stage.postgres_url = pooler.Url(stage.database);
    static_cast<void>(Sessions());  // before the commands come, so that the pool is full
  }
  explicit PooledStage(const std::string& set) : PooledStage() { stage.set = SchemaFolder(set); }

  void Expect(const std::string& command, int exit_code, const Strings& more = {}) const {
    const CommandResult run = stage.Run(command, more);
    INFO(command << ": " << run);
    CHECK(run.exit_code == exit_code);
  }

  std::string Value(const std::string& sql) const { return stage.postgres.Value(stage.database, sql); }

  /// What is left of our commands where the pool's next client would find it or wait for it. Empty: nothing.
  std::string LeftBehind() const {
    // Asked behind the pooler's back: what other sessions hold.
    std::string left = Value(
        "SELECT concat((SELECT string_agg('advisory lock of ' || pid, ', ') FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())), (SELECT string_agg(state || "
        "': ' || query, ', ') FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> "
        "pg_backend_pid()))");
    for (const auto& [session, of_session] : Sessions()) left += of_session;
    return left;
  }

 private:
  /// Of each session of the pool, by its process: what only the session itself can see. The pooler sets the five
  /// settings that it keeps for each of its clients.
  std::map<std::string, std::string> Sessions() const {
    std::map<std::string, std::string> sessions;
    Await("all sessions of the pool to have answered", [&] {
      const auto answer = QueryAt(
          stage.postgres_url,
          "SELECT pg_backend_pid(), concat((SELECT string_agg('SET ' || name, ', ') FROM pg_settings WHERE source = "
          "'session' AND name NOT IN ('client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings', "
          "'application_name')), (SELECT string_agg('LISTEN ' || channel, ', ') FROM pg_listening_channels() AS "
          "channel), (SELECT string_agg('PREPARE ' || name, ', ') FROM pg_prepared_statements), (SELECT "
          "string_agg('CREATE TEMPORARY ' || relname, ', ') FROM pg_class WHERE relnamespace = pg_my_temp_schema()))");
      sessions[answer.at(0).at(0)] = answer.at(0).at(1);
      return sessions.size() == PgBouncer::kSessions;
    });
    return sessions;
  }
};

TEST_CASE("two migrations at once through a pooler apply each file once", "[pooler]") {
  const PooledStage pooled;
  const SetStage& stage = pooled.stage;
  constexpr int kFiles = 5;
  for (int i = 1; i <= kFiles; ++i) {
    stage.Write("migrations/00" + std::to_string(i) + "_t.sql",
                "CREATE TABLE t" + std::to_string(i) + " (x int);\nSELECT pg_sleep(0.02);");
  }

  Process one = stage.Begin("migrate", {"--json"});
  Process other = stage.Begin("migrate", {"--json"});
  const auto one_code = one.Wait();
  const auto other_code = other.Wait();
  INFO(one.Stdout() << one.Stderr() << other.Stdout() << other.Stderr());
  REQUIRE(one_code == 0);
  REQUIRE(other_code == 0);
  const auto applied = [](const Process& process) {
    return nlohmann::json::parse(process.Stdout()).at("applied").get<int>();
  };
  CHECK(applied(one) + applied(other) == kFiles);
  CHECK(pooled.Value("SELECT count(*) FROM sprockets.migrations WHERE set_name <> 'sprockets'") ==
        std::to_string(kFiles));
  CHECK(pooled.LeftBehind() == "");
}

TEST_CASE("a set is rebuilt and verified through a pooler, and a second rebuild changes nothing", "[pooler]") {
  const std::string set = GENERATE("season_of_code", "activity_log");
  INFO(set);
  PooledStage pooled(set);
  const SetStage& stage = pooled.stage;
  pooled.Expect("migrate", 0);
  for (const char* file : {"demo/tables.sql", "demo/seed.sql"})
    stage.postgres.ExecuteFile(stage.database, stage.set / file);
  const Strings all{"--only", "*"};  // not the users, who have secrets
  pooled.Expect("rebuild", 0, all);
  pooled.Expect("verify", 0, all);
  const auto built = stage.Dump();
  CHECK_FALSE(built.empty());
  const CommandResult again = stage.Run("rebuild", {"--json"});
  INFO(again);
  CHECK(again.exit_code == 0);
  for (const auto& [name, state] : again.States()) CHECK(name + " " + state == name + " unchanged");
  CHECK(stage.Dump() == built);
  pooled.Expect("rebuild", 0, {"--into", "drill:"});
  CHECK(pooled.LeftBehind() == "");
}

TEST_CASE("a set is followed through a pooler", "[pooler]") {
  PooledStage pooled("activity_log");
  const SetStage& stage = pooled.stage;
  pooled.Expect("migrate", 0);
  for (const char* file : {"demo/tables.sql", "demo/seed.sql"})
    stage.postgres.ExecuteFile(stage.database, stage.set / file);
  Process follow = stage.Begin("rebuild", {"--follow"});
  for (int round = 0; round < 5; ++round) {
    stage.Sql("INSERT INTO activity_log (team_id, type) SELECT 1 + i % 3, 'solve' FROM generate_series(1, 50) AS i");
    const std::string highest = pooled.Value("SELECT max(id) FROM activity_log");
    INFO(follow.Stderr());
    REQUIRE(WaitUntil([&] { return stage.redis.Call({"ZSCORE", "activity_log", "1"}).text == highest; }));
  }
  follow.Signal(SIGTERM);
  CHECK(follow.Wait() == 0);
  pooled.Expect("verify", 0, {"--only", "*"});
  CHECK(pooled.LeftBehind() == "");
}

TEST_CASE("what listens for new rows is followed through a pooler by polling, and listens in none of its sessions",
          "[pooler]") {
  const PooledStage pooled;
  const SetStage& stage = pooled.stage;
  stage.MakeLog();
  stage.WriteLog(true);
  Process follow = stage.Begin("rebuild", {"--follow"});
  for (int row = 1; row <= 5; ++row) {
    stage.Sql("INSERT INTO log (entry) VALUES ('x')");
    INFO(follow.Stderr());
    REQUIRE(WaitUntil([&] { return stage.redis.Call({"XLEN", "log"}).integer == row; }));
  }
  follow.Signal(SIGTERM);
  CHECK(follow.Wait() == 0);
  const std::string said = follow.Stderr();
  INFO(said);
  CHECK(said.find("not-listening") != std::string::npos);
  CHECK(said.find("not-listening") == said.rfind("not-listening"));
  pooled.Expect("verify", 0);
  CHECK(pooled.LeftBehind() == "");
}

TEST_CASE("a request to stop is heard while all sessions of the pool are busy", "[pooler]") {
  const PooledStage pooled;
  const SetStage& stage = pooled.stage;
  stage.MakeLog();
  stage.WriteLog(false);
  Process follow = stage.Begin("rebuild", {"--follow"});
  stage.Sql("INSERT INTO log (entry) VALUES ('x')");
  Await("the row to be followed", [&] { return stage.redis.Call({"XLEN", "log"}).integer == 1; });
  std::vector<std::unique_ptr<Process>> busy;
  for (int i = 0; i < PgBouncer::kSessions; ++i) {
    busy.push_back(std::make_unique<Process>(
        Process::Options{.command = {"psql", "--command", "SELECT pg_sleep(300)", stage.postgres_url},
                         .output = stage.folder / ("busy-" + std::to_string(i)),
                         .environment = {}}));
  }
  Await("all sessions to be busy", [&] {
    return pooled.Value(
               "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE "
               "'SELECT pg_sleep%' AND state = 'active'") == std::to_string(PgBouncer::kSessions);
  });
  std::this_thread::sleep_for(1s);  // its next poll has come, and waits for a session
  follow.Signal(SIGTERM);
  CHECK(follow.Wait() == 0);
}

TEST_CASE("a query that is given up in the middle leaves nothing in the pool", "[pooler]") {
  PooledStage pooled;
  const SetStage& stage = pooled.stage;
  stage.Write("rebuild/null.sql",
              "-- redis: zset a\nSELECT i AS member, nullif(i, 1000) AS score FROM generate_series(1, 300000) AS i");
  stage.Write("rebuild/slow.sql", "-- redis: string b\nSELECT 'text' AS value FROM pg_sleep(60)");
  const CommandResult refused = stage.Run("rebuild", {"--only", "null"});
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("score"));
  CHECK(pooled.LeftBehind() == "");

  Process interrupted = stage.Begin("rebuild", {"--only", "slow"});
  Await("its query to run", [&] {
    return pooled.Value(
               "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE "
               "'COPY%' AND state = 'active'") == "1";
  });
  interrupted.Signal(SIGTERM);
  CHECK(interrupted.Wait() == 4);
  CHECK(WaitUntil([&] { return pooled.LeftBehind().empty(); }));
}

TEST_CASE("what a pooler will never allow is not tried again and again", "[pooler]") {
  PooledStage pooled;
  pooled.stage.Write("migrations/001_t.sql", "CREATE TABLE t (x int);");
  pooled.stage.postgres_url = pooled.pooler.Url("nowhere");
  pooled.Expect("migrate", 4);
  pooled.stage.postgres_url = pooled.pooler.Url(pooled.stage.database) + "&options=-cwork_mem%3D1MB";
  pooled.Expect("migrate", 4);
}

}  // namespace
}  // namespace sprockets::harness
