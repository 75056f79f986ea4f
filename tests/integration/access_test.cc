// Users, rights and groups of the schema sets: who may do what, and what is left after a restart.
#include <array>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/integration/set_deployment.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

void May(RespClient& client, const Command& command) {
  const Reply reply = client.Call(command);
  INFO(command[0] << " " << (command.size() > 1 ? command[1] : "") << ": " << reply);
  CHECK(reply.type != Reply::Type::kError);
}

void MustNot(RespClient& client, const Command& command) {
  const Reply reply = client.Call(command);
  INFO(command[0] << " " << (command.size() > 1 ? command[1] : "") << ": " << reply);
  CHECK(reply.IsError("NOPERM"));
}

const Strings kStreams{"issue-stream", "bounty-stream", "automatic-events-stream", "solution-merged-stream",
                       "live-update-stream"};
const Strings kHashes{"doc-set",     "bug-hunter-set",         "helper-set",
                      "testing-set", "feature-suggestion-set", "language-set"};

/// All that Alfred sends, in its order.
void WorkAsAlfred(RespClient& alfred) {
  May(alfred, {"PING"});
  for (const std::string& stream : kStreams) May(alfred, {"TYPE", stream});
  for (const std::string& stream : kStreams) May(alfred, {"XADD", stream, "*", "__dummy__", "1"});
  for (const std::string& hash : kHashes) {
    May(alfred, {"TYPE", hash});
    May(alfred, {"HSETNX", hash, "__dummy__", "0"});
  }
  for (const char* board : {"cpp", "java", "python", "javascript", "go", "rust", "flutter", "kotlin", "haskell"}) {
    const std::string key = std::string(board) + "-ranking-sset";
    May(alfred, {"TYPE", key});
    May(alfred, {"ZADD", key, "0", "__dummy__"});
    May(alfred, {"ZCARD", key});
  }
  May(alfred, {"ZADD", "leaderboard-sset", "0", "__dummy__"});
  May(alfred, {"ZCARD", "leaderboard-sset"});
  May(alfred, {"ZINCRBY", "leaderboard-sset", "-25", "in-debt"});
  May(alfred, {"ZINCRBY", "leaderboard-sset", "0.001", "Upper-Case"});
  for (const std::string& stream : kStreams) May(alfred, {"XADD", stream, "*", "data", "{}"});
  MustNot(alfred, {"XADD", "another-stream", "*", "data", "{}"});
  MustNot(alfred, {"ZINCRBY", "go-ranking-sset", "1", "me"});
  MustNot(alfred, {"HINCRBY", "doc-set", "me", "1"});
  MustNot(alfred, {"ZREM", "leaderboard-sset", "Upper-Case"});
  for (const std::string& stream : kStreams) {
    MustNot(alfred, {"XTRIM", stream, "MAXLEN", "0"});
    MustNot(alfred, {"DEL", stream});
  }
  MustNot(alfred, {"CONFIG", "GET", "requirepass"});
  MustNot(alfred, {"FLUSHALL"});
  MustNot(alfred, {"ACL", "LIST"});
}

