// Verify and repair beside writers of both sides, and what protects live keys.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

/// Adds a member at a time to the table and then to the board, at its low end, so that all others move on, until it
/// goes.
class Writer {
 public:
  Writer(const SetStage& stage, std::string name) : name_(std::move(name)), thread_([&] { Run(stage); }) {}
  ~Writer() { Stop(); }
  int Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return written_;
  }

 private:
  void Run(const SetStage& stage) {
    RespClient redis = stage.redis.Connect();
    while (!stop_) {
      const std::string score = std::to_string(-1 - written_);
      std::string values;
      for (int i = 0; i < 20; ++i) {
        if (i > 0) values += ",";
        values += "('" + name_ + std::to_string(written_) + "-" + std::to_string(i) + "', " + score + ")";
      }
      stage.Sql("INSERT INTO score VALUES " + values);
      for (int i = 0; i < 20; ++i) {
        redis.Call({"ZADD", "board", score, name_ + std::to_string(written_) + "-" + std::to_string(i)});
      }
      // One that is there already gets a newer score.
      stage.Sql("UPDATE score SET score = " + std::to_string(100'000 + written_) + " WHERE member = 'm7'");
      redis.Call({"ZADD", "board", std::to_string(100'000 + written_), "m7"});
      ++written_;
    }
  }

  const std::string name_;
  std::atomic<bool> stop_ = false;
  int written_ = 0;
  std::thread thread_;
};

TEST_CASE("beside a writer of both sides verify says verified, and a repair takes nothing away", "[live]") {
  SetStage stage;
  stage.Sql("CREATE TABLE score AS SELECT 'm' || i AS member, i::float8 AS score FROM generate_series(1, 40000) i");
  stage.Sql("ALTER TABLE score ADD PRIMARY KEY (member)");
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT member, score FROM score");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  {
    Writer writer(stage, "first-");
    const CommandResult verified = stage.Run("verify", {"--json"});
    INFO(verified);
    CHECK(verified.exit_code == 0);
    CHECK(verified.Summary().at("result") == "verified");
  }
  // What is truly wrong is mended all the same.
  stage.redis.Call({"ZREM", "board", "m500"});
  stage.redis.Call({"ZADD", "board", "5", "intruder"});
  stage.redis.Call({"ZINCRBY", "board", "1", "m900"});
  {
    Writer writer(stage, "second-");
    const CommandResult repaired = stage.Run("verify", {"--repair", "--json"});
    INFO(repaired);
    CHECK(repaired.exit_code == 0);
    CHECK(repaired.Summary().at("repaired") == 3);
    CHECK(writer.Stop() > 0);
  }
  const CommandResult quiet = stage.Run("verify", {"--json"});
  INFO(quiet);
  CHECK(quiet.exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "board", "m500"}).text == "500");
  CHECK(stage.redis.Call({"ZSCORE", "board", "intruder"}).type == Reply::Type::kNull);
}

TEST_CASE("a member may be empty, and its board is neither deleted nor called right when it is not", "[live]") {
  SetStage stage;
  stage.Write("rebuild/board.sql",
              "-- redis: zset board\nSELECT member, score FROM (VALUES ('', 1), ('b', 2)) v (member, score)");
  stage.Write("rebuild/names.sql",
              "-- redis: hash names\nSELECT field, value FROM (VALUES ('', ''), ('b', '2')) v (field, value)");
  stage.Write("rebuild/seen.sql", "-- redis: set seen\nSELECT '' AS member");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "board", ""}).text == "1");
  CHECK(stage.Run("verify").exit_code == 0);
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT 'b' AS member, 2 AS score");
  stage.Write("rebuild/names.sql", "-- redis: hash names\nSELECT 'b' AS field, '2' AS value");
  const CommandResult differs = stage.Run("verify", {"--json"});
  INFO(differs);
  CHECK(differs.exit_code == 1);
  CHECK(differs.Lines().front().at("member") == "");
  SECTION("rebuilt") {
    CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  }
  SECTION("mended") {
    CHECK(stage.Run("verify", {"--repair"}).exit_code == 0);
  }
  CHECK(stage.redis.Call({"ZCARD", "board"}).integer == 1);
  CHECK(stage.redis.Call({"HLEN", "names"}).integer == 1);
  CHECK(stage.redis.Call({"ZSCORE", "board", "b"}).text == "2");
}

