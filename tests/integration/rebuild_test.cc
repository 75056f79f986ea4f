// Redis structures from queries, on real servers: what is refused and with which words, what stays alive meanwhile,
// what survives of a stream, what a killed run leaves.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
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

// ---- Each kind ----

TEST_CASE("Each kind of structure comes from its query, is verified, and a second rebuild changes nothing",
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

TEST_CASE("A large board that differs from its beginning is rebuilt", "[rebuild]") {
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

TEST_CASE("Whatever differs in a structure of any kind is named and mended", "[rebuild]") {
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

TEST_CASE("A thousand small keys come from one query", "[rebuild]") {
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

TEST_CASE("An expiry is set, compared and mended, and what has expired is left out", "[rebuild]") {
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

// ---- Bad input ----

/// A board that lives, and a set whose only query is bad.
struct BadSet {
  SetStage stage;

  BadSet() {
    stage.redis.Call({"ZADD", "board", "1", "alive"});
    stage.Sql("CREATE TABLE big AS SELECT i AS x FROM generate_series(1, 20000) i");
  }

  /// Refused with these words, and nothing has changed.
  void ExpectRefused(const std::string& file_text, const Strings& words) const {
    stage.Write("rebuild/bad.sql", file_text);
    const auto before = stage.Dump();
    const CommandResult refused = stage.Run("rebuild");
    INFO(file_text << "\n" << refused.exit_code << " " << refused.err.substr(0, 1000));
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("rebuild/bad.sql"));
    for (const std::string& word : words) {
      INFO(word);
      CHECK(refused.Says(word));
    }
    CHECK(stage.Dump() == before);
    CHECK(stage.OwnKeys().empty());
  }
};

/// A zset that has good rows before the bad one, so that something was written when it came.
std::string BoardOf(const std::string& bad_row, const std::string& directives = "") {
  return "-- redis: zset board\n" + directives + "SELECT 'm' || x AS member, -x AS score FROM big UNION ALL SELECT " +
         bad_row;
}

TEST_CASE("Columns that do not fit are refused", "[rebuild]") {
  const BadSet bad;
  bad.ExpectRefused("-- redis: zset board\nSELECT 'a' AS member", {"zset wants", "member, score"});
  bad.ExpectRefused("-- redis: zset board\nSELECT 'a' AS member, 1 AS score, 2 AS extra", {"zset wants", "extra"});
  bad.ExpectRefused("-- redis: zset\nSELECT 'a' AS member, 1 AS score", {"zset wants", "key"});
  bad.ExpectRefused("-- redis: zset board\nSELECT 'a' AS member, 'x' AS score", {"score", "cast it"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '1-1' AS id", {"stream wants", "fields"});
  bad.ExpectRefused("-- redis: string\nSELECT 'a' AS key, 'b' AS value, 5 AS expire_at", {"expire_at", "cast it"});
  bad.ExpectRefused("-- redis: zset board\nSELECT member,\n       score\nFROM nowhere", {"line 4", "nowhere"});
  bad.ExpectRefused("SELECT 'a' AS member, 1 AS score", {"line 1", "-- redis: KIND"});
  bad.ExpectRefused("-- redis: list board\nSELECT 1 AS value", {"line 1", "zset, stream, hash, set or string"});
}

TEST_CASE("Rows that Redis cannot hold as they are meant are refused with their number", "[rebuild]") {
  const BadSet bad;
  bad.ExpectRefused(BoardOf("NULL, 1"), {"row ", "member is NULL", "filter such rows"});
  bad.ExpectRefused("-- redis: zset\nSELECT NULL AS key, 'a' AS member, 1 AS score", {"row 1", "key is NULL"});
  bad.ExpectRefused(
      "-- redis: zset board\nSELECT 'm' || x AS member, x::float8 AS score FROM big UNION ALL SELECT 'a', 'NaN'",
      {"row 20001", "NaN"});
  bad.ExpectRefused(
      "-- redis: zset board\nSELECT 'm' || x AS member, x::float8 AS score FROM big UNION ALL SELECT 'a', 'infinity'",
      {"row 20001", "infinite"});
  bad.ExpectRefused(BoardOf("'a', 9007199254740993"), {"row 20001", "9007199254740993", "2^53"});
  bad.ExpectRefused(BoardOf("'a', 0.5", "-- scores: integers\n"), {"row 20001", "-- scores: integers"});
  bad.ExpectRefused(BoardOf("'m5', 7"), {"m5 comes twice", "once"});
  bad.ExpectRefused("-- redis: hash names\nSELECT 'f' || x AS field, x AS value FROM big UNION ALL SELECT 'f5', 1",
                    {"row ", "f5 comes twice"});
  bad.ExpectRefused("-- redis: string\nSELECT 'k' AS key, x AS value FROM big", {"row 2", "the key comes twice"});
  bad.ExpectRefused("-- redis: stream log\nSELECT 'abc' AS id, 'a' AS entry", {"row 1", "abc", "<ms>-<seq>"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '5-x' AS id, 'a' AS entry", {"row 1", "5-x", "<ms>-<seq>"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '0-' || x AS id, 'a' AS entry FROM big UNION ALL SELECT NULL, 'b'",
                    {"row ", "id is NULL"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '0-' || x - 1 AS id, 'a' AS entry FROM big",
                    {"row 1", "0-0", "above 0-0"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '0-' || (x + 1) / 2 AS id, 'a' AS entry FROM big",
                    {"row 2", "0-1 comes twice"});
  bad.ExpectRefused("-- redis: hash names\nSELECT 'f' AS field, repeat('x', 40000000) AS value",
                    {"row 1", "leave it out, or shorten it"});
}

TEST_CASE("A query that PostgreSQL stops is refused, wherever it had got to", "[rebuild]") {
  const BadSet bad;
  bad.ExpectRefused("-- redis: zset board\nSELECT 'm' || x AS member, 1 / (x - 500) AS score FROM big",
                    {"division by zero"});
  // Sorted by score, the bad row comes last: the rest is in Redis by then.
  bad.ExpectRefused("-- redis: stream log\nSELECT '0-' || x AS id, 1 / (x - 19999) AS entry FROM big",
                    {"division by zero"});

  BadSet of_another;
  of_another.stage.Sql("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN");
  of_another.stage.postgres_url = of_another.stage.postgres.Url(of_another.stage.database, "reader");
  of_another.ExpectRefused("-- redis: zset board\nSELECT x AS member, x AS score FROM big",
                           {"permission denied", "big"});
}

TEST_CASE("A set that is not there, or names no file, is refused", "[rebuild]") {
  SetStage stage;
  CHECK(stage.Run("rebuild", {"--only", "nothing"}).exit_code == 2);
  stage.set = stage.folder / "elsewhere";
  for (const char* command : {"rebuild", "verify", "migrate"}) {
    const CommandResult refused = stage.Run(command);
    INFO(refused);
    CHECK(refused.exit_code == 3);
    CHECK(refused.Says("elsewhere"));
  }
}

TEST_CASE("An old key that a killed run has put aside goes back where its place is empty", "[rebuild]") {
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

TEST_CASE("A PostgreSQL that vanishes while rows come leaves everything as it was", "[rebuild]") {
  SetStage stage;
  stage.redis.Call({"ZADD", "board", "1", "alive"});
  const auto before = stage.Dump();
  // The first structure is good. pg_sleep follows rows that have gone out already.
  stage.Write(
      "rebuild/board.sql",
      "-- redis: hash names\nSELECT i AS field, CASE WHEN i = 150000 THEN pg_sleep(60)::text ELSE repeat('x', 50) "
      "END AS value FROM generate_series(1, 150000) i");
  Process rebuild = stage.Begin("rebuild");
  Await("the query to run", [&] {
    return stage.postgres.Value(
               stage.database,
               "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'") ==
           "1";
  });
  stage.postgres.Kill();
  const auto exit_code = rebuild.Wait();
  stage.postgres.Start();
  INFO(rebuild.Stderr());
  CHECK(exit_code == 3);
  CHECK(rebuild.Stderr().find("rebuild/board.sql") != std::string::npos);
  CHECK(rebuild.Stderr().find("PostgreSQL is gone") != std::string::npos);
  CHECK(stage.Dump() == before);
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("A Redis that refuses to take more leaves everything as it was", "[rebuild]") {
  SetStage stage;
  stage.redis.Call({"ZADD", "board", "1", "alive"});
  const auto before = stage.Dump();
  stage.Write(
      "rebuild/board.sql",
      "-- redis: zset board\nSELECT repeat('x', 100) || i AS member, i AS score FROM generate_series(1, 100000) i");
  stage.redis.Set("maxmemory-policy", "noeviction");
  stage.redis.Set("maxmemory", "6mb");
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("OOM"));
  CHECK(stage.Dump() == before);
  CHECK(stage.OwnKeys().empty());
}

// ---- Guards ----

TEST_CASE("An empty or a much smaller source replaces nothing without --force", "[rebuild]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE board (key text, member text, score int); "
      "INSERT INTO board SELECT 'k' || i % 2, i, i FROM generate_series(1, 200) i");
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT member, score FROM board");
  stage.Write("rebuild/keys.sql", "-- redis: set\n-- keys: k*\nSELECT key, member FROM board");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  const auto full = stage.Dump();

  const auto refuses = [&](const char* sql, const char* words) {
    stage.Sql(sql);
    for (const char* only : {"board", "keys"}) {
      const CommandResult refused = stage.Run("rebuild", {"--only", only});
      INFO(sql << ", " << only << "\n" << refused);
      CHECK(refused.exit_code == 4);
      CHECK(refused.Says("--force"));
      CHECK(refused.Says(words));
    }
    CHECK(stage.Dump() == full);
    CHECK(stage.OwnKeys().empty());
  };
  refuses("DELETE FROM board WHERE score > 98", "Redis has");
  refuses("DELETE FROM board", "source has nothing");
  CHECK(stage.Run("rebuild", {"--dry-run"}).exit_code == 1);
  CHECK(stage.Dump() == full);

  stage.Sql("INSERT INTO board SELECT 'k1', i, i FROM generate_series(1, 20) i");
  const CommandResult forced = stage.Run("rebuild", {"--force"});
  INFO(forced);
  CHECK(forced.exit_code == 0);
  CHECK(stage.redis.Call({"ZCARD", "board"}).integer == 20);
  CHECK(stage.redis.Call({"EXISTS", "k0"}).integer == 0);
  CHECK(stage.redis.Call({"SCARD", "k1"}).integer == 20);
  stage.Sql("DELETE FROM board");
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.Dump().empty());
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("A key that the source gives no more is refused, and removed with --force", "[rebuild]") {
  SetStage stage;
  stage.Sql("CREATE TABLE t (key text, member text); INSERT INTO t VALUES ('k1', 'a'), ('k2', 'b')");
  stage.Write("rebuild/keys.sql", "-- redis: set\n-- keys: k*\nSELECT key, member FROM t");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.Sql("DELETE FROM t WHERE key = 'k2'");
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("k2"));
  CHECK(stage.redis.Call({"EXISTS", "k2"}).integer == 1);
  CHECK(stage.Run("rebuild", {"--force"}).exit_code == 0);
  CHECK(stage.redis.Call({"EXISTS", "k2"}).integer == 0);
}

TEST_CASE("A stream whose live copy holds an entry that the source lacks is not swapped", "[rebuild]") {
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

TEST_CASE("One rebuild at a time", "[rebuild]") {
  SetStage stage;
  stage.Write("rebuild/slow.sql", "-- redis: string slow\nSELECT pg_sleep(60)::text AS value");
  Process first = stage.Begin("rebuild");
  Await("the first to be at work", [&] {
    return stage.postgres.Value(
               stage.database,
               "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'") ==
           "1";
  });
  const CommandResult second = stage.Run("rebuild");
  INFO(second);
  CHECK(second.exit_code == 4);
  CHECK(second.Says("another rebuild is at work"));
  first.Signal(SIGTERM);
  CHECK(first.Wait() == 4);
}

// ---- Groups ----

TEST_CASE("Groups and what they have not acknowledged survive the rebuild of a live stream", "[rebuild]") {
  SetStage stage;
  stage.Sql("CREATE TABLE log AS SELECT i AS id, 'v' || i AS entry FROM generate_series(1, 100) i");
  stage.Write("rebuild/log.sql", "-- redis: stream log\nSELECT '0-' || id AS id, entry FROM log");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  RespClient redis = stage.redis.Connect();
  redis.Call({"XGROUP", "CREATE", "log", "begun", "0"});
  redis.Call({"XGROUP", "CREATE", "log", "new", "0"});
  redis.Call({"XGROUP", "CREATE", "log", "end", "$"});
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

TEST_CASE("After a total loss, access and then rebuild deliver nothing old through a group at the end", "[rebuild]") {
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

// ---- The drill ----

TEST_CASE("A drill is verified, timed and removed, and live keys are untouched", "[rebuild]") {
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

TEST_CASE("A drill does not write into keys that begin with its prefix", "[rebuild]") {
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

TEST_CASE("Fifty times kill -9: live keys are whole at every moment, and the next run cleans up", "[rebuild]") {
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
