// The schema sets of the repository on real servers: a loss and the way back, and what is damaged by hand.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/integration/set_deployment.h"

namespace sprockets::harness {
namespace {

TEST_CASE("season_of_code: an empty Redis comes back, and what is damaged by hand is named and mended", "[sets]") {
  Deployment season("season_of_code");
  SetStage& stage = season.stage;
  season.Fill();
  season.Expect("access", 0);
  season.LogInAs("admin");
  season.Expect("rebuild", 0);
  season.Expect("verify", 0);
  RespClient admin = season.ConnectAs("admin");
  const auto before = stage.Dump(season.ConnectAs("admin"));
  CHECK(before.size() == 1 + 13 + 5 + 4);  // nobody has a badge of feature-suggestion-set
  CHECK(admin.Call({"ZSCORE", "leaderboard-sset", "__dummy__"}).text == "0");
  CHECK(std::stod(admin.Call({"ZSCORE", "leaderboard-sset", "naïve-Ωmega-🚀"}).text) >= 75);

  // Again: nothing changes.
  const CommandResult again = stage.Run("rebuild", {"--json"});
  INFO(again);
  CHECK(again.exit_code == 0);
  for (const auto& [name, state] : again.States()) CHECK(name + " " + state == name + " unchanged");
  const CommandResult access = stage.Run("access", {"--json"});
  INFO(access);
  CHECK(access.exit_code == 0);
  CHECK(access.Summary().at("users_changed") == 0);
  CHECK(access.Summary().at("groups_created") == 0);
  CHECK(access.Summary().at("checks") > 150);
  CHECK(stage.Dump(season.ConnectAs("admin")) == before);

  // One score, one member of a hash, one group, one user.
  admin.Call({"ZINCRBY", "go-ranking-sset", "1", "Upper-Case"});
  admin.Call({"HDEL", "doc-set", "dev-21"});
  admin.Call({"XGROUP", "DESTROY", "bounty-stream", "bounty-group"});
  admin.Call({"ACL", "SETUSER", "pulse", "+del"});
  const CommandResult damaged = stage.Run("verify", {"--json"});
  INFO(damaged);
  CHECK(damaged.exit_code == 1);
  CHECK(damaged.Summary().at("result") == "differs");
  CHECK(season.Differences(damaged) == std::vector<Strings>{
                                           {"group", "bounty-stream", "bounty-group", "missing"},
                                           {"hash", "doc-set", "dev-21", "missing"},
                                           {"user", "pulse", "", "different"},
                                           {"zset", "go-ranking-sset", "Upper-Case", "different"},
                                       });
  season.Expect("verify", 0, {"--repair"});
  season.Expect("verify", 0);
  CHECK(admin.Call({"HGET", "doc-set", "dev-21"}).text == "2");
  CHECK(season.ConnectAs("pulse").Call({"DEL", "leaderboard-sset"}).IsError("NOPERM"));
  const auto mended = stage.Dump(season.ConnectAs("admin"));
  CHECK(mended.at("go-ranking-sset") == before.at("go-ranking-sset"));

  // What has no business there, and a key of another type.
  admin.Call({"ZADD", "zig-ranking-sset", "3", "intruder"});
  admin.Call({"DEL", "helper-set"});
  admin.Call({"SET", "helper-set", "text"});
  const CommandResult more = stage.Run("verify", {"--json"});
  CHECK(season.Differences(more) ==
        std::vector<Strings>{{"hash", "helper-set", "", "type"}, {"zset", "zig-ranking-sset", "intruder", "extra"}});
  season.Expect("verify", 0, {"--repair"});
  CHECK(admin.Call({"KEYS", "sprockets:*"}).elements.empty());
}

TEST_CASE("season_of_code: its replayer rebuilds, verifies, mends and drills with no more than its own rights",
          "[sets]") {
  Deployment season("season_of_code");
  season.Fill();
  season.Expect("access", 0);
  season.LogInAs("replayer");
  season.Expect("rebuild", 0);
  season.Expect("rebuild", 0, {"--into", "drill:"});
  season.ConnectAs("admin").Call({"ZINCRBY", "go-ranking-sset", "1", "Upper-Case"});
  season.Expect("verify", 1);
  season.Expect("verify", 0, {"--repair"});
  season.Expect("verify", 0);
  season.Expect("access", 4);
}

TEST_CASE("activity_log: its replayer does its work with no more than its own rights", "[sets]") {
  Deployment log("activity_log");
  log.Fill();
  log.Expect("access", 0);
  log.LogInAs("replayer");
  log.Expect("rebuild", 0);
  log.Expect("rebuild", 0, {"--into", "drill:"});
  log.ConnectAs("admin").Call({"DEL", "activity_log"});
  log.Expect("verify", 1);
  log.Expect("verify", 0, {"--repair"});
  log.Expect("verify", 0);
}

TEST_CASE("what was rebuilt under the set's users survives a restart of Redis", "[sets]") {
  // Redis reads its append-only file as the user default, and drops the transactions in there that it may not do.
  for (const char* name : {"season_of_code", "activity_log"}) {
    INFO(name);
    const TempDir acl;
    std::ofstream(acl / "users.acl") << "";
    Deployment deployment(name, {"--aclfile", acl / "users.acl", "--appendonly", "yes", "--appendfsync", "always"});
    deployment.Fill();
    deployment.Expect("access", 0, {"--close-default"});
    deployment.LogInAs("admin");
    deployment.Expect("access", 0);
    deployment.Expect("rebuild", 0);
    RespClient admin = deployment.ConnectAs("admin");
    admin.Call({"ZADD", "leaderboard-sset", "999999", "intruder"});
    admin.Call({"ZADD", "activity_log", "999999", "1"});
    deployment.Expect("rebuild", 0);
    deployment.Expect("verify", 0, {"--only", "*"});
    const auto before = deployment.stage.Dump(deployment.ConnectAs("admin"));
    deployment.RestartRedis();
    CHECK(deployment.stage.Dump(deployment.ConnectAs("admin")) == before);
  }
}

TEST_CASE("activity_log: streams with the ids of the table, their entries byte for byte", "[sets]") {
  Deployment log("activity_log");
  const SetStage& stage = log.stage;
  log.Fill();
  log.Expect("rebuild", 0, {"--only", "*"});
  const auto entry = [&](const std::string& stream, const std::string& id) {
    const Reply reply = stage.redis.Call({"XRANGE", stream, "0-" + id, "0-" + id});
    if (reply.elements.size() != 1) return std::string("none");
    const Reply& fields = reply.elements[0].elements[1];
    return fields.elements[0].text + " " + fields.elements[1].text;
  };
  // As JSON.stringify writes them.
  CHECK(
      entry("global/activity_log", "301") ==
      R"(entry {"id":301,"timestamp":"2025-01-17T23:00:00.000Z","currency_delta":0,"strong_currency_delta":0,"type":"round_unlocked","slug":"the_murder"})");
  CHECK(
      entry("activity_log/1", "303") ==
      R"(entry {"id":303,"team_id":1,"timestamp":"2025-01-17T23:00:00.500Z","currency_delta":0,"strong_currency_delta":0,"type":"puzzle_unlocked","slug":"b"})");
  CHECK(entry("global/activity_log", "304").find("2025-12-31T23:59:59.999Z") != std::string::npos);
  CHECK(
      entry("global/activity_log", "305") ==
      R"(entry {"id":305,"team_id":2,"timestamp":"2025-01-18T00:00:00.001Z","currency_delta":0,"strong_currency_delta":0,"type":"puzzle_unlocked","internal_data":{"why":"hidden"}})");
  const std::string hard = entry("activity_log/3", "308");
  INFO(hard);
  CHECK(hard.find(R"("two  blanks, a \" and : \\")") != std::string::npos);
  CHECK(hard.find(R"([1,2.5,1,10,0.505,1.005,-0.1,null,true,{"deep":" 1.0 "}])") != std::string::npos);
  CHECK(hard.find(R"(quo\"te\\back\nline\tтест🚀/)") != std::string::npos);
  CHECK(entry("global/activity_log", "55") == "none");
  CHECK(stage.redis.Call({"EXISTS", "activity_log/99"}).integer == 0);
  CHECK(stage.redis.Call({"ZSCORE", "activity_log", "7"}).text == "5000");
  const Reply info = stage.redis.Call({"XREVRANGE", "global/activity_log", "+", "-", "COUNT", "1"});
  CHECK(info.elements.at(0).elements.at(0).text == "0-5000");
  log.Expect("verify", 0, {"--only", "[gt]*"});
  log.Expect("rebuild", 0);

  stage.Sql("DELETE FROM activity_log WHERE id = 303; UPDATE activity_log SET slug = 'other' WHERE id = 301");
  const CommandResult differs = stage.Run("verify", {"--json", "--only", "[gt]*"});
  INFO(differs);
  CHECK(differs.exit_code == 1);
  std::vector<Strings> expected{{"stream", "activity_log/1", "0-303", "extra"},
                                {"stream", "global/activity_log", "0-301", "different"},
                                {"stream", "global/activity_log", "0-303", "extra"}};
  for (int team = 1; team <= 12; ++team)
    expected.push_back({"stream", "activity_log/" + std::to_string(team), "0-301", "different"});
  std::sort(expected.begin(), expected.end());
  CHECK(log.Differences(differs) == expected);
}

TEST_CASE("after a loss come access, rebuild and drain, and everything is there once", "[sets]") {
  Deployment season("season_of_code");
  SetStage& stage = season.stage;
  season.Fill();
  season.Expect("access", 0);
  season.LogInAs("admin");
  season.Expect("rebuild", 0);
  Sidecar sidecar({.folder = stage.folder.path(),
                   .redis_url = "redis://sidecar:" + Deployment::SecretOf("sidecar") +
                                "@127.0.0.1:" + std::to_string(stage.redis.port()),
                   .spill_dir = {},
                   .arguments = {}});
  sidecar.Start();
  sidecar.AwaitBreaker("closed");
  // Redis is gone with everything in it; what comes meanwhile goes to disk.
  stage.redis.Kill9();
  constexpr int kEvents = 50;
  for (int n = 0; n < kEvents; ++n) {
    REQUIRE(WaitUntil([&] {
      return sidecar.Call({"XADD", "bounty-stream", "*", "event_id", "e" + std::to_string(n), "data", "{}"}).Spilled();
    }));
  }
  CHECK(sidecar.Terminate() == 0);
  stage.redis.Start();
  REQUIRE(stage.redis.Call({"DBSIZE"}).integer == 0);

  stage.redis_url = stage.redis.Url();  // the users are gone, too
  season.Expect("access", 0);
  season.LogInAs("admin");
  season.Expect("rebuild", 0);
  const DrainResult drained = Drain(stage.folder.path(), sidecar.spill_dir(), stage.redis_url);
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  season.Expect("verify", 0);
  season.Expect("rebuild", 0);
  RespClient admin = season.ConnectAs("admin");
  Strings ids;
  for (const Strings& fields : ReadStream(admin, "bounty-stream")) ids.push_back(fields.at(1));
  std::sort(ids.begin(), ids.end());
  CHECK(ids.size() == kEvents);
  CHECK(std::unique(ids.begin(), ids.end()) == ids.end());
  // The group was made before the drain, so its consumer gets every event.
  RespClient consumer = season.ConnectAs("devpool");
  const Reply read = consumer.Call({"XREADGROUP", "GROUP", "bounty-group", "c", "STREAMS", "bounty-stream", ">"});
  CHECK(read.elements.at(0).elements.at(1).elements.size() == kEvents);
}

TEST_CASE("a stream of the set that has spilled events is rebuilt first and drained then", "[sets]") {
  SetStage stage;
  stage.Write("rebuild/log.sql",
              "-- redis: stream log\nSELECT '0-' || i AS id, i AS entry FROM generate_series(1, 100) i");
  stage.Write("access/groups.conf", "log readers $\n");
  Sidecar sidecar({.folder = stage.folder.path(), .redis_url = stage.redis.Url(), .spill_dir = {}, .arguments = {}});
  sidecar.Start();
  sidecar.AwaitBreaker("closed");
  stage.redis.Kill9();
  for (int n = 0; n < 20; ++n) {
    REQUIRE(WaitUntil([&] {
      return sidecar.Call({"XADD", "log", "*", "event_id", "e" + std::to_string(n), "entry", "late"}).Spilled();
    }));
  }
  CHECK(sidecar.Terminate() == 0);
  stage.redis.Start();
  CHECK(stage.Run("access").exit_code == 0);
  CHECK(stage.Run("rebuild").exit_code == 0);
  const DrainResult drained = Drain(stage.folder.path(), sidecar.spill_dir(), stage.redis.Url());
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("landed") == 20);
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 120);
  const Reply read = stage.redis.Call({"XREADGROUP", "GROUP", "readers", "c", "STREAMS", "log", ">"});
  CHECK(read.elements.at(0).elements.at(1).elements.size() == 20);
  // What the drain brought is not in the database yet: the stream is not taken away from under it.
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(stage.redis.Call({"XLEN", "log"}).integer == 120);
}

TEST_CASE("no password is said, whatever goes wrong", "[sets]") {
  SetStage stage;
  stage.Write("rebuild/a.sql", "-- redis: string a\nSELECT 'b' AS value");
  const auto silent = [&](const std::string& what, const CommandResult& run) {
    INFO(what << ": " << run);
    CHECK(run.exit_code >= 2);
    CHECK((run.out + run.err).find("p4ss") == std::string::npos);
    CHECK_FALSE(run.err.empty());
  };
  const std::string redis_url = stage.redis_url;
  const std::string postgres_url = stage.postgres_url;
  stage.redis_url = "redis://ada:p4ss@127.0.0.1:" + std::to_string(stage.redis.port());
  for (const char* command : {"rebuild", "verify", "access"}) silent(command, stage.Run(command));
  stage.redis_url = "redis://ada:p4ss@127.0.0.1:1";
  silent("nobody listens", stage.Run("rebuild"));
  stage.redis_url = "rediss://ada:p4ss@";
  silent("no URL", stage.Run("rebuild"));
  stage.redis_url = redis_url;
  for (const char* command : {"rebuild", "verify", "migrate"}) {
    stage.postgres_url = stage.postgres.Url("nowhere", "ada:p4ss");
    silent(command, stage.Run(command));
    stage.postgres_url = "postgres://ada:p4ss@/db?host=/nonexistent";
    silent(command, stage.Run(command));
    stage.postgres_url = "postgres://ada:p4ss@[/db";
    silent(command, stage.Run(command));
    stage.postgres_url = "host=/nonexistent password=p4ss";
    silent(command, stage.Run(command));
  }
  stage.postgres_url = postgres_url;
  setenv("SETS_TEST_SECRET", "p4ss", 1);
  for (const char* rules : {"${SETS_TEST_SECRET}", "#${SETS_TEST_SECRET}", "<${SETS_TEST_SECRET}",
                            "!${SETS_TEST_SECRET}", ">${SETS_TEST_SECRET} +nosuchcommand"}) {
    stage.Write("access/users.acl", std::string("user ada on ") + rules + "\n");
    silent(rules, stage.Run("access"));
    silent(rules, stage.Run("verify"));
  }
}

}  // namespace
}  // namespace sprockets::harness
