// Streams that live while they are rebuilt: their groups, and what comes in the meantime.
#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

/// A value of XINFO's flat answers.
const Reply& Field(const Reply& reply, const std::string& name) {
  for (size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
    if (reply.elements[i].text == name) return reply.elements[i + 1];
  }
  throw std::runtime_error("XINFO has no " + name);
}

Reply GroupOf(const SetStage& stage, const std::string& stream, const std::string& group) {
  for (const Reply& info : stage.redis.Call({"XINFO", "GROUPS", stream}).elements) {
    if (Field(info, "name").text == group) return info;
  }
  throw std::runtime_error("no group " + group);
}

/// 100 entries, whose query takes half a second each time that it is read.
void WriteSlowLog(const SetStage& stage) {
  stage.Sql("CREATE TABLE log AS SELECT i AS id, 'v' || i AS entry FROM generate_series(1, 100) i");
  stage.Write("rebuild/log.sql",
              "-- redis: stream log\nSELECT '0-' || id AS id, entry FROM log, (SELECT pg_sleep(0.5) OFFSET 0) AS slow");
}

/// Until a rebuild has compared what lives, and writes what will take its place.
void AwaitLoad(const SetStage& stage) {
  Await("the load", [&] { return stage.redis.Call({"EXISTS", "sprockets:rebuild"}).integer == 1; });
}
TEST_CASE("a stream whose live copy holds an entry that the source lacks is not swapped", "[rebuild_streams]") {
  SetStage stage;
  stage.Write("rebuild/log.sql",
              "-- redis: stream log\nSELECT '0-' || i AS id, i AS entry FROM generate_series(1, 1000) i");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.redis.Call({"XADD", "log", "*", "entry", "not yet in the database"});
  const auto before = stage.Dump();
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("the source lacks"));
  CHECK(refused.Says("--force"));
  CHECK(stage.Dump() == before);
  CHECK(stage.OwnKeys().empty());
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 1000);
}
TEST_CASE("a stream that takes an entry while it is rebuilt is not swapped", "[rebuild_streams]") {
  SetStage stage;
  WriteSlowLog(stage);
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.Sql("UPDATE log SET entry = 'other' WHERE id = 50");
  Process rebuild = stage.Begin("rebuild");
  AwaitLoad(stage);
  const std::string id = stage.redis.Call({"XADD", "log", "*", "entry", "on its way to the database"}).text;
  CHECK(rebuild.Wait() == 4);
  INFO(rebuild.Stderr());
  CHECK(rebuild.Stderr().find("has taken an entry meanwhile, " + id) != std::string::npos);
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 101);
  CHECK(stage.OwnKeys().empty());

  stage.redis.Call({"DEL", "log"});
  Process into_nothing = stage.Begin("rebuild");
  AwaitLoad(stage);
  stage.redis.Call({"XADD", "log", "*", "entry", "the first after the loss"});
  CHECK(into_nothing.Wait() == 4);
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 1);
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 100);
}

// ---- Groups ----

