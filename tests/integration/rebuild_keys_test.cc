// Many small keys from one query: looked at, loaded and swapped without a round trip for each, and told apart as
// exactly as one key by itself.
#include <cstdint>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

/// How often Redis has read from its clients.
int64_t ReadsOf(RespClient& redis) {
  const std::string stats = redis.Call({"INFO", "stats"}).text;
  const std::string name = "total_reads_processed:";
  return std::stoll(stats.substr(stats.find(name) + name.size()));
}

/// What verify says of each difference, in its order: key, member, problem.
Strings Told(const CommandResult& verified) {
  Strings told;
  for (const auto& line : verified.Lines()) {
    if (line.contains("command")) continue;
    const std::string member = line.at("member").is_null() ? "-" : line.at("member").get<std::string>();
    told.push_back(line.at("key").get<std::string>() + " " + member + " " + line.at("problem").get<std::string>());
  }
  return told;
}

std::string ColumnsOf(const std::string& kind) {
  if (kind == "zset") return "'m' || r AS member, r * n AS score";
  if (kind == "hash") return "'m' || r AS field, r * n AS value";
  return kind == "set" ? "'m' || r * n AS member" : "n AS value";
}

TEST_CASE("small keys of every kind take no round trip each, missing, equal or different", "[rebuild_keys]") {
  const std::string kind = GENERATE("zset", "hash", "set", "string");
  SetStage stage;
  stage.Sql("CREATE TABLE generation (n int); INSERT INTO generation VALUES (1)");
  stage.Write("rebuild/keys.sql", "-- redis: " + kind + "\nSELECT 'k' || i AS key, " + ColumnsOf(kind) +
                                      " FROM generate_series(1, 1000) i, generation" +
                                      (kind == "string" ? "" : ", generate_series(1, 5) r"));
  RespClient redis = stage.redis.Connect();
  const auto reads_during = [&](const std::string& command, const Strings& more, int exit_code) {
    const int64_t before = ReadsOf(redis);
    const CommandResult run = stage.Run(command, more);
    INFO(kind << " " << run);
    CHECK(run.exit_code == exit_code);
    return ReadsOf(redis) - before;
  };
  CHECK(reads_during("rebuild", {}, 0) < 300);
  CHECK(reads_during("verify", {}, 0) < 100);
  CHECK(reads_during("rebuild", {}, 0) < 100);  // changes nothing
  CHECK(stage.redis.Call({"DBSIZE"}).integer == 1000);
  CHECK(stage.OwnKeys().empty());
  redis.Call({"FLUSHALL"});
  CHECK(reads_during("verify", {}, 1) < 100);
}

TEST_CASE("among small keys of each kind every difference is told, in the order of the keys", "[rebuild_keys]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE score AS SELECT 'z' || chr(96 + k) AS key, 'm' || i AS member, i * 1.5 AS score, "
      "CASE WHEN k = 4 THEN timestamptz '2100-01-01' END AS expire_at "
      "FROM generate_series(1, 9) k, LATERAL generate_series(1, CASE WHEN k IN (3, 7) THEN 700 ELSE 5 END) i");
  stage.Write("rebuild/a.sql", "-- redis: zset\nSELECT key, member, score, expire_at FROM score");
  stage.Write("rebuild/b.sql",
              "-- redis: hash\nSELECT replace(key, 'z', 'h') AS key, member AS field, score AS value FROM score");
  stage.Write("rebuild/c.sql", "-- redis: set\nSELECT replace(key, 'z', 's') AS key, member FROM score");
  stage.Write("rebuild/d.sql",
              "-- redis: string\nSELECT replace(key, 'z', 'w') AS key, max(score) AS value FROM score GROUP BY 1");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  const CommandResult right = stage.Run("verify");
  INFO(right);
  REQUIRE(right.exit_code == 0);
  RespClient redis = stage.redis.Connect();
  for (const Strings& command : std::vector<Strings>{{"ZADD", "za", "9", "m1"},
                                                     {"DEL", "zb"},
                                                     {"ZREM", "zc", "m650"},
                                                     {"PERSIST", "zd"},
                                                     {"ZADD", "zf", "3.5", "intruder"},
                                                     {"SET", "zh", "another type"},
                                                     {"ZREM", "zi", "m5"},
                                                     {"HSET", "ha", "m1", "9"},
                                                     {"HSET", "hb", "intruder", "1"},
                                                     {"HDEL", "hc", "m650"},
                                                     {"PEXPIREAT", "hi", "4102444800000"},
                                                     {"SADD", "sa", "intruder"},
                                                     {"SREM", "sh", "m1"},
                                                     {"DEL", "si"},
                                                     {"SET", "wa", ""},
                                                     {"DEL", "wb"},
                                                     {"RPUSH", "wb", "another type"}})
    redis.Call(command);
  const CommandResult differs = stage.Run("verify", {"--json"});
  INFO(differs);
  CHECK(differs.exit_code == 1);
  CHECK(Told(differs) == Strings{"za m1 different", "zb - missing", "zc m650 missing", "zd - expiry",
                                 "zf intruder extra", "zh - type", "zi m5 missing", "ha m1 different",
                                 "hb intruder extra", "hc m650 missing", "hi - expiry", "sa intruder extra",
                                 "sh m1 missing", "si - missing", "wa - different", "wb - type"});
  const CommandResult mended = stage.Run("rebuild");
  INFO(mended);
  CHECK(mended.exit_code == 0);
  CHECK(stage.Run("verify").exit_code == 0);
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("one small key that Redis still has is guarded as if it had all of them", "[rebuild_keys]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE score AS SELECT 'k' || k AS key, 'm' || i AS member, i AS score "
      "FROM generate_series(1, 600) k, generate_series(1, 10) i");
  stage.Write("rebuild/boards.sql", "-- redis: zset\nSELECT key, member, score FROM score");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  RespClient redis = stage.redis.Connect();
  for (int k = 1; k <= 600; ++k) {
    if (k != 77) redis.Call({"DEL", "k" + std::to_string(k)});
  }
  const auto expect_refusal = [&](const std::string& why) {
    const CommandResult refused = stage.Run("rebuild");
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says(why));
    CHECK(redis.Call({"DBSIZE"}).integer == 1);
    CHECK(redis.Call({"ZSCORE", "k77", "m10"}).text == "10");
  };
  stage.Sql("UPDATE score SET score = score - 1 WHERE key = 'k77'");
  expect_refusal("the source has smaller values for 10 of the 10 members of key k77");
  stage.Sql("UPDATE score SET score = score + 1 WHERE key = 'k77'; DELETE FROM score WHERE key = 'k77' AND score > 3");
  expect_refusal("the source has 3 rows for key k77, Redis has 10");
}

}  // namespace
}  // namespace sprockets::harness
