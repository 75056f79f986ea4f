// Redis structures of every kind from queries, on real servers; drills; what a killed run leaves.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

using Strings = std::vector<std::string>;

Strings Texts(const Reply& reply) {
  Strings texts;
  for (const Reply& element : reply.elements) texts.push_back(element.text);
  return texts;
}

// ---- Each kind ----

TEST_CASE("each kind of structure comes from its query, is verified, and a second rebuild changes nothing",
          "[rebuild]") {
  SetStage stage;
  stage.Write(
      "rebuild/board.sql",
      "-- redis: zset board\nSELECT 'm' || i AS member, i / 8.0 AS score FROM generate_series(-500, 5000) i;\n");
  stage.Write("rebuild/log.sql",
              "-- redis: stream\nSELECT 'log/' || i % 2 AS key, '7-' || i AS id, 'v' || i AS entry, "
              "CASE WHEN i % 3 = 0 THEN 'x' END AS more FROM generate_series(1, 1000) i ORDER BY random()");
  stage.Write("rebuild/names.sql",
              "-- redis: hash names\nSELECT i AS field, '\\x00ff'::bytea AS value FROM generate_series(1, 2000) i");
  stage.Write("rebuild/seen.sql", "-- redis: set seen\nSELECT 'Ω' || i AS member FROM generate_series(1, 2000) i");
  stage.Write("rebuild/word.sql",
              "-- redis: string\nSELECT 'word/' || i AS key, '' AS value FROM generate_series(1, 3) i");

  const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
  INFO(rebuilt);
  REQUIRE(rebuilt.exit_code == 0);
  CHECK(rebuilt.Summary().at("result") == "verified");
  CHECK(rebuilt.Summary().at("read") == 5501 + 1000 + 2000 + 2000 + 3);
  CHECK(stage.redis.Call({"ZCARD", "board"}).integer == 5501);
  CHECK(stage.redis.Call({"ZSCORE", "board", "m-3"}).text == "-0.375");
  CHECK(stage.redis.Call({"XLEN", "log/1"}).integer == 500);
  const Reply entry = stage.redis.Call({"XRANGE", "log/1", "7-3", "7-5"});
  REQUIRE(entry.elements.size() == 2);
  CHECK(Texts(entry.elements[0].elements[1]) == Strings{"entry", "v3", "more", "x"});
  CHECK(Texts(entry.elements[1].elements[1]) == Strings{"entry", "v5"});
  CHECK(stage.redis.Call({"HGET", "names", "7"}).text == std::string("\0\xff", 2));
  CHECK(stage.redis.Call({"SISMEMBER", "seen", "Ω2000"}).integer == 1);
  CHECK(stage.redis.Call({"STRLEN", "word/2"}) == Reply{Reply::Type::kInteger, "", 0, {}});
  CHECK(stage.redis.Call({"EXISTS", "word/2"}).integer == 1);
  CHECK(stage.OwnKeys().empty());

  const auto before = stage.Dump();
  const CommandResult again = stage.Run("rebuild", {"--json"});
  INFO(again);
  CHECK(again.exit_code == 0);
  for (const auto& [name, state] : again.States()) CHECK(name + " " + state == name + " unchanged");
  CHECK(stage.Dump() == before);
  CHECK(stage.Run("verify").exit_code == 0);
}

