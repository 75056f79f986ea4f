// Queries that rebuild must refuse, and with which words: nothing live may have changed. And the guards before the
// swap.
#include <csignal>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

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

TEST_CASE("columns that do not fit are refused", "[rebuild_refusals]") {
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

TEST_CASE("rows that Redis cannot hold as they are meant are refused with their number", "[rebuild_refusals]") {
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
  bad.ExpectRefused("-- redis: set\nSELECT 'sprockets:rebuild' AS key, x AS member FROM big", {"this program's own"});
  bad.ExpectRefused("-- redis: stream log\nSELECT 'abc' AS id, 'a' AS entry", {"row 1", "abc", "<ms>-<seq>"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '5-x' AS id, 'a' AS entry", {"row 1", "5-x", "<ms>-<seq>"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '0-' || x AS id, 'a' AS entry FROM big UNION ALL SELECT NULL, 'b'",
                    {"row ", "id is NULL"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '0-' || x - 1 AS id, 'a' AS entry FROM big",
                    {"row 1", "0-0", "above 0-0"});
  bad.ExpectRefused("-- redis: stream log\nSELECT '0-' || (x + 1) / 2 AS id, 'a' AS entry FROM big",
                    {"row 2", "0-1 comes twice"});
  bad.ExpectRefused("-- redis: hash names\nSELECT 'f' AS field, repeat('x', 100000000) AS value",
                    {"row 1", "leave it out, or shorten it"});
}

TEST_CASE("a query that PostgreSQL stops is refused, wherever it had got to", "[rebuild_refusals]") {
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

TEST_CASE("a set that is not there, or names no file, is refused", "[rebuild_refusals]") {
  SetStage stage;
  const auto set = stage.set;
  stage.set = stage.folder.path();
  for (const char* command : {"rebuild", "verify", "migrate"}) {
    const CommandResult refused = stage.Run(command);
    INFO(refused);
    CHECK(refused.exit_code == 3);
    CHECK(refused.Says("is no schema set"));
  }
  stage.set = set;
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT 'm' AS member, 1 AS score");
  for (const char* command : {"rebuild", "verify"}) {
    const CommandResult refused = stage.Run(command, {"--only", "nothing"});
    INFO(refused);
    CHECK(refused.exit_code == 2);
    CHECK(refused.Says("matches --only nothing"));
  }
  stage.set = stage.folder / "elsewhere";
  for (const char* command : {"rebuild", "verify", "migrate"}) {
    const CommandResult refused = stage.Run(command);
    INFO(refused);
    CHECK(refused.exit_code == 3);
    CHECK(refused.Says("elsewhere"));
  }
}
TEST_CASE("a PostgreSQL that vanishes while rows come leaves everything as it was", "[rebuild_refusals]") {
  SetStage stage;
  stage.redis.Call({"ZADD", "board", "1", "alive"});
  const auto before = stage.Dump();
  // The first structure is good. pg_sleep follows rows that have gone out already.
  stage.Write(
      "rebuild/board.sql",
      "-- redis: hash names\nSELECT i AS field, CASE WHEN i = 150000 THEN pg_sleep(60)::text ELSE repeat('x', 50) "
      "END AS value FROM generate_series(1, 150000) i");
  Process rebuild = stage.Begin("rebuild");
  stage.AwaitSleepingQuery();
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

TEST_CASE("a Redis that refuses to take more leaves everything as it was", "[rebuild_refusals]") {
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
  CHECK(refused.Says("board: Redis refuses: OOM"));
  CHECK(stage.Dump() == before);
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("a PostgreSQL URL whose password needs %XX is refused, and not repeated", "[rebuild_refusals]") {
  // libpq would take a part of the password for the host, and name it in every error.
  SetStage stage;
  for (const char* url : {"postgres://u:se/cret@h/d", "postgres://u:se@cret@h/d", "postgres://u:se?cret@h/d"}) {
    stage.postgres_url = url;
    const CommandResult refused = stage.Run("verify");
    INFO(url << " " << refused);
    CHECK(refused.exit_code == 2);
    CHECK(refused.Says("%40"));
    CHECK(!refused.Says("cret"));
  }
  for (const char* url : {"postgres://u:se%2Fcret@h/d", "postgres:///d?host=/run", "postgres://h"}) {
    stage.postgres_url = url;
    CHECK(stage.Run("verify", {"--check-config"}).exit_code == 0);
  }
}

TEST_CASE("files that would undo each other's work are refused", "[rebuild_refusals]") {
  const SetStage stage;
  stage.redis.Call({"ZADD", "board", "1", "alive"});
  const auto before = stage.Dump();
  stage.Write("rebuild/a.sql", "-- redis: zset board\nSELECT 'm' AS member, 1 AS score");
  const auto refuses = [&](const std::string& other, const char* words) {
    stage.Write("rebuild/b.sql", other);
    for (const char* command : {"rebuild", "verify"}) {
      const CommandResult refused = stage.Run(command);
      INFO(other << "\n" << refused);
      CHECK(refused.exit_code == 4);
      CHECK(refused.Says("rebuild/b.sql"));
      CHECK(refused.Says(words));
    }
    CHECK(stage.Dump() == before);
  };
  refuses("-- redis: set board\nSELECT 'm' AS member", "its key is that of a.sql, board");
  refuses("-- redis: set\n-- keys: b*\nSELECT 'b1' AS key, 'm' AS member", "covers that of a.sql, board");
  refuses("-- redis: set c\n-- redis: set d\nSELECT 'm' AS member", "line 2");
  refuses("-- redis: set c\n-- kyes: c*\nSELECT 'm' AS member", "no directive kyes:");
}

TEST_CASE("verify says so when the query gives a member twice", "[rebuild_refusals]") {
  const SetStage stage;
  stage.Write("rebuild/a.sql",
              "-- redis: zset board\nSELECT * FROM (VALUES ('m', 1), ('n', 2), ('m', 3)) v (member, score)");
  stage.redis.Call({"ZADD", "board", "1", "m", "2", "n"});
  for (const Strings& words : {Strings{"verify"}, Strings{"verify", "--repair"}, Strings{"rebuild", "--dry-run"}}) {
    const CommandResult refused = stage.Run(words[0], {words.begin() + 1, words.end()});
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("m comes twice"));
  }
  CHECK(stage.redis.Call({"ZCARD", "board"}).integer == 2);
}

// ---- Guards ----

TEST_CASE("an empty or a much smaller source replaces nothing without --force", "[rebuild_refusals]") {
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
      for (const char* mode : {"--json", "--dry-run"}) {
        const CommandResult refused = stage.Run("rebuild", {"--only", only, mode});
        INFO(sql << ", " << only << " " << mode << "\n" << refused);
        CHECK(refused.exit_code == 4);
        CHECK(refused.Says("--force"));
        CHECK(refused.Says(words));
      }
    }
    CHECK(stage.Dump() == full);
    CHECK(stage.OwnKeys().empty());
  };
  refuses("DELETE FROM board WHERE score > 98", "Redis has");
  refuses("DELETE FROM board", "source has nothing");
  CHECK(stage.Run("rebuild", {"--dry-run", "--force"}).exit_code == 1);
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

TEST_CASE("a key that the source gives no more is refused, and removed with --force", "[rebuild_refusals]") {
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

TEST_CASE("verify --repair does not take away more members than the source has", "[rebuild_refusals]") {
  SetStage stage;
  stage.Sql("CREATE TABLE board AS SELECT 'm' || i AS member, i AS score FROM generate_series(1, 100) i");
  stage.Write("rebuild/board.sql", "-- redis: zset board\nSELECT member, score FROM board");
  REQUIRE(stage.Run("rebuild").exit_code == 0);
  stage.Sql("DELETE FROM board WHERE score > 40");
  const auto before = stage.Dump();
  const CommandResult refused = stage.Run("verify", {"--repair"});
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("rebuild --force"));
  CHECK(stage.Dump() == before);
  stage.Sql("INSERT INTO board SELECT 'm' || i, i FROM generate_series(41, 60) i");
  CHECK(stage.Run("verify", {"--repair"}).exit_code == 0);
  CHECK(stage.redis.Call({"ZCARD", "board"}).integer == 60);
}

TEST_CASE("a swap that Redis refuses leaves that key as it was, and nothing beside it", "[rebuild_refusals]") {
  SetStage stage;
  stage.redis.Call({"SET", "k2", "alive"});
  stage.Write("rebuild/keys.sql", "-- redis: string\nSELECT 'k' || i AS key, i AS value FROM generate_series(1, 3) i");
  stage.redis.Call({"ACL", "SETUSER", "half", "on", ">secret", "+@all", "~sprockets:*", "~k1", "~k3", "%R~k2"});
  stage.redis_url = "redis://half:secret@127.0.0.1:" + std::to_string(stage.redis.port());
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("NOPERM"));
  CHECK(stage.redis.Call({"GET", "k2"}).text == "alive");
  CHECK(stage.OwnKeys().empty());
}

TEST_CASE("a connection outlives Redis's timeout while PostgreSQL thinks, before and between rows",
          "[rebuild_refusals]") {
  SetStage stage({"--timeout", "1"});
  stage.Write("rebuild/board.sql",
              "-- redis: zset board\nSELECT 'm' || i AS member, CASE WHEN i = 50000 THEN i + length(pg_sleep(4)::text) "
              "ELSE i END AS score FROM generate_series(1, 100000) i");
  stage.Write("rebuild/names.sql",
              "-- redis: hash names\nSELECT i AS field, CASE WHEN i = 150000 THEN pg_sleep(4)::text ELSE "
              "repeat('x', 50) END AS value FROM generate_series(1, 200000) i");
  for (const char* command : {"rebuild", "verify"}) {
    const CommandResult done = stage.Run(command);
    INFO(command << done);
    CHECK(done.exit_code == 0);
  }
  stage.redis.Call({"HSET", "names", "1", "other"});
  const CommandResult differs = stage.Run("verify");
  INFO(differs);
  CHECK(differs.exit_code == 1);
  CHECK(stage.redis.Call({"HLEN", "names"}).integer == 200000);
}

TEST_CASE("one rebuild at a time", "[rebuild_refusals]") {
  SetStage stage;
  stage.Write("rebuild/slow.sql", "-- redis: string slow\nSELECT pg_sleep(60)::text AS value");
  Process first = stage.Begin("rebuild");
  stage.AwaitSleepingQuery();
  const CommandResult second = stage.Run("rebuild");
  INFO(second);
  CHECK(second.exit_code == 4);
  CHECK(second.Says("another rebuild is at work"));
  first.Signal(SIGTERM);
  CHECK(first.Wait() == 4);
}

TEST_CASE("one rebuild at a time in a Redis, whichever database it comes from", "[rebuild_refusals]") {
  SetStage stage({"--timeout", "1"});
  SetStage other;
  other.redis_url = stage.redis.Url();
  stage.Write("rebuild/slow.sql", "-- redis: string slow\nSELECT pg_sleep(60)::text AS value");
  other.Write("rebuild/quick.sql", "-- redis: string quick\nSELECT 'x' AS value");
  Process first = stage.Begin("rebuild");
  stage.AwaitSleepingQuery();
  const CommandResult second = other.Run("rebuild");
  INFO(second);
  CHECK(second.exit_code == 4);
  CHECK(second.Says("another rebuild is at work in this Redis"));
  first.Signal(SIGKILL);
  first.Wait();
  const CommandResult third = other.Run("rebuild");
  INFO(third);
  CHECK(third.exit_code == 0);
  CHECK(stage.redis.Call({"GET", "quick"}).text == "x");
  CHECK(stage.redis.Call({"KEYS", "sprockets:*"}).elements.empty());
}

}  // namespace
}  // namespace sprockets::harness
