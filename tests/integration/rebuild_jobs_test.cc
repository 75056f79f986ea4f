// Several structures at once: what overlaps, what stays in order, and what becomes of the others when one ends badly.
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/pgbouncer.h"
#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

/// A stage whose queries can be held up: wait_for_gate() is 0, but not before OpenGate. A sequence shows its value to
/// everybody at once, also to a transaction that sees an old state of the database.
struct GateStage : SetStage {
  GateStage() {
    Sql("CREATE SEQUENCE gate");
    Sql("CREATE FUNCTION wait_for_gate() RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        "WHILE (SELECT last_value FROM gate) = 1 LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN 0; END $$");
  }

  void OpenGate() const { Sql("SELECT setval('gate', 2)"); }
  /// rebuild/<name>.sql: the zset <name> of ten members.
  void WriteFast(const std::string& name) const {
    Write("rebuild/" + name + ".sql",
          "-- redis: zset " + name + "\nSELECT 'm' || i AS member, i AS score FROM generate_series(1, 10) i");
  }
  void WriteGated(const std::string& name) const {
    Write("rebuild/" + name + ".sql",
          "-- redis: zset " + name +
              "\nSELECT 'm' || i AS member, i + wait_for_gate() AS score FROM generate_series(1, 10) i");
  }
  /// It takes a second, in which whoever helps comes.
  void WriteSlow(const std::string& name) const {
    Write("rebuild/" + name + ".sql",
          "-- redis: zset " + name +
              "\nSELECT 'm' || i AS member, i + length(pg_sleep(0.05)::text) AS score FROM generate_series(1, 10) i");
  }
  bool Has(const std::string& key) const { return redis.Call({"EXISTS", key}).integer == 1; }
  bool HasAll(const std::string& key) const { return redis.Call({"ZCARD", key}).integer == 10; }

  int Connections(const std::string& condition) const {
    return std::stoi(postgres.Value(
        database, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND " + condition));
  }
  void AwaitAtGate(int count) const {
    Await("queries at the gate", [&] { return Connections("query LIKE 'COPY%wait_for_gate%'") == count; });
  }
  /// Until `key` is loaded, and its connection has nothing to do but to wait. (Or until it is swapped, which it should
  /// not be.)
  void AwaitLoaded(const std::string& key) const {
    Await("a structure that is ready", [&] {
      if (Has(key)) return true;
      for (const std::string& own : OwnKeys()) {
        if (own.ends_with(":" + key)) return Connections("state = 'idle in transaction'") > 0;
      }
      return false;
    });
    std::this_thread::sleep_for(200ms);
  }
};

// ---- Side by side ----

TEST_CASE("structures are built at the same time", "[rebuild_jobs]") {
  GateStage stage;
  for (const char* name : {"a", "b", "c"}) stage.WriteGated(name);
  Process rebuild = stage.Begin("rebuild", {"--jobs", "2"});
  stage.AwaitAtGate(2);
  stage.OpenGate();
  CHECK(rebuild.Wait() == 0);
  INFO(rebuild.Stderr());
  for (const char* name : {"a", "b", "c"}) CHECK(stage.HasAll(name));
  CHECK(stage.OwnKeys().empty());
  CHECK(stage.Run("verify").exit_code == 0);
}

TEST_CASE("with one job nothing is built at the same time", "[rebuild_jobs]") {
  GateStage stage;
  stage.WriteGated("a");
  stage.WriteFast("b");
  Process rebuild = stage.Begin("rebuild", {"--jobs", "1"});
  stage.AwaitAtGate(1);
  CHECK(stage.Connections("application_name = 'sprockets-replayer'") == 1);
  CHECK(stage.OwnKeys().empty());
  stage.OpenGate();
  CHECK(rebuild.Wait() == 0);
  for (const char* name : {"a", "b"}) CHECK(stage.HasAll(name));
}

TEST_CASE("what is ready first does not appear before what is named first", "[rebuild_jobs]") {
  GateStage stage;
  stage.WriteGated("a");
  stage.Write("rebuild/b.sql", "-- redis: stream b\nSELECT '0-' || i AS id, i AS entry FROM generate_series(1, 10) i");
  stage.WriteFast("c");
  Process rebuild = stage.Begin("rebuild", {"--json"});
  stage.AwaitLoaded("b");
  stage.AwaitLoaded("c");
  for (const char* name : {"a", "b", "c"}) CHECK_FALSE(stage.Has(name));
  stage.OpenGate();
  CHECK(rebuild.Wait() == 0);
  INFO(rebuild.Stderr());
  for (const char* name : {"a", "c"}) CHECK(stage.HasAll(name));
  CHECK(stage.redis.Call({"XLEN", "b"}).integer == 10);
  std::string names;
  const nlohmann::json summary = nlohmann::json::parse(rebuild.Stdout());
  for (const auto& structure : summary.at("structures")) names += structure.at("name").get<std::string>();
  CHECK(names == "abc");
}

TEST_CASE("all see one state of the database while others write", "[rebuild_jobs]") {
  GateStage stage;
  stage.Sql("CREATE TABLE log AS SELECT 0 AS id");
  const std::vector<std::string> names{"a", "b", "c", "d"};
  for (const std::string& name : names)
    stage.Write("rebuild/" + name + ".sql",
                "-- redis: zset " + name +
                    "\nSELECT 'last' AS member, max(id) + length(pg_sleep(0.3)::text) AS score FROM log");
  std::thread writer([&] {
    stage.Sql(
        "DO $$ BEGIN WHILE (SELECT last_value FROM gate) = 1 LOOP "
        "INSERT INTO log SELECT max(id) + 1 FROM log; COMMIT; PERFORM pg_sleep(0.0005); END LOOP; END $$");
  });
  Await("the writer", [&] { return stage.postgres.Value(stage.database, "SELECT max(id) > 10 FROM log") == "t"; });
  const CommandResult rebuilt = stage.Run("rebuild");
  const std::string after = stage.postgres.Value(stage.database, "SELECT max(id) FROM log");
  stage.OpenGate();
  writer.join();
  INFO(rebuilt);
  REQUIRE(rebuilt.exit_code == 0);
  const std::string seen = stage.redis.Call({"ZSCORE", "a", "last"}).text;
  CHECK(std::stoi(seen) < std::stoi(after));
  for (const std::string& name : names) CHECK(stage.redis.Call({"ZSCORE", name, "last"}).text == seen);
}

TEST_CASE("where PostgreSQL gives a single connection, that one does the work", "[rebuild_jobs]") {
  GateStage stage;
  stage.Sql("CREATE ROLE lonely LOGIN CONNECTION LIMIT 1");
  stage.postgres_url = stage.postgres.Url(stage.database, "lonely");
  stage.WriteSlow("a");
  stage.WriteFast("b");
  const CommandResult rebuilt = stage.Run("rebuild");
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  CHECK(rebuilt.Says("fewer-jobs"));
  for (const char* name : {"a", "b"}) CHECK(stage.HasAll(name));
}

TEST_CASE("where a pool has fewer sessions than there are jobs, those that get one do the work", "[rebuild_jobs]") {
  GateStage stage;
  const PgBouncer pooler(stage.postgres);
  stage.postgres_url = pooler.Url(stage.database);
  const std::vector<std::string> names{"a", "b", "c", "d", "e", "f", "g"};
  for (const std::string& name : names) stage.WriteGated(name);
  Process rebuild = stage.Begin("rebuild", {"--jobs", "7"});
  stage.AwaitAtGate(PgBouncer::kSessions);
  stage.OpenGate();
  CHECK(rebuild.Wait() == 0);
  INFO(rebuild.Stderr());
  for (const std::string& name : names) CHECK(stage.HasAll(name));
  CHECK(WaitUntil([&] { return stage.Connections("state IN ('active', 'idle in transaction')") == 1; }));  // who asks
}

TEST_CASE("transactions that wait for others are not ended as idle", "[rebuild_jobs]") {
  GateStage stage;
  stage.Sql("ALTER DATABASE " + stage.database + " SET idle_in_transaction_session_timeout = '3s'");
  stage.WriteGated("a");
  for (const char* name : {"b", "c", "d", "e", "f"}) stage.WriteFast(name);
  Process rebuild = stage.Begin("rebuild", {"--jobs", "2"});
  stage.AwaitLoaded("b");
  std::this_thread::sleep_for(4s);
  stage.OpenGate();  // from here on both have work again
  CHECK(rebuild.Wait() == 0);
  INFO(rebuild.Stderr());
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) CHECK(stage.HasAll(name));
}

// ---- When one ends badly ----

TEST_CASE("behind a file that fails nothing is swapped, and before it everything", "[rebuild_jobs]") {
  GateStage stage;
  stage.WriteFast("a");
  stage.Write("rebuild/b.sql", "-- redis: zset b\nSELECT 'm' AS member, 1 / wait_for_gate() AS score");
  stage.WriteFast("c");
  Process rebuild = stage.Begin("rebuild", {"--json"});
  stage.AwaitLoaded("c");
  stage.OpenGate();
  CHECK(rebuild.Wait() == 4);
  INFO(rebuild.Stderr());
  CHECK_THAT(rebuild.Stderr(), Catch::Contains("b.sql") && Catch::Contains("division by zero"));
  CHECK(stage.HasAll("a"));
  CHECK_FALSE(stage.Has("c"));
  CHECK(stage.OwnKeys().empty());
  const nlohmann::json summary = nlohmann::json::parse(rebuild.Stdout());
  CHECK(summary.at("result") == "failed");
  REQUIRE(summary.at("structures").size() == 1);
  CHECK(summary.at("structures").at(0).at("name") == "a");
}

TEST_CASE("what comes behind a file that fails gives up, however long it would take", "[rebuild_jobs]") {
  GateStage stage;
  stage.WriteFast("a");
  stage.Write("rebuild/b.sql", "-- redis: zset b\nSELECT 'm' AS member, 1 / wait_for_gate() AS score");
  stage.Write("rebuild/c.sql", "-- redis: set c\nSELECT 'm' || pg_sleep(1000) AS member");
  Process rebuild = stage.Begin("rebuild");
  stage.AwaitAtGate(1);
  Await("the last one to be at work", [&] { return stage.Connections("query LIKE 'COPY%pg_sleep(1000)%'") == 1; });
  stage.OpenGate();
  CHECK(rebuild.Wait(10s) == 4);
  INFO(rebuild.Stderr());
  CHECK_THAT(rebuild.Stderr(), Catch::Contains("division by zero"));
  CHECK(stage.HasAll("a"));
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("what comes before a file that fails goes on, under the lock", "[rebuild_jobs]") {
  GateStage stage;
  stage.WriteSlow("a");
  stage.WriteGated("b");
  stage.Write("rebuild/c.sql", "-- redis: zset c\nSELECT nonsense");
  Process rebuild = stage.Begin("rebuild", {"--jobs", "2"});
  stage.AwaitAtGate(1);
  // It fails on the connection that is done with the first one, and that may be the one with the lock.
  Await("the last one to have failed", [&] { return stage.Connections("query LIKE 'ROLLBACK TO%'") == 1; });
  const CommandResult second = stage.Run("rebuild");
  INFO(second);
  CHECK(second.exit_code == 4);
  CHECK(second.Says("another rebuild is at work"));
  stage.OpenGate();
  CHECK(rebuild.Wait() == 4);
  INFO(rebuild.Stderr());
  CHECK_THAT(rebuild.Stderr(), Catch::Contains("c.sql") && Catch::Contains("nonsense"));
  for (const char* name : {"a", "b"}) CHECK(stage.HasAll(name));
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("nothing is swapped any more once the lock is lost", "[rebuild_jobs]") {
  GateStage stage;
  stage.WriteSlow("a");
  stage.WriteGated("b");
  Process rebuild = stage.Begin("rebuild", {"--jobs", "2"});
  stage.AwaitAtGate(1);
  Await("the first one to be done", [&] { return stage.HasAll("a"); });
  stage.Sql(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
      "(SELECT oid FROM pg_database WHERE datname = current_database())");
  // Its connection is the one at the gate, or the one that is done: nobody opens it for the other one.
  const std::optional<int> exit_code = rebuild.Wait(10s);
  INFO(rebuild.Stderr());
  REQUIRE(exit_code.has_value());
  CHECK(*exit_code != 0);
  CHECK_FALSE(stage.Has("b"));
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("kill -9 with several at work leaves the live keys alone, and the next run cleans up", "[rebuild_jobs]") {
  GateStage stage;
  stage.WriteGated("a");
  for (const char* name : {"b", "c", "d"}) stage.WriteFast(name);
  Process rebuild = stage.Begin("rebuild");
  for (const char* name : {"b", "c", "d"}) stage.AwaitLoaded(name);
  rebuild.Kill9();
  CHECK(stage.OwnKeys().size() == 4);
  for (const char* name : {"a", "b", "c", "d"}) CHECK_FALSE(stage.Has(name));
  stage.OpenGate();
  const CommandResult next = stage.Run("rebuild");
  INFO(next);
  CHECK(next.exit_code == 0);
  for (const char* name : {"a", "b", "c", "d"}) CHECK(stage.HasAll(name));
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("SIGTERM ends all of them soon, and nothing is swapped", "[rebuild_jobs]") {
  GateStage stage;
  for (const char* name : {"a", "c"}) stage.WriteGated(name);
  for (const char* name : {"b", "d"}) stage.WriteFast(name);
  Process rebuild = stage.Begin("rebuild");
  stage.AwaitAtGate(2);
  for (const char* name : {"b", "d"}) stage.AwaitLoaded(name);
  rebuild.Signal(SIGTERM);
  CHECK(rebuild.Wait(5s) == 4);
  INFO(rebuild.Stderr());
  CHECK_THAT(rebuild.Stderr(), Catch::Contains("stopped"));
  CHECK(stage.redis.Call({"DBSIZE"}).integer == 0);
}

}  // namespace
}  // namespace sprockets::harness