TEST_CASE("a large board that differs from its beginning is rebuilt", "[rebuild]") {
  // The comparison with the live key has seen enough in the middle of a COPY that has far more to say.
  SetStage stage;
  stage.Sql("CREATE TABLE t AS SELECT 'member-' || i AS member, i AS score FROM generate_series(1, 200000) i");
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT member, score FROM t");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.Sql("UPDATE t SET score = score + 1000000");
  const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "board", "member-77"}).text == "1000077");
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("whatever differs in a structure of any kind is named and mended", "[rebuild]") {
  SetStage stage;
  stage.Write("rebuild/a_board.sql",
              "-- redis: zset board\nSELECT 'm' || i AS member, i AS score FROM generate_series(1, 3000) i");
  stage.Write("rebuild/b_log.sql",
              "-- redis: stream log\nSELECT '0-' || i AS id, i AS entry FROM generate_series(1, 1000) i");
  stage.Write("rebuild/c_names.sql",
              "-- redis: hash names\nSELECT i AS field, 'v' || i AS value FROM generate_series(1, 3000) i");
  stage.Write("rebuild/d_seen.sql", "-- redis: set seen\nSELECT i AS member FROM generate_series(1, 3000) i");
  stage.Write("rebuild/e_word.sql", "-- redis: string word\nSELECT 'text' AS value");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  RespClient redis = stage.redis.Connect();
  redis.Call({"ZADD", "board", "1500.5", "intruder", "7", "m2000"});
  redis.Call({"ZREM", "board", "m1700"});
  redis.Call({"XDEL", "log", "0-500"});
  redis.Call({"HSET", "names", "intruder", "x", "1000", "other"});
  redis.Call({"HDEL", "names", "2000"});
  redis.Call({"SADD", "seen", "intruder"});
  redis.Call({"SREM", "seen", "3000"});
  redis.Call({"SET", "word", "other"});
  const CommandResult differs = stage.Run("verify", {"--json"});
  INFO(differs);
  CHECK(differs.exit_code == 1);
  Strings found;
  for (const auto& line : differs.Lines()) {
    if (line.contains("command")) continue;
    const std::string member = line.at("member").is_null() ? "" : line.at("member").get<std::string>();
    found.push_back(line.at("key").get<std::string>() + " " + member + " " + line.at("problem").get<std::string>());
  }
  std::sort(found.begin(), found.end());
  CHECK(found == Strings{"board intruder extra", "board m1700 missing", "board m2000 different", "log 0-500 missing",
                         "names 1000 different", "names 2000 missing", "names intruder extra", "seen 3000 missing",
                         "seen intruder extra", "word  different"});
  const CommandResult mended = stage.Run("verify", {"--repair"});
  INFO(mended);
  CHECK(mended.exit_code == 0);
  CHECK(stage.Run("verify").exit_code == 0);
  CHECK(redis.Call({"ZSCORE", "board", "m2000"}).text == "2000");
  CHECK(redis.Call({"GET", "word"}).text == "text");
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("a thousand small keys come from one query", "[rebuild]") {
  SetStage stage;
  stage.Write("rebuild/keys.sql",
              "-- redis: hash\n-- keys: user:*\nSELECT 'user:' || i % 1000 AS key, 'f' || i AS field, i AS value "
              "FROM generate_series(0, 4999) i");
  const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
  INFO(rebuilt);
  REQUIRE(rebuilt.exit_code == 0);
  CHECK(rebuilt.Summary().at("structures").at(0).at("keys") == 1000);
  CHECK(stage.redis.Call({"DBSIZE"}).integer == 1000);
  CHECK(stage.redis.Call({"HGET", "user:999", "f4999"}).text == "4999");
  const CommandResult verified = stage.Run("verify", {"--json"});
  CHECK(verified.exit_code == 0);
  CHECK(verified.Summary().at("keys") == 1000);

  stage.redis.Call({"HSET", "user:1000", "a", "b"});
  stage.redis.Call({"DEL", "user:5"});
  const CommandResult differs = stage.Run("verify", {"--json"});
  INFO(differs);
  CHECK(differs.exit_code == 1);
  REQUIRE(differs.Lines().size() == 3);
  CHECK(differs.Lines()[0].at("key") == "user:5");
  CHECK(differs.Lines()[0].at("problem") == "missing");
  CHECK(differs.Lines()[1].at("key") == "user:1000");
  CHECK(differs.Lines()[1].at("problem") == "extra");
}

TEST_CASE("an expiry is set, compared and mended, and what has expired is left out", "[rebuild]") {
  SetStage stage;
  stage.Write(
      "rebuild/sessions.sql",
      "-- redis: string\n-- keys: session:*\nSELECT * FROM (VALUES ('session:old', 'a', timestamptz '2001-01-01'), "
      "('session:new', 'b', timestamptz '2100-01-01 00:00:00.123+00'), ('session:ever', 'c', NULL)) "
      "v (key, value, expire_at)");
  const CommandResult rebuilt = stage.Run("rebuild");
  INFO(rebuilt);
  REQUIRE(rebuilt.exit_code == 0);
  CHECK(stage.redis.Call({"EXISTS", "session:old"}).integer == 0);
  CHECK(stage.redis.Call({"PEXPIRETIME", "session:new"}).integer == 4102444800123);
  CHECK(stage.redis.Call({"PEXPIRETIME", "session:ever"}).integer == -1);
  CHECK(stage.Run("verify").exit_code == 0);

  stage.redis.Call({"PERSIST", "session:new"});
  stage.redis.Call({"EXPIRE", "session:ever", "1000"});
  const CommandResult differs = stage.Run("verify", {"--json"});
  INFO(differs);
  CHECK(differs.exit_code == 1);
  REQUIRE(differs.Lines().size() == 3);
  for (const size_t i : {0U, 1U}) CHECK(differs.Lines()[i].at("problem") == "expiry");
  CHECK(stage.Run("verify", {"--repair"}).exit_code == 0);
  CHECK(stage.redis.Call({"PEXPIRETIME", "session:new"}).integer == 4102444800123);
  CHECK(stage.redis.Call({"PEXPIRETIME", "session:ever"}).integer == -1);
}
TEST_CASE("what neither side has is no change", "[rebuild]") {
  SetStage stage;
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT 'm' AS member, 1 AS score WHERE false");
  for (const Strings& mode : {Strings{"--json"}, Strings{"--json", "--dry-run"}}) {
    const CommandResult rebuilt = stage.Run("rebuild", mode);
    INFO(rebuilt);
    REQUIRE(rebuilt.exit_code == 0);
    CHECK(rebuilt.States().at("board") == "unchanged");
  }
}

TEST_CASE("all structures of a run are of one state of the database", "[rebuild]") {
  SetStage stage;
  stage.Sql("CREATE TABLE log AS SELECT i AS id FROM generate_series(1, 10) i");
  stage.Write("rebuild/a.sql", "-- redis: stream log\nSELECT '0-' || id AS id, pg_sleep(0.05)::text AS entry FROM log");
  stage.Write("rebuild/b.sql", "-- redis: zset top\nSELECT 'top' AS member, max(id) AS score FROM log");
  Process rebuild = stage.Begin("rebuild");
  stage.AwaitSleepingQuery();
  // A reader that trusts the mark would look for it in the stream.
  stage.Sql("INSERT INTO log VALUES (11)");
  CHECK(rebuild.Wait() == 0);
  INFO(rebuild.Stderr());
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 10);
  CHECK(stage.redis.Call({"ZSCORE", "top", "top"}).text == "10");
}