TEST_CASE("a consumer at work while its stream is swapped gets every entry once", "[rebuild_streams]") {
  SetStage stage;
  stage.Sql("CREATE TABLE log AS SELECT i AS id, 'v' || i AS entry FROM generate_series(1, 2000) i");
  stage.Write("rebuild/log.sql", "-- redis: stream log\nSELECT '0-' || id AS id, entry FROM log");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.redis.Call({"XGROUP", "CREATE", "log", "group", "0"});
  std::map<std::string, int> deliveries;
  std::atomic<bool> done = false;
  std::thread consumer([&] {
    RespClient redis = stage.redis.Connect();
    while (deliveries.size() < 2000) {
      const Reply reply = redis.Call({"XREADGROUP", "GROUP", "group", "ada", "COUNT", "2", "STREAMS", "log", ">"});
      for (const Reply& entry : reply.elements.at(0).elements.at(1).elements) {
        ++deliveries[entry.elements[0].text];
        redis.Call({"XACK", "log", "group", entry.elements[0].text});
      }
      if (!done) std::this_thread::sleep_for(10ms);
    }
  });
  int swaps = 0;
  for (int round = 0; round < 5; ++round) {
    stage.Sql("UPDATE log SET entry = entry || '!' WHERE id = 2000");
    const CommandResult rebuilt = stage.Run("rebuild");
    INFO(rebuilt);
    CHECK((rebuilt.exit_code == 0 || rebuilt.Says("pause its consumers")));
    swaps += rebuilt.exit_code == 0 ? 1 : 0;
  }
  done = true;
  consumer.join();
  CHECK(swaps > 0);
  for (const auto& [id, times] : deliveries) {
    INFO(id);
    CHECK(times == 1);
  }
  CHECK(Field(GroupOf(stage, "log", "group"), "pending").integer == 0);
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("groups and what they have not acknowledged survive the rebuild of a live stream", "[rebuild_streams]") {
  SetStage stage;
  stage.Sql("CREATE TABLE log AS SELECT i AS id, 'v' || i AS entry FROM generate_series(1, 100) i");
  stage.Write("rebuild/log.sql", "-- redis: stream log\nSELECT '0-' || id AS id, entry FROM log");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  RespClient redis = stage.redis.Connect();
  redis.Call({"XGROUP", "CREATE", "log", "begun", "0"});
  redis.Call({"XGROUP", "CREATE", "log", "new", "0"});
  redis.Call({"XGROUP", "CREATE", "log", "end", "$"});
  redis.Call({"XGROUP", "CREATECONSUMER", "log", "end", "idle"});
  redis.Call({"XREADGROUP", "GROUP", "begun", "ada", "COUNT", "30", "STREAMS", "log", ">"});
  redis.Call({"XREADGROUP", "GROUP", "begun", "bo", "COUNT", "10", "STREAMS", "log", ">"});
  for (int i = 1; i <= 25; ++i) redis.Call({"XACK", "log", "begun", "0-" + std::to_string(i)});
  for (int i = 0; i < 3; ++i) redis.Call({"XCLAIM", "log", "begun", "bo", "0", "0-35"});
  const Reply pending = redis.Call({"XPENDING", "log", "begun", "-", "+", "100"});
  REQUIRE(pending.elements.size() == 15);

  // Rows that the groups have seen go away, and rows come: positions stay, and the lag is counted anew.
  stage.Sql("DELETE FROM log WHERE id <= 10; INSERT INTO log SELECT i, 'v' || i FROM generate_series(101, 120) i");
  redis.Call({"XTRIM", "log", "MINID", "0-11"});
  const CommandResult rebuilt = stage.Run("rebuild");
  INFO(rebuilt);
  REQUIRE(rebuilt.exit_code == 0);
  const Reply begun = GroupOf(stage, "log", "begun");
  CHECK(Field(begun, "last-delivered-id").text == "0-40");
  CHECK(Field(begun, "lag").integer == 80);
  CHECK(Field(GroupOf(stage, "log", "new"), "lag").integer == 110);
  CHECK(Field(GroupOf(stage, "log", "end"), "last-delivered-id").text == "0-100");
  CHECK(Field(GroupOf(stage, "log", "end"), "lag").integer == 20);
  CHECK(Field(GroupOf(stage, "log", "end"), "consumers").integer == 1);
  const Reply after = redis.Call({"XPENDING", "log", "begun", "-", "+", "100"});
  REQUIRE(after.elements.size() == 15);
  for (size_t i = 0; i < after.elements.size(); ++i) {
    INFO(i);
    CHECK(after.elements[i].elements[0] == pending.elements[i].elements[0]);
    CHECK(after.elements[i].elements[1] == pending.elements[i].elements[1]);
    CHECK(after.elements[i].elements[2].integer >= pending.elements[i].elements[2].integer);
    CHECK(after.elements[i].elements[3] == pending.elements[i].elements[3]);
  }
  const Reply next = redis.Call({"XREADGROUP", "GROUP", "begun", "ada", "COUNT", "1", "STREAMS", "log", ">"});
  CHECK(next.elements.at(0).elements.at(1).elements.at(0).elements.at(0).text == "0-41");
}

TEST_CASE("after a total loss, access and then rebuild deliver nothing old through a group at the end",
          "[rebuild_streams]") {
  SetStage stage;
  stage.Write("rebuild/log.sql",
              "-- redis: stream log\nSELECT '0-' || i AS id, i AS entry FROM generate_series(1, 100) i");
  stage.Write("access/groups.conf", "log late $\nlog early 0\nlog middle 0-60\n");
  const CommandResult access = stage.Run("access");
  INFO(access);
  REQUIRE(access.exit_code == 0);
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  CHECK(Field(GroupOf(stage, "log", "late"), "lag").integer == 0);
  CHECK(Field(GroupOf(stage, "log", "early"), "lag").integer == 100);
  RespClient redis = stage.redis.Connect();
  CHECK(redis.Call({"XREADGROUP", "GROUP", "late", "c", "STREAMS", "log", ">"}).type == Reply::Type::kNull);
  CHECK(redis.Call({"XREADGROUP", "GROUP", "early", "c", "STREAMS", "log", ">"})
            .elements.at(0)
            .elements.at(1)
            .elements.size() == 100);
  CHECK(redis.Call({"XREADGROUP", "GROUP", "middle", "c", "STREAMS", "log", ">"})
            .elements.at(0)
            .elements.at(1)
            .elements.size() == 40);
  CHECK(stage.Run("verify").exit_code == 0);
}

}  // namespace
}  // namespace sprockets::harness
