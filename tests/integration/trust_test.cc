// What a follower does when what it wrote is gone or was never the whole, and what `access` leaves alone.
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

void AwaitLength(const SetStage& stage, const std::string& stream, int64_t length) {
  Await(("entries in " + stream).c_str(), [&] { return stage.redis.Call({"XLEN", stream}).integer == length; });
}

void CheckStops(Process& follow) {
  follow.Signal(SIGTERM);
  CHECK(follow.Wait() == 0);
}

TEST_CASE("a follower writes anew what Redis has lost, and waits where Redis refuses", "[trust]") {
  SetStage stage;
  stage.MakeLog();
  stage.WriteLog(false);
  stage.Sql("INSERT INTO log (entry) SELECT 'e' || i FROM generate_series(1, 30) i");
  Process follow = stage.Begin("rebuild", {"--follow"});
  AwaitLength(stage, "log", 30);
  SECTION("everything") {
    stage.redis.Call({"FLUSHALL"});
  }
  SECTION("one key") {
    stage.redis.Call({"DEL", "log"});
  }
  SECTION("one key, to another type") {
    stage.redis.Call({"DEL", "log"});
    stage.redis.Call({"SET", "log", "not a stream"});
    stage.Sql("INSERT INTO log (entry) VALUES ('meanwhile')");
    AwaitLength(stage, "log", 31);
    stage.Sql("DELETE FROM log WHERE entry = 'meanwhile'");
    stage.redis.Call({"DEL", "log"});
  }
  SECTION("no room for a while") {
    stage.redis.Set("maxmemory-policy", "noeviction");
    stage.redis.Set("maxmemory", "100kb");
    stage.Sql("INSERT INTO log (entry) VALUES ('while full')");
    Await("a refusal that is told", [&] { return follow.Stderr().find("follow-interrupted") != std::string::npos; });
    stage.redis.Set("maxmemory", "0");
    AwaitLength(stage, "log", 31);
    stage.Sql("DELETE FROM log WHERE entry = 'while full'");
    stage.redis.Call({"DEL", "log"});
  }
  AwaitLength(stage, "log", 30);
  stage.Sql("INSERT INTO log (entry) VALUES ('one more')");
  AwaitLength(stage, "log", 31);
  CheckStops(follow);
}

TEST_CASE("a key that comes while its table is followed gets its whole content", "[trust]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE team (id int); CREATE TABLE log (id serial PRIMARY KEY, team int, entry text); "
      "INSERT INTO team VALUES (1)");
  stage.Write("rebuild/teams.sql",
              "-- redis: stream\n-- keys: team/*\n-- follow: log id\nSELECT 'team/' || t.id AS key, '0-' || l.id AS "
              "id, l.entry "
              "FROM team t JOIN log l ON l.team IS NULL OR l.team = t.id");
  stage.Sql("INSERT INTO log (entry) SELECT 'for all ' || i FROM generate_series(1, 20) i");
  Process follow = stage.Begin("rebuild", {"--follow"});
  AwaitLength(stage, "team/1", 20);
  stage.Sql("INSERT INTO team VALUES (2); INSERT INTO log (team, entry) VALUES (2, 'own')");
  AwaitLength(stage, "team/2", 21);
  CheckStops(follow);
}

TEST_CASE("a follower sees that one of many keys is gone, though no new row names it", "[trust]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE log (id serial PRIMARY KEY, team int, entry text); "
      "INSERT INTO log (team, entry) SELECT i % 1500, 'e' FROM generate_series(1, 3000) i");
  stage.Write("rebuild/teams.sql",
              "-- redis: stream\n-- keys: team/*\n-- follow: log id\nSELECT 'team/' || team AS key, '0-' || id AS id, "
              "entry FROM log");
  Process follow = stage.Begin("rebuild", {"--follow"});
  AwaitLength(stage, "team/1499", 2);
  for (const char* key : {"team/7", "team/1499"}) {
    stage.redis.Call({"DEL", key});
    AwaitLength(stage, key, 2);
  }
  CheckStops(follow);
}