TEST_CASE("season_of_code: each login does what its service does, and nothing else", "[access]") {
  Deployment season("season_of_code");
  season.Fill();
  season.Expect("access", 0);
  season.LogInAs("admin");
  season.Expect("rebuild", 0);
  RespClient alfred = season.ConnectAs("alfred");
  WorkAsAlfred(alfred);
  MustNot(alfred, {"INFO"});
  MustNot(alfred, {"CLIENT", "KILL", "ID", "9223372036854775807"});
  MustNot(alfred, {"XRANGE", "bounty-stream", "-", "+"});

  // The sidecar passes Alfred's commands on.
  RespClient sidecar = season.ConnectAs("sidecar");
  WorkAsAlfred(sidecar);
  May(sidecar, {"INFO"});
  May(sidecar, {"ROLE"});
  May(sidecar, {"CLIENT", "ID"});
  May(sidecar, {"CLIENT", "KILL", "ID", "9223372036854775807"});
  for (const std::string& stream : kStreams) {
    May(sidecar, {"XRANGE", stream, "-", "+"});
    May(sidecar, {"XREVRANGE", stream, "+", "-", "COUNT", "1"});
    May(sidecar, {"XINFO", "STREAM", stream});
  }
  MustNot(sidecar, {"CLIENT", "LIST"});

  RespClient devpool = season.ConnectAs("devpool");
  const std::vector<std::array<std::string, 3>> groups{
      {"issue-stream", "issue-group", "issue-consumer-1"},
      {"bounty-stream", "bounty-group", "bounty-consumer-1"},
      {"automatic-events-stream", "achievements-group", "achievements-consumer-1"},
      {"solution-merged-stream", "solution-group", "solution-consumer-1"}};
  for (const auto& [stream, group, consumer] : groups) {
    INFO(stream);
    CHECK(devpool.Call({"XGROUP", "CREATE", stream, group, "0", "MKSTREAM"}).IsError("BUSYGROUP"));
    const Reply read = devpool.Call({"XREADGROUP", "GROUP", group, consumer, "COUNT", "10", "STREAMS", stream, ">"});
    const std::string id = read.elements.at(0).elements.at(1).elements.at(0).elements.at(0).text;
    CHECK(devpool.Call({"XACK", stream, group, id}).integer == 1);
    May(devpool, {"XAUTOCLAIM", stream, group, consumer, "60000", "0-0"});
    MustNot(devpool, {"XADD", stream, "*", "data", "{}"});
    MustNot(devpool, {"XGROUP", "SETID", stream, group, "0"});
    MustNot(devpool, {"XGROUP", "DESTROY", stream, group});
  }
  MustNot(devpool, {"XREADGROUP", "GROUP", "g", "c", "STREAMS", "live-update-stream", ">"});
  MustNot(devpool, {"ZINCRBY", "leaderboard-sset", "1", "me"});
  MustNot(devpool, {"KEYS", "*"});

  RespClient gravemind = season.ConnectAs("gravemind");
  May(gravemind, {"XREAD", "COUNT", "1", "STREAMS", "bounty-stream", "0-0"});
  May(gravemind, {"XREAD", "COUNT", "1", "STREAMS", "solution-merged-stream", "0-0"});
  May(gravemind, {"HINCRBY", "doc-set", "Upper-Case", "1"});
  May(gravemind, {"HGET", "doc-set", "Upper-Case"});
  May(gravemind, {"ZINCRBY", "go-ranking-sset", "1", "Upper-Case"});
  May(gravemind, {"ZINCRBY", "zig-ranking-sset", "1", "Upper-Case"});
  May(gravemind, {"ZSCORE", "py-ranking-sset", "Upper-Case"});
  May(gravemind, {"ZRANK", "leaderboard-sset", "Upper-Case"});
  May(gravemind, {"XADD", "live-update-stream", "*", "data", "{}"});
  MustNot(gravemind, {"XREAD", "COUNT", "1", "STREAMS", "issue-stream", "0-0"});
  MustNot(gravemind, {"XADD", "bounty-stream", "*", "data", "{}"});
  MustNot(gravemind, {"HINCRBY", "language-set", "Upper-Case", "1"});
  MustNot(gravemind, {"ZADD", "go-ranking-sset", "1", "me"});
  MustNot(gravemind, {"DEL", "doc-set"});

  RespClient pulse = season.ConnectAs("pulse");
  May(pulse, {"ZREVRANGEBYSCORE", "leaderboard-sset", "+inf", "1", "WITHSCORES"});
  May(pulse, {"ZREVRANGEBYSCORE", "zig-ranking-sset", "+inf", "1", "WITHSCORES", "LIMIT", "0", "2"});
  May(pulse, {"ZREVRANK", "leaderboard-sset", "Upper-Case"});
  May(pulse, {"XREVRANGE", "live-update-stream", "+", "-", "COUNT", "5"});
  MustNot(pulse, {"ZADD", "leaderboard-sset", "1", "me"});
  MustNot(pulse, {"HGETALL", "doc-set"});
  MustNot(pulse, {"XRANGE", "bounty-stream", "-", "+"});
  MustNot(pulse, {"XADD", "live-update-stream", "*", "a", "b"});

  RespClient replayer = season.ConnectAs("replayer");
  May(replayer, {"ZADD", "sprockets:x", "1", "a"});
  May(replayer, {"DEL", "sprockets:x"});
  MustNot(replayer, {"SET", "elsewhere", "1"});
  MustNot(replayer, {"FLUSHDB"});
  MustNot(replayer, {"ACL", "SETUSER", "replayer", "allkeys"});
  MustNot(replayer, {"CONFIG", "SET", "appendonly", "no"});
}

