// What a set's file allows Redis to differ in, on real servers: a live Redis is right as it is, and what is wrong
// beyond that is found and repaired.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

/// "missing m", …, of verify.
Strings Problems(const CommandResult& verified) {
  Strings problems;
  for (const auto& line : verified.Lines()) {
    if (line.contains("command")) continue;
    problems.push_back(std::string(line.at("problem")) + " " +
                       (line.at("member").is_null() ? "key" : std::string(line.at("member"))));
  }
  return problems;
}

void ExpectRight(const SetStage& stage) {
  const auto before = stage.Dump();
  const CommandResult verified = stage.Run("verify", {"--json"});
  INFO(verified);
  CHECK(verified.exit_code == 0);
  CHECK(verified.Summary().at("result") == "verified");
  const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  for (const auto& [name, state] : rebuilt.States()) CHECK(name + " " + state == name + " unchanged");
  CHECK(stage.Dump() == before);
}

TEST_CASE("a sum that has drifted is right, and one that is really another is not", "[allowances]") {
  SetStage stage;
  stage.Write("rebuild/board.sql",
              "-- redis: zset board\n-- tolerance: 1e-6\n-- zeros: optional\n-- ignore-members: __dummy__\n"
              "SELECT * FROM (VALUES ('ada', 50.137), ('bob', 3), ('eve', 0), ('zoe', 1)) v (member, score)");
  stage.redis.Call({"ZADD", "board", "0", "__dummy__", "50", "ada", "3", "bob", "0", "carl", "1", "zoe"});
  for (int i = 0; i < 137; ++i) stage.redis.Call({"ZINCRBY", "board", "0.001", "ada"});
  REQUIRE(stage.redis.Call({"ZSCORE", "board", "ada"}).text != "50.137");
  ExpectRight(stage);

  stage.redis.Call({"ZINCRBY", "board", "0.001", "bob"});
  stage.redis.Call({"ZADD", "board", "0.5", "eve", "0", "zoe"});
  stage.redis.Call({"ZADD", "board", "7", "stranger"});
  const CommandResult damaged = stage.Run("verify", {"--json"});
  INFO(damaged);
  CHECK(damaged.exit_code == 1);
  CHECK(Problems(damaged).size() == 4);
  CHECK(stage.Run("verify", {"--repair"}).exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "board", "bob"}).text == "3");
  CHECK(stage.redis.Call({"ZSCORE", "board", "zoe"}).text == "1");
  CHECK(stage.redis.Call({"ZSCORE", "board", "eve"}).text == "0");
  CHECK(stage.redis.Call({"EXISTS", "board"}).integer == 1);
  CHECK(stage.redis.Call({"ZSCORE", "board", "__dummy__"}).text == "0");
  // Of a Redis that lost it, nothing is lacking afterwards.
  stage.redis.Call({"DEL", "board"});
  CHECK(stage.Run("verify").exit_code == 1);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "board", "ada"}).text == "50.137");
  ExpectRight(stage);
}

