// rebuild --follow beside writers that commit out of order.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/postgres_server.h"
#include "tests/harness/process.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/temp_dir.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

const std::string kSet = SchemaFolder("activity_log");

struct ActivityLog {
  ActivityLog() : postgres(PostgresServer::Shared()), database(postgres.CreateDatabase()), redis(folder.path()) {
    redis.Start();
    postgres.ExecuteFile(database, kSet + "/demo/tables.sql");
    postgres.Execute(database,
                     "INSERT INTO teams (id, username, password) OVERRIDING SYSTEM VALUE SELECT i, 'team-' || i, 'x' "
                     "FROM generate_series(1, 3) AS i");
  }

  std::vector<std::string> Arguments(const std::string& command) const {
    return {command,         "--schema",        kSet, "--postgres", postgres.Url(database), "--redis",
            redis.UnixUrl(), "--postgres-wait", "5s"};
  }

  std::unique_ptr<Process> Follow() const {
    std::vector<std::string> arguments = Arguments("rebuild");
    arguments.push_back("--follow");
    return std::make_unique<Process>(
        Process::Options{.command = ReplayerCommand(arguments), .output = folder.path() / "follow", .environment = {}});
  }

  int64_t Rows() const { return std::stoll(postgres.Value(database, "SELECT count(*) FROM activity_log")); }
  int64_t Entries() const { return redis.Call({"XLEN", "global/activity_log"}).integer; }

  /// Everything is published: the set's last structure says so.
  bool IsFollowed() const {
    const std::string highest = postgres.Value(database, "SELECT max(id) FROM activity_log");
    return Entries() == Rows() && redis.Call({"ZSCORE", "activity_log", "3"}).text == highest;
  }

  PostgresServer& postgres;
  const TempDir folder;
  const std::string database;
  mutable RedisServer redis;
};

/// Transactions of one to four rows, with pauses between them, a fifth of them rolled back: as psql reads them.
std::string WriterScript(unsigned seed, int transactions) {
  std::mt19937 random(seed);
  std::string script;
  for (int i = 0; i < transactions; ++i) {
    script += "BEGIN;\n";
    for (unsigned row = 0; row < 1 + random() % 4; ++row) {
      const std::string team = random() % 4 == 0 ? "NULL" : std::to_string(1 + random() % 3);
      script += "INSERT INTO activity_log (timestamp, team_id, type, data) VALUES (now(), " + team +
                ", 'solve', '{\"writer\": " + std::to_string(seed) + ", \"n\": " + std::to_string(i) + "}');\n";
      if (random() % 2 == 0) script += "SELECT pg_sleep(0.0" + std::to_string(1 + random() % 2) + ");\n";
    }
    script += random() % 5 == 0 ? "ROLLBACK;\n" : "COMMIT;\n";
  }
  return script;
}

/// Runs SQL in a session of its own.
std::unique_ptr<Process> Session(const ActivityLog& log, const std::string& name, const std::string& script) {
  const auto file = log.folder.path() / (name + ".sql");
  std::ofstream(file) << script;
  return std::make_unique<Process>(
      Process::Options{.command = {"psql", "--quiet", "--file", file, log.postgres.Url(log.database)},
                       .output = log.folder.path() / name,
                       .environment = {}});
}

/// What the deployments do today: whatever is above the last id that was seen.
class NaiveFollower {
 public:
  explicit NaiveFollower(const ActivityLog& log) : log_(log), thread_([this] { Run(); }) {}
  size_t Stop() {
    stop_ = true;
    thread_.join();
    return seen_.size();
  }

 private:
  void Run() {
    while (!stop_) {
      const auto rows = log_.postgres.Query(
          log_.database, "SELECT id FROM activity_log WHERE id > " + std::to_string(last_) + " ORDER BY id");
      for (const auto& row : rows) {
        last_ = std::stoll(row[0]);
        seen_.insert(last_);
      }
      std::this_thread::sleep_for(5ms);
    }
  }