TEST_CASE("a member of another table's new row is not there before the streams that belong to it", "[trust]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE team (id int); CREATE TABLE log (id serial PRIMARY KEY, team int, entry text); "
      "INSERT INTO team VALUES (1); INSERT INTO log (entry) SELECT 'for all' FROM generate_series(1, 20)");
  stage.Write(
      "rebuild/teams.sql",
      "-- redis: stream\n-- keys: team/*\n-- follow: log id\nSELECT 'team/' || t.id AS key, '0-' || l.id AS id, "
      "l.entry FROM team t JOIN log l ON l.team IS NULL OR l.team = t.id");
  stage.Write("rebuild/tops.sql",
              "-- redis: zset tops\n-- follow: log id\nSELECT t.id AS member, l.top AS score FROM team t CROSS JOIN "
              "(SELECT max(id) AS top FROM log) l WHERE l.top IS NOT NULL");
  Process follow = stage.Begin("rebuild", {"--follow"});
  Await("the mark", [&] { return stage.redis.Call({"ZSCORE", "tops", "1"}).text == "20"; });
  stage.Sql("INSERT INTO team VALUES (2); INSERT INTO log (team, entry) VALUES (1, 'own')");
  Await("the new team's mark", [&] { return stage.redis.Call({"ZSCORE", "tops", "2"}).text == "21"; });
  CHECK(stage.redis.Call({"XLEN", "team/2"}).integer == 20);
  CHECK(stage.redis.Call({"XLEN", "team/1"}).integer == 21);
  CheckStops(follow);
}

TEST_CASE("a sum is followed as a sum of the whole table, and a stream of sums is refused", "[trust]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE score (id serial PRIMARY KEY, who text, delta int); "
      "INSERT INTO score (who, delta) VALUES ('a', 10), ('a', 19), ('b', 5)");
  stage.Write(
      "rebuild/board.sql",
      "-- redis: zset board\n-- follow: score id\nSELECT who AS member, sum(delta) AS score FROM score GROUP BY who");
  SECTION("a board") {
    Process follow = stage.Begin("rebuild", {"--follow"});
    Await("the board", [&] { return stage.redis.Call({"ZSCORE", "board", "a"}).text == "29"; });
    stage.Sql("INSERT INTO score (who, delta) VALUES ('a', 1)");
    Await("the sum", [&] { return stage.redis.Call({"ZSCORE", "board", "a"}).text != "29"; });
    CHECK(stage.redis.Call({"ZSCORE", "board", "a"}).text == "30");
    CHECK(stage.redis.Call({"ZSCORE", "board", "b"}).text == "5");
    CheckStops(follow);
  }
  SECTION("a stream") {
    stage.Write("rebuild/sums.sql",
                "-- redis: stream sums\n-- follow: score id\nSELECT '1-' || max(id) AS id, who, "
                "sum(delta) AS total FROM score GROUP BY who");
    const CommandResult refused = stage.Run("rebuild", {"--follow"});
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("cannot be followed"));
  }
}

TEST_CASE("a stream may ask other tables for what it will", "[trust]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE kind (name text); INSERT INTO kind SELECT 'k' || i % 10 FROM generate_series(1, 1000) i; "
      "CREATE TABLE log (id serial PRIMARY KEY, kind text); INSERT INTO log (kind) SELECT 'k1' FROM generate_series(1, "
      "20)");
  stage.Write("rebuild/log.sql",
              "-- redis: stream log\n-- follow: log id\nSELECT '0-' || l.id AS id, l.kind FROM log l JOIN "
              "(SELECT DISTINCT name FROM kind) k ON k.name = l.kind");
  Process follow = stage.Begin("rebuild", {"--follow"});
  AwaitLength(stage, "log", 20);
  stage.Sql("INSERT INTO log (kind) VALUES ('k2')");
  AwaitLength(stage, "log", 21);
  CheckStops(follow);
}