TEST_CASE("a counter above its bound is right; rebuild and repair raise what is below, and lower nothing",
          "[allowances]") {
  SetStage stage;
  stage.Write("rebuild/badges.sql",
              "-- redis: hash\n-- keys: *-set\n-- values: at-least\n-- ignore-members: __dummy__\n"
              "SELECT * FROM (VALUES ('doc-set', 'ada', 5), ('doc-set', 'bob', 2), ('help-set', 'ada', 1), "
              "('help-set', '__dummy__', 0)) v (key, field, value)");
  const auto fill = [&] {
    stage.redis.Call({"HSET", "doc-set", "ada", "9", "bob", "2", "only-live", "1"});
    stage.redis.Call({"HSET", "help-set", "ada", "1", "__dummy__", "0"});
    stage.redis.Call({"HSET", "new-set", "ada", "1"});
  };
  fill();
  ExpectRight(stage);
  for (const Strings& mend : {Strings{"verify", "--repair"}, Strings{"rebuild"}, Strings{"rebuild", "--force"}}) {
    INFO(mend[0] << mend.size());
    fill();
    stage.redis.Call({"HSET", "doc-set", "bob", "1"});
    stage.redis.Call({"HDEL", "help-set", "ada"});
    const CommandResult damaged = stage.Run("verify", {"--json"});
    INFO(damaged);
    CHECK(Problems(damaged) == Strings{"different bob", "missing ada"});
    const CommandResult mended = stage.Run(mend[0], {mend.begin() + 1, mend.end()});
    INFO(mended);
    CHECK(mended.exit_code == 0);
    CHECK(stage.redis.Call({"HGET", "doc-set", "ada"}).text == "9");
    CHECK(stage.redis.Call({"HGET", "doc-set", "bob"}).text == "2");
    CHECK(stage.redis.Call({"HGET", "doc-set", "only-live"}).text == "1");
    CHECK(stage.redis.Call({"HGET", "help-set", "ada"}).text == "1");
    ExpectRight(stage);
  }
  // A key of another type is built anew, and no other key with it.
  fill();
  stage.redis.Call({"DEL", "help-set"});
  stage.redis.Call({"SET", "help-set", "text"});
  CHECK(stage.Run("rebuild", {"--dry-run"}).exit_code == 1);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"HGET", "help-set", "ada"}).text == "1");
  CHECK(stage.redis.Call({"HGET", "doc-set", "ada"}).text == "9");
  ExpectRight(stage);
  // A Redis that has lost all of it.
  stage.redis.Call({"FLUSHALL"});
  CHECK(stage.Run("verify").exit_code == 1);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"HGET", "doc-set", "ada"}).text == "5");
  stage.Write("rebuild/badges.sql",
              "-- redis: hash doc-set\n-- values: at-least\nSELECT 'ada' AS field, 'many' AS value");
  const CommandResult no_number = stage.Run("rebuild");
  INFO(no_number);
  CHECK(no_number.exit_code == 4);
  CHECK(no_number.Says("many is no number"));
}

TEST_CASE("keys that nobody uses are not asked for, as long as another of the query's is there", "[allowances]") {
  SetStage stage;
  stage.Write("rebuild/boards.sql",
              "-- redis: zset\n-- keys: *-board\n-- unused-keys: allowed\n-- ignore-members: __dummy__\n"
              "SELECT key, member, score FROM (VALUES ('python'' ok-board'), ('py-board')) k (key), "
              "(VALUES ('ada', 3), ('__dummy__', 0)) v (member, score)");
  // All is lost: all is built.
  CHECK(stage.Run("verify").exit_code == 1);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "py-board", "ada"}).text == "3");
  ExpectRight(stage);
  // The services count under one of the names.
  stage.redis.Call({"DEL", "py-board"});
  ExpectRight(stage);
  stage.redis.Call({"ZADD", "py-board", "0", "__dummy__"});
  ExpectRight(stage);
  // What is used is held to the source.
  stage.redis.Call({"ZINCRBY", "python' ok-board", "1", "ada"});
  stage.redis.Call({"ZADD", "another-board", "1", "eve"});
  const CommandResult damaged = stage.Run("verify", {"--json"});
  INFO(damaged);
  CHECK(Problems(damaged) == Strings{"different ada", "extra key"});
  stage.redis.Call({"DEL", "another-board"});
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "py-board", "ada"}).text == "3");
}