TEST_CASE("default stays open until somebody asks that it is closed, and access says so", "[access]") {
  Deployment season("season_of_code");
  season.Fill();
  const CommandResult open = season.stage.Run("access");
  INFO(open);
  CHECK(open.exit_code == 0);
  CHECK(open.out.find("default stays open: who names no user gets in without a password: +@all ~*") !=
        std::string::npos);
  CHECK(season.stage.redis.Call({"PING"}).text == "PONG");
  season.LogInAs("admin");
  season.Expect("rebuild", 0);
  // An open default is no difference, and verify says that it is open.
  const CommandResult verified = season.stage.Run("verify");
  INFO(verified);
  CHECK(verified.exit_code == 0);
  CHECK(verified.Says("default-open"));
  CHECK(season.stage.Run("access", {"--json"}).Summary().at("default_open") == true);

  season.Expect("access", 1, {"--close-default", "--dry-run"});
  CHECK(season.stage.redis.Call({"PING"}).text == "PONG");
  season.Expect("access", 0, {"--close-default"});
  CHECK(season.stage.redis.Call({"PING"}).IsError("NOAUTH"));
  // Closed, it stays closed: the next run finds nothing to change, and a rebuild of a damaged line is not forgotten.
  const CommandResult again = season.stage.Run("access", {"--json"});
  INFO(again);
  CHECK(again.Summary().at("users_changed") == 0);
  CHECK(again.Summary().at("default_open") == false);
  season.ConnectAs("admin").Call({"ACL", "SETUSER", "default", "-flushall"});
  season.Expect("verify", 1);
  season.Expect("verify", 0, {"--repair"});

  SetStage none;
  none.Write("access/users.acl", "user ada on nopass ~a +get\n");
  CHECK(none.Run("access", {"--close-default"}).exit_code == 2);
}

TEST_CASE("a secret of users.acl may stand in a file that the environment names", "[access]") {
  SetStage stage;
  stage.Write("access/users.acl", "user ada on >${SPROCKETS_TEST_SECRET} ~a +get\n");
  stage.Write("secret", "from-a-file\n");
  unsetenv("SPROCKETS_TEST_SECRET");
  setenv("SPROCKETS_TEST_SECRET_FILE", (stage.set / "secret").c_str(), 1);
  CHECK(stage.Run("access").exit_code == 0);
  CHECK(stage.redis.Connect().Call({"AUTH", "ada", "from-a-file"}).text == "OK");
  setenv("SPROCKETS_TEST_SECRET_FILE", (stage.set / "none").c_str(), 1);
  const CommandResult refused = stage.Run("access");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("users.acl: line 1: the password file"));
  unsetenv("SPROCKETS_TEST_SECRET_FILE");
}

TEST_CASE("users are saved into the aclfile", "[access]") {
  const TempDir acl;
  std::ofstream(acl / "users.acl") << "";
  Deployment season("season_of_code", {"--aclfile", acl / "users.acl"});
  const CommandResult access = season.stage.Run("access", {"--json", "--close-default"});
  INFO(access);
  CHECK(access.exit_code == 0);
  season.LogInAs("admin");
  const CommandResult saved = season.stage.Run("access", {"--json"});
  INFO(saved);
  CHECK(saved.Summary().at("saved") == true);
  season.RestartRedis();
  CHECK(season.ConnectAs("admin").Call({"ACL", "LIST"}).elements.size() == 9);
}

TEST_CASE("access says where there is no aclfile", "[access]") {
  Deployment without("season_of_code");
  without.Expect("access", 0);
  without.LogInAs("admin");
  CHECK(without.stage.Run("access").Says("the server has no aclfile"));
}

TEST_CASE("a check that does not hold is named, in both directions", "[access]") {
  SetStage stage;
  stage.Write("access/users.acl", "user ada on nopass ~a +get\n");
  stage.Write("access/checks.conf", "ada may GET a\nada must-not GET b\nada may SET a b\n");
  CommandResult refused = stage.Run("access");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("access/checks.conf: line 3"));
  CHECK(refused.Says("may not do what it must"));
  stage.Write("access/checks.conf", "ada must-not GET b\nada must-not GET a\n");
  refused = stage.Run("access");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("access/checks.conf: line 2"));
  CHECK(refused.Says("may do what it must not"));
}

TEST_CASE("access does not lock everybody out", "[access]") {
  SetStage stage;
  stage.Write("access/users.acl", "user default off resetpass -@all\nuser ada on nopass ~* +@all -acl\n");
  const CommandResult refused = stage.Run("access", {"--close-default"});
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("default"));
  CHECK(stage.redis.Call({"PING"}).text == "PONG");
}

}  // namespace
}  // namespace sprockets::harness