  const ActivityLog& log_;
  int64_t last_ = 0;
  std::set<int64_t> seen_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace

TEST_CASE("writers that commit out of order leave no hole in a stream that follows them", "[follow]") {
  ActivityLog log;
  const auto follow = log.Follow();
  NaiveFollower naive(log);
  constexpr unsigned kWriters = 8;
  std::vector<std::unique_ptr<Process>> writers;
  for (unsigned seed = 0; seed < kWriters; ++seed) {
    writers.push_back(Session(log, "writer-" + std::to_string(seed), WriterScript(seed, 150)));
  }
  for (const auto& writer : writers) REQUIRE(writer->Wait(60s) == 0);
  const int64_t rows = log.Rows();
  REQUIRE(rows > 2000);
  REQUIRE(WaitUntil([&] { return log.IsFollowed(); }));
  std::this_thread::sleep_for(50ms);
  // The same writers, and today's way of following them: so the order really was upset.
  CHECK(naive.Stop() < static_cast<size_t>(rows));

  follow->Signal(SIGTERM);
  CHECK(follow->Wait() == 0);
  const RunResult verified = RunReplayer(log.folder.path(), log.Arguments("verify"));
  INFO(verified.out << verified.err);
  CHECK(verified.exit_code == 0);
  CHECK(verified.out.find("verified") != std::string::npos);
}

TEST_CASE("a writer that stays holds later rows back, a reader that stays does not", "[follow]") {
  ActivityLog log;
  const auto follow = log.Follow();
  const std::string insert = "INSERT INTO activity_log (timestamp, type) VALUES (now(), 'solve');\n";
  const auto reader =
      Session(log, "reader",
              "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM activity_log; SELECT pg_sleep(60);\n");
  log.postgres.Execute(log.database, insert);
  REQUIRE(WaitUntil([&] { return log.Entries() == 1; }));

  const auto writer = Session(log, "writer", "BEGIN;\n" + insert + "SELECT pg_sleep(2);\nCOMMIT;\n");
  REQUIRE(WaitUntil([&] {
    return log.postgres.Value(log.database,
                              "SELECT count(*) FROM pg_locks WHERE relation = 'activity_log'::regclass AND mode = "
                              "'RowExclusiveLock'") != "0";
  }));
  log.postgres.Execute(log.database, insert);
  // Visible in SQL, with a higher id than the writer's: it must wait for it.
  std::this_thread::sleep_for(1s);
  CHECK(log.Rows() == 2);
  CHECK(log.Entries() == 1);
  REQUIRE(writer->Wait(20s) == 0);
  REQUIRE(WaitUntil([&] { return log.Entries() == 3; }));
}

TEST_CASE("following goes on where a killed one was, and over a PostgreSQL that was away", "[follow]") {
  ActivityLog log;
  const std::string insert =
      "INSERT INTO activity_log (timestamp, team_id, type) SELECT now(), 1, 'solve' FROM generate_series(1, 50)";
  for (int life = 1; life <= 3; ++life) {
    const auto follow = log.Follow();
    log.postgres.Execute(log.database, insert);
    REQUIRE(WaitUntil([&] { return log.IsFollowed(); }));
    log.postgres.Execute(log.database, insert);
    follow->Kill9();
  }
  const auto follow = log.Follow();
  REQUIRE(WaitUntil([&] { return log.IsFollowed(); }));
  log.redis.Kill9();
  log.redis.Start();
  log.postgres.Execute(log.database, insert);
  REQUIRE(WaitUntil([&] { return log.IsFollowed(); }));
  follow->Signal(SIGTERM);
  CHECK(follow->Wait() == 0);
  CHECK(RunReplayer(log.folder.path(), log.Arguments("verify")).exit_code == 0);
}

TEST_CASE("a notification spares a row the wait for the next poll", "[follow]") {
  const SetStage stage;
  stage.MakeLog();
  stage.WriteLog(true);
  // So long that a row which arrives at all was told of.
  Process follow = stage.Begin("rebuild", {"--follow", "--poll", "10m"});
  int rows = 0;
  const auto insert = [&] {
    stage.Sql("INSERT INTO log (entry) VALUES ('x')");
    ++rows;
    Await("the row to be followed", [&] { return stage.redis.Call({"XLEN", "log"}).integer == rows; });
  };
  // It may fall into the first rebuild, those that come later do not.
  for (int i = 0; i < 10; ++i) insert();

  // A new connection listens again.
  stage.Sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name "
      "= 'sprockets-replayer'");
  for (int i = 0; i < 10; ++i) insert();

  follow.Signal(SIGTERM);
  CHECK(follow.Wait() == 0);
  const std::string said = follow.Stderr();
  INFO(said);
  CHECK(said.find("follow-interrupted") != std::string::npos);
  CHECK(said.find("not-listening") == std::string::npos);
}

TEST_CASE("a database that was restored under a kept Redis is noticed", "[follow]") {
  ActivityLog log;
  log.postgres.Execute(log.database,
                       "INSERT INTO activity_log (timestamp, type) SELECT now(), 'solve' FROM generate_series(1, 20)");
  REQUIRE(RunReplayer(log.folder.path(), log.Arguments("rebuild")).exit_code == 0);
  log.postgres.Execute(log.database, "DELETE FROM activity_log WHERE id > 15");
  const auto follow = log.Follow();
  CHECK(follow->Wait() == 4);
  CHECK(follow->Stderr().find("restored") != std::string::npos);
  CHECK(log.Entries() == 20);
}

}  // namespace sprockets::harness