TEST_CASE("a copy that is filled on request is right up to where it was filled, and wrong below", "[allowances]") {
  SetStage stage;
  stage.Write("rebuild/a_logs.sql",
              "-- redis: stream\n-- keys: log/*\n-- up-to: marks\n"
              "SELECT 'log/' || t AS key, '0-' || i AS id, i AS entry FROM generate_series(1, 3) t, "
              "generate_series(1, 10) i");
  stage.Write("rebuild/b_marks.sql",
              "-- redis: zset marks\n-- values: at-most\nSELECT t AS member, 10 AS score FROM generate_series(1, 3) t");
  const auto fill = [&](const std::string& team, int up_to) {
    for (int i = 1; i <= up_to; ++i)
      stage.redis.Call({"XADD", "log/" + team, "0-" + std::to_string(i), "entry", std::to_string(i)});
  };
  fill("1", 6);
  stage.redis.Call({"ZADD", "marks", "6", "1"});
  fill("2", 8);  // more than its mark: the mark is written later
  stage.redis.Call({"ZADD", "marks", "4", "2"});
  ExpectRight(stage);

  // Nobody ever fills what is below the mark, nor a hole.
  stage.redis.Call({"XDEL", "log/2", "0-7"});
  stage.redis.Call({"ZADD", "marks", "8", "1"});
  const CommandResult damaged = stage.Run("verify", {"--json"});
  INFO(damaged);
  CHECK(Problems(damaged) == Strings{"missing 0-7", "missing 0-8", "missing 0-7"});
  stage.redis.Call({"ZADD", "marks", "11", "2", "5", "stranger"});
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "log/1"}).integer == 10);
  CHECK(stage.redis.Call({"ZSCORE", "marks", "1"}).text == "8");
  CHECK(stage.redis.Call({"ZSCORE", "marks", "2"}).text == "10");
  CHECK(stage.redis.Call({"ZSCORE", "marks", "3"}).type == Reply::Type::kNull);
  CHECK(stage.redis.Call({"ZSCORE", "marks", "stranger"}).type == Reply::Type::kNull);
  ExpectRight(stage);

  // A mark without its stream, and then everything.
  stage.redis.Call({"DEL", "log/1"});
  CHECK(stage.Run("verify").exit_code == 1);
  stage.redis.Call({"DEL", "log/2", "log/3", "marks"});
  CHECK(stage.Run("verify").exit_code == 1);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "log/3"}).integer == 10);
  CHECK(stage.redis.Call({"ZSCORE", "marks", "3"}).text == "10");
  ExpectRight(stage);
}

TEST_CASE("a rebuild that would take a field out of an entry, or lower most values, is refused", "[allowances]") {
  SetStage stage;
  stage.Write("rebuild/a_log.sql", "-- redis: stream log\nSELECT '0-1' AS id, '{\"id\":1}' AS entry");
  stage.Write("rebuild/b_board.sql",
              "-- redis: zset board\nSELECT 'm' || i AS member, i AS score FROM "
              "generate_series(1, 5) i");
  CHECK(stage.Run("rebuild").exit_code == 0);
  stage.redis.Call({"DEL", "log"});
  stage.redis.Call({"XADD", "log", "0-1", "entry", R"({"id":1,"internal_data":{"by":"ops"}})"});
  const auto before = stage.Dump();
  for (const Strings& mend : {Strings{"verify", "--repair"}, Strings{"rebuild"}, Strings{"rebuild", "--dry-run"}}) {
    const CommandResult refused = stage.Run(mend[0], {mend.begin() + 1, mend.end()});
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("internal_data of 0-1 of log"));
    CHECK(stage.Dump() == before);
  }
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.Run("verify").exit_code == 0);

  stage.Sql("CREATE TABLE t AS SELECT 1");
  for (int i = 1; i <= 3; ++i) stage.redis.Call({"ZINCRBY", "board", "1", "m" + std::to_string(i)});
  for (const Strings& mend : {Strings{"verify", "--repair"}, Strings{"rebuild"}, Strings{"rebuild", "--dry-run"}}) {
    const CommandResult refused = stage.Run(mend[0], {mend.begin() + 1, mend.end()});
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("smaller values for 3 of the 5 members of key board"));
  }
  CHECK(stage.redis.Call({"ZSCORE", "board", "m1"}).text == "2");
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "board", "m1"}).text == "1");
}

TEST_CASE("a file whose table is not there is passed over, and a file with a wrong directive is not", "[allowances]") {
  SetStage stage;
  stage.Write("rebuild/a.sql", "-- redis: zset a\nSELECT 'm' AS member, 1 AS score");
  stage.Write("rebuild/b.sql", "-- redis: zset b\n-- if-table: later\nSELECT member, score FROM later");
  const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  CHECK(rebuilt.States().at("b") == "passed over");
  CHECK(stage.Run("verify").exit_code == 0);
  stage.Sql("CREATE TABLE later AS SELECT 'm' AS member, 2 AS score");
  CHECK(stage.Run("verify").exit_code == 1);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "b", "m"}).text == "2");
  stage.Write("rebuild/b.sql", "-- redis: zset b\n-- if-tabel: later\nSELECT member, score FROM later");
  const CommandResult wrong = stage.Run("verify");
  INFO(wrong);
  CHECK(wrong.exit_code == 4);
  CHECK(wrong.Says("rebuild/b.sql: line 2: there is no directive if-tabel:"));
}

}  // namespace
}  // namespace sprockets::harness