// ---- What a killed run leaves ----

TEST_CASE("an old key that a killed run has put aside goes back where its place is empty", "[rebuild]") {
  SetStage stage;
  stage.Write("rebuild/other.sql", "-- redis: set other\nSELECT 'a' AS member");
  stage.redis.Call({"ZADD", "sprockets:aside:7:old:board", "1", "alive"});
  stage.redis.Call({"ZADD", "sprockets:aside:7:taken", "1", "of old"});
  stage.redis.Call({"ZADD", "taken", "1", "of now"});
  stage.redis.Call({"SADD", "sprockets:rebuild", "sprockets:aside:7:old:board", "sprockets:aside:7:taken"});
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "old:board", "alive"}).text == "1");
  CHECK(stage.redis.Call({"ZSCORE", "taken", "of now"}).text == "1");
  CHECK(stage.OwnKeys().empty());
}
// ---- The drill ----

TEST_CASE("a drill is verified, timed and removed, and live keys are untouched", "[rebuild]") {
  SetStage stage;
  stage.Write("rebuild/board.sql",
              "-- redis: zset board\nSELECT 'm' || i AS member, i AS score FROM generate_series(1, 50000) i");
  stage.Write("rebuild/log.sql",
              "-- redis: stream\nSELECT 'log' AS key, '0-' || i AS id, i AS entry FROM generate_series(1, 1000) i");
  stage.redis.Call({"ZADD", "board", "1", "alive"});
  stage.redis.Call({"XADD", "log", "1-1", "entry", "alive"});
  const auto before = stage.Dump();
  const CommandResult drill = stage.Run("rebuild", {"--into", "drill:", "--json"});
  INFO(drill);
  CHECK(drill.exit_code == 0);
  CHECK(drill.Summary().at("result") == "verified");
  const nlohmann::json summary = drill.Summary();
  for (const auto& structure : summary.at("structures")) {
    CHECK(structure.at("state") == "drilled");
    CHECK(structure.at("load_ms").is_number());
    CHECK(structure.at("verify_ms").is_number());
  }
  CHECK(drill.Summary().at("structures").at(0).at("load_ms") > 0);
  CHECK(stage.Dump() == before);
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("a drill does not write into keys that begin with its prefix", "[rebuild]") {
  SetStage stage;
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT 'm' AS member, 1 AS score");
  stage.redis.Call({"ZADD", "drill:board", "5", "alive"});
  const auto before = stage.Dump();
  const CommandResult refused = stage.Run("rebuild", {"--into", "drill:"});
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("drill:board"));
  CHECK(stage.Dump() == before);
}