TEST_CASE("members of whatever bytes are built, compared and mended", "[live]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE odd AS SELECT member, row_number() OVER (ORDER BY member) AS n FROM unnest(ARRAY['\\x'::bytea, "
      "'\\x00', '\\x610062', '\\x27225c', '\\x0d0a', '\\xfffe', convert_to(repeat('x', 1000000), 'UTF8')]) member");
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT member, n AS score FROM odd");
  stage.Write("rebuild/names.sql", "-- redis: hash names\nSELECT member AS field, member AS value FROM odd");
  stage.Write("rebuild/seen.sql", "-- redis: set seen\nSELECT member FROM odd");
  stage.Write("rebuild/log.sql", "-- redis: stream log\nSELECT '1-' || n AS id, member AS data FROM odd");
  stage.Write("rebuild/texts.sql",
              "-- redis: string\n-- keys: text/*\nSELECT 'text/' || n AS key, member AS value FROM odd");
  const CommandResult rebuilt = stage.Run("rebuild");
  INFO(rebuilt);
  REQUIRE(rebuilt.exit_code == 0);
  CHECK(stage.Run("verify").exit_code == 0);
  const auto right = stage.Dump();
  CHECK(right.size() == 4 + 7);
  const std::string large(1'000'000, 'x');
  for (const std::string& member : {std::string(), std::string(1, '\0'), std::string("a\0b", 3), std::string("'\"\\"),
                                    std::string("\r\n"), std::string("\xff\xfe"), large}) {
    CHECK(stage.redis.Call({"ZINCRBY", "board", "1", member}).text != "");
    CHECK(stage.redis.Call({"HSET", "names", member, "other"}).integer == 0);
    CHECK(stage.redis.Call({"SREM", "seen", member}).integer == 1);
    const std::string extra = member + std::string("\0!", 2);
    CHECK(stage.redis.Call({"ZADD", "board", "1", extra}).integer == 1);
    CHECK(stage.redis.Call({"HSET", "names", extra, extra}).integer == 1);
    CHECK(stage.redis.Call({"SADD", "seen", extra}).integer == 1);
  }
  CHECK(stage.redis.Call({"SET", "text/3", std::string("b\0", 2)}).text == "OK");
  CHECK(stage.Run("verify").exit_code == 1);
  const CommandResult mended = stage.Run("verify", {"--repair"});
  INFO(mended);
  CHECK(mended.exit_code == 0);
  const CommandResult verified = stage.Run("verify");
  INFO(verified);
  CHECK(verified.exit_code == 0);
  for (const char* key : {"text/1", "text/3", "log"}) CHECK(stage.Dump().at(key) == right.at(key));
}

TEST_CASE("a key that a guard protects does not keep another from being mended", "[live]") {
  SetStage stage;
  stage.Write("rebuild/boards.sql",
              "-- redis: zset\n-- keys: board-*\nSELECT 'board-' || k AS key, 'm' || i AS member, i AS score "
              "FROM generate_series(1, 2) k, generate_series(1, 10) i");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  for (int i = 0; i < 100; ++i) stage.redis.Call({"ZADD", "board-1", "1", "only-here-" + std::to_string(i)});
  stage.redis.Call({"ZADD", "board-2", "1", "intruder"});
  const CommandResult repaired = stage.Run("verify", {"--repair"});
  INFO(repaired);
  CHECK(repaired.exit_code == 4);
  CHECK(repaired.Says("board-1"));
  CHECK(stage.redis.Call({"ZCARD", "board-1"}).integer == 110);
  CHECK(stage.redis.Call({"ZCARD", "board-2"}).integer == 10);
}

TEST_CASE("what is built anew is mended beside a key that a guard protects", "[live]") {
  SetStage stage;
  stage.Write(
      "rebuild/10_texts.sql",
      "-- redis: string\n-- keys: text/*\nSELECT 'text/' || i AS key, 'v' || i AS value FROM generate_series(1, 3) i");
  stage.Write("rebuild/20_log.sql",
              "-- redis: stream log\nSELECT '1-' || i AS id, 'e' AS entry FROM generate_series(1, 5) i");
  stage.Write("rebuild/30_other.sql",
              "-- redis: stream other\nSELECT '1-' || i AS id, 'e' AS entry FROM generate_series(1, 5) i");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.redis.Call({"SET", "text/extra", "only here"});
  stage.redis.Call({"XADD", "log", "9-9", "entry", "only here"});
  stage.redis.Call({"XDEL", "other", "1-3"});
  const CommandResult repaired = stage.Run("verify", {"--repair"});
  INFO(repaired);
  CHECK(repaired.exit_code == 4);
  CHECK(repaired.Says("text/extra"));
  CHECK(repaired.Says("9-9 of log"));
  CHECK(stage.redis.Call({"XLEN", "other"}).integer == 5);
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 6);
  CHECK(stage.redis.Call({"GET", "text/extra"}).text == "only here");
}