TEST_CASE("a sequence that hands out ids in advance is refused", "[trust]") {
  SetStage stage;
  stage.MakeLog();
  stage.WriteLog(false);
  SECTION("its own") {
    stage.Sql("ALTER SEQUENCE log_id_seq CACHE 20");
  }
  SECTION("another's") {
    stage.Sql(
        "CREATE SEQUENCE numbers CACHE 20; ALTER TABLE log ALTER id DROP IDENTITY; ALTER TABLE log ALTER id SET "
        "DEFAULT nextval('numbers')");
  }
  const CommandResult refused = stage.Run("rebuild", {"--follow"});
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("CACHE 1"));
}

TEST_CASE("a view is refused as what is followed", "[trust]") {
  SetStage stage;
  stage.MakeLog();
  stage.Sql("CREATE VIEW shown AS SELECT * FROM log");
  stage.Write("rebuild/log.sql",
              "-- redis: stream log\n-- follow: shown id\nSELECT '0-' || id AS id, entry FROM shown");
  const CommandResult refused = stage.Run("rebuild", {"--follow", "--json"});
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("is no table"));
  CHECK(refused.Summary().at("error").get<std::string>().find("is no table") != std::string::npos);
}

// ---- access

TEST_CASE("a check that does not hold changes nobody, and is asked in a dry run, too", "[trust]") {
  SetStage stage;
  stage.redis.Call({"ACL", "SETUSER", "reader", "on", ">secret", "~*", "+get"});
  const std::string before = stage.redis.Call({"ACL", "LIST"}).elements.back().text;
  stage.Write("access/users.acl", "user reader on >secret ~* +get +set\nuser admin on >secret ~* &* +@all\n");
  stage.Write("access/checks.conf", "reader must-not set k v\n");
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--dry-run"}, {}}) {
    const CommandResult refused = stage.Run("access", more);
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("may do what it must not"));
  }
  CHECK(stage.redis.Call({"ACL", "LIST"}).elements.back().text == before);
  CHECK(stage.redis.Call({"ACL", "USERS"}).elements.size() == 2);
}

TEST_CASE("where nobody could change users afterwards nobody is changed, and who goes on as they are may be changed",
          "[trust]") {
  SetStage stage;
  const std::string reader = "user reader on >new ~* +get\n";
  SECTION("nobody") {
    stage.Write("access/users.acl", reader + "user default on nopass ~* &* +@all -acl\n");
    for (const std::vector<std::string>& more : {std::vector<std::string>{"--dry-run"}, {}}) {
      const CommandResult refused = stage.Run("access", more);
      INFO(refused);
      CHECK(refused.exit_code == 4);
      CHECK(refused.Says("gives nobody the right to change users"));
    }
    CHECK(stage.redis.Call({"ACL", "USERS"}).elements.size() == 1);
  }
  SECTION("an administrator's password") {
    stage.redis.Call({"ACL", "SETUSER", "admin", "on", ">old", "~*", "&*", "+@all"});
    stage.redis_url = "redis://admin:old@127.0.0.1:" + std::to_string(stage.redis.port());
    stage.Write("access/users.acl", reader + "user admin on >new ~* &* +@all\n");
    const CommandResult applied = stage.Run("access");
    INFO(applied);
    CHECK(applied.exit_code == 0);
    stage.redis_url = "redis://admin:new@127.0.0.1:" + std::to_string(stage.redis.port());
    CHECK(stage.Run("access", {"--dry-run"}).exit_code == 0);
  }
}

TEST_CASE("what a killed run left of the users that it compares with is removed", "[trust]") {
  SetStage stage;
  stage.redis.Call({"ACL", "SETUSER", "sprockets-compare-1", "on", "nopass", "~*", "+@all"});
  stage.Write("access/users.acl", "user reader on >secret ~* +get\n");
  const CommandResult applied = stage.Run("access");
  INFO(applied);
  CHECK(applied.exit_code == 0);
  CHECK(stage.redis.Call({"ACL", "GETUSER", "sprockets-compare-1"}).type == Reply::Type::kNull);
  CHECK(stage.Run("access").exit_code == 0);
}

}  // namespace
}  // namespace sprockets::harness