// ---- Killed ----

TEST_CASE("fifty times kill -9: live keys are whole at every moment, and the next run cleans up", "[rebuild]") {
  SetStage stage;
  constexpr int kMembers = 1000;
  stage.Sql("CREATE TABLE generation (n int); INSERT INTO generation VALUES (1)");
  stage.Write(
      "rebuild/board.sql",
      "-- redis: zset board\nSELECT 'm' || i AS member, n AS score FROM generate_series(1, 1000) i, generation");
  stage.Write(
      "rebuild/small.sql",
      "-- redis: hash\nSELECT 'k' || i % 20 AS key, i AS field, n AS value FROM generate_series(1, 200) i, generation");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  const auto begun = std::chrono::steady_clock::now();
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.Sql("UPDATE generation SET n = 2");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  const auto two_runs = std::chrono::steady_clock::now() - begun;

  // Every score of the board is the generation; so is every value of a hash.
  std::atomic<bool> done = false;
  std::atomic<int> looks = 0;
  std::atomic<int> torn = 0;
  std::thread reader([&] {
    RespClient redis = stage.redis.Connect();
    while (!done) {
      const Reply board = redis.Call({"ZRANGE", "board", "0", "-1", "WITHSCORES"});
      bool whole = board.elements.size() == 2 * kMembers;
      for (size_t i = 1; whole && i < board.elements.size(); i += 2)
        whole = board.elements[i].text == board.elements[1].text;
      const Reply hash = redis.Call({"HVALS", "k" + std::to_string(looks % 20)});
      whole = whole && hash.elements.size() == 10;
      for (const Reply& value : hash.elements) whole = whole && value == hash.elements[0];
      torn += whole ? 0 : 1;
      ++looks;
      std::this_thread::yield();
    }
  });

  std::minstd_rand random(7);
  int killed = 0;
  for (int round = 0; round < 50; ++round) {
    stage.Sql("UPDATE generation SET n = n + 1");
    Process rebuild = stage.Begin("rebuild");
    const auto most = std::chrono::duration_cast<std::chrono::microseconds>(two_runs / 2).count();
    std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<int64_t>(0, most)(random)));
    killed += rebuild.Running() ? 1 : 0;
    rebuild.Kill9();
  }
  // The next run may meet the last one's transaction, which ends as soon as PostgreSQL notices.
  const CommandResult next = stage.Run("rebuild");
  done = true;
  reader.join();
  INFO(next << killed << " killed, " << looks << " looks");
  CHECK(next.exit_code == 0);
  CHECK(torn == 0);
  CHECK(looks > 50);
  CHECK(killed >= 25);
  CHECK(stage.OwnKeys().empty());
  CHECK(stage.redis.Call({"DBSIZE"}).integer == 21);
  CHECK(stage.Run("verify").exit_code == 0);
}

}  // namespace
}  // namespace sprockets::harness