TEST_CASE("a file of a set takes no key of another one, also where only that one is built", "[live]") {
  SetStage stage;
  stage.Write(
      "rebuild/texts.sql",
      "-- redis: string\n-- keys: text/*\nSELECT 'text/' || i AS key, 'v' || i AS value FROM generate_series(1, 3) i");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.Write("rebuild/board.sql", "-- redis: zset text/1\nSELECT 'm' AS member, 1 AS score");
  for (const char* command : {"rebuild", "verify"}) {
    const CommandResult refused = stage.Run(command, {"--only", "board"});
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("covers that of board.sql"));
  }
  CHECK(stage.redis.Call({"GET", "text/1"}).text == "v1");
}

TEST_CASE("an error of Redis names the file and the key", "[live]") {
  SetStage stage;
  stage.Write("rebuild/points.sql", "-- redis: zset board\nSELECT 'm' AS member, 1 AS score");
  stage.redis.Call({"ACL", "SETUSER", "weak", "on", ">secret", "~*", "&*", "+@all", "-zadd"});
  stage.redis_url = "redis://weak:secret@127.0.0.1:" + std::to_string(stage.redis.port());
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("points: "));
  CHECK(refused.Says("ZADD sprockets:rebuild:"));
  CHECK(refused.Says(":board: Redis refuses: NOPERM"));
}

TEST_CASE("a full key of another type is not replaced by a few rows", "[live]") {
  SetStage stage;
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT 'm' AS member, 1 AS score");
  for (int i = 0; i < 10; ++i) stage.redis.Call({"HSET", "board", "field-" + std::to_string(i), "v"});
  CHECK(stage.Run("rebuild").exit_code == 4);
  CHECK(stage.redis.Call({"HLEN", "board"}).integer == 10);
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.redis.Call({"ZCARD", "board"}).integer == 1);
}

TEST_CASE("what a value looks like does not hang on the settings of a database", "[live]") {
  SetStage stage;
  stage.Write("rebuild/words.sql",
              "-- redis: hash words\nSELECT * FROM (VALUES ('time', ('2024-05-06 07:08:09+00'::timestamptz)::text), "
              "('float', (0.1::float8 + 0.2::float8)::text), ('bytes', ('\\xff'::bytea)::text), "
              "('span', ('1 day 2 hours'::interval)::text)) v (field, value)");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  const std::string name = "\"" + stage.database + "\"";
  stage.Sql("ALTER DATABASE " + name + " SET TimeZone = 'Asia/Tokyo'");
  stage.Sql("ALTER DATABASE " + name + " SET DateStyle = 'German'");
  stage.Sql("ALTER DATABASE " + name + " SET extra_float_digits = -5");
  stage.Sql("ALTER DATABASE " + name + " SET IntervalStyle = 'iso_8601'");
  stage.Sql("ALTER DATABASE " + name + " SET bytea_output = 'escape'");
  const CommandResult verified = stage.Run("verify");
  INFO(verified);
  CHECK(verified.exit_code == 0);
  CHECK(stage.redis.Call({"HGET", "words", "float"}).text == "0.30000000000000004");
}

TEST_CASE("a set with nothing to compare is not verified, nor one whose files give the same key", "[live]") {
  SetStage stage;
  const CommandResult empty = stage.Run("verify", {"--json"});
  INFO(empty);
  CHECK(empty.exit_code == 2);
  CHECK(empty.Says("nothing to verify"));
  stage.Write("rebuild/a.sql", "-- redis: zset\nSELECT 'board' AS key, 'm' AS member, 1 AS score");
  stage.Write("rebuild/b.sql", "-- redis: zset\nSELECT 'board' AS key, 'm' AS member, 1 AS score");
  stage.redis.Call({"ZADD", "board", "1", "m"});
  const CommandResult both = stage.Run("verify", {"--json"});
  INFO(both);
  CHECK(both.exit_code == 4);
  CHECK(both.Says("a and b both give key board"));
  // Nor does a rebuild call it right: whether both are as they are in Redis, one is, or none.
  for (const char* score : {"1", "2", ""}) {
    stage.Write("rebuild/b.sql", std::string("-- redis: zset\nSELECT 'board' AS key, 'm' AS member, ") +
                                     (*score == '2' ? "2" : "1") + " AS score");
    if (*score == '\0') stage.redis.Call({"DEL", "board"});
    const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
    INFO(score << rebuilt);
    CHECK(rebuilt.exit_code == 4);
    CHECK(rebuilt.Says("both give key board"));
  }
}

}  // namespace
}  // namespace sprockets::harness
