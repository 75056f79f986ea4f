// Users, rights and groups of the schema sets: who may do what, and what is left after a restart.
#include <array>
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/integration/set_deployment.h"

namespace sprockets::harness {
namespace {

TEST_CASE("season_of_code: each user can do its work and nothing else", "[access]") {
  Deployment season("season_of_code");
  season.Fill();
  season.Expect("access", 0);
  season.LogInAs("admin");
  season.Expect("rebuild", 0);
  const auto may = [&](RespClient& client, const Command& command) {
    const Reply reply = client.Call(command);
    INFO(command[0] << " " << (command.size() > 1 ? command[1] : "") << ": " << reply);
    CHECK(reply.type != Reply::Type::kError);
    return reply;
  };
  const auto must_not = [&](RespClient& client, const Command& command) {
    const Reply reply = client.Call(command);
    INFO(command[0] << " " << (command.size() > 1 ? command[1] : "") << ": " << reply);
    CHECK(reply.IsError("NOPERM"));
  };

  CHECK(season.stage.redis.Call({"PING"}).IsError("NOAUTH"));

  RespClient alfred = season.ConnectAs("alfred");
  for (const char* stream :
       {"issue-stream", "bounty-stream", "automatic-events-stream", "solution-merged-stream", "live-update-stream"}) {
    may(alfred, {"XADD", stream, "*", "data", "{}"});
    may(alfred, {"XRANGE", stream, "-", "+"});
    must_not(alfred, {"XTRIM", stream, "MAXLEN", "0"});
    must_not(alfred, {"DEL", stream});
  }
  must_not(alfred, {"XADD", "another-stream", "*", "data", "{}"});
  must_not(alfred, {"ZINCRBY", "leaderboard-sset", "1", "me"});
  must_not(alfred, {"CONFIG", "GET", "requirepass"});
  must_not(alfred, {"FLUSHALL"});

  const std::vector<std::array<std::string, 3>> consumers{
      {"issue-consumer", "issue-stream", "issue-group"},
      {"bounty-consumer", "bounty-stream", "bounty-group"},
      {"achievements-consumer", "automatic-events-stream", "achievements-group"},
      {"solution-consumer", "solution-merged-stream", "solution-group"}};
  for (const auto& [user, stream, group] : consumers) {
    INFO(user);
    RespClient consumer = season.ConnectAs(user);
    const Reply read = may(consumer, {"XREADGROUP", "GROUP", group, "c", "COUNT", "10", "STREAMS", stream, ">"});
    const std::string id = read.elements.at(0).elements.at(1).elements.at(0).elements.at(0).text;
    CHECK(may(consumer, {"XACK", stream, group, id}).integer == 1);
    must_not(consumer, {"XADD", stream, "*", "data", "{}"});
    must_not(consumer, {"XGROUP", "SETID", stream, group, "0"});
    const std::string other = stream == "issue-stream" ? "bounty-stream" : "issue-stream";
    must_not(consumer, {"XREADGROUP", "GROUP", group, "c", "STREAMS", other, ">"});
    must_not(consumer, {"XACK", other, group, id});
    must_not(consumer, {"KEYS", "*"});
    must_not(consumer, {"ACL", "LIST"});
    must_not(consumer, {"ZREM", "leaderboard-sset", "Upper-Case"});
  }
  RespClient bounty = season.ConnectAs("bounty-consumer");
  may(bounty, {"ZINCRBY", "leaderboard-sset", "50", "Upper-Case"});
  must_not(bounty, {"ZINCRBY", "go-ranking-sset", "50", "Upper-Case"});
  RespClient achievements = season.ConnectAs("achievements-consumer");
  may(achievements, {"HINCRBY", "doc-set", "Upper-Case", "1"});
  must_not(achievements, {"HINCRBY", "language-set", "Upper-Case", "1"});
  RespClient solution = season.ConnectAs("solution-consumer");
  may(solution, {"ZINCRBY", "go-ranking-sset", "1", "Upper-Case"});
  may(solution, {"HINCRBY", "language-set", "Upper-Case", "1"});
  must_not(solution, {"HINCRBY", "doc-set", "Upper-Case", "1"});
  RespClient issue = season.ConnectAs("issue-consumer");
  must_not(issue, {"ZINCRBY", "leaderboard-sset", "1", "Upper-Case"});

  RespClient boards = season.ConnectAs("boards");
  CHECK(may(boards, {"ZRANGE", "leaderboard-sset", "0", "10", "REV", "WITHSCORES"}).elements.size() == 22);
  may(boards, {"HGETALL", "doc-set"});
  may(boards, {"XREAD", "COUNT", "1", "STREAMS", "live-update-stream", "0"});
  must_not(boards, {"ZADD", "leaderboard-sset", "1", "me"});
  must_not(boards, {"HSET", "doc-set", "me", "1"});
  must_not(boards, {"XRANGE", "bounty-stream", "-", "+"});
  must_not(boards, {"XADD", "live-update-stream", "*", "a", "b"});

  RespClient replayer = season.ConnectAs("replayer");
  may(replayer, {"ZADD", "sprockets:x", "1", "a"});
  may(replayer, {"DEL", "sprockets:x"});
  must_not(replayer, {"SET", "elsewhere", "1"});
  must_not(replayer, {"FLUSHDB"});
  must_not(replayer, {"ACL", "SETUSER", "replayer", "allkeys"});
  must_not(replayer, {"CONFIG", "SET", "appendonly", "no"});
}

TEST_CASE("users are saved into the aclfile", "[access]") {
  const TempDir acl;
  std::ofstream(acl / "users.acl") << "";
  Deployment season("season_of_code", {"--aclfile", acl / "users.acl"});
  const CommandResult access = season.stage.Run("access", {"--json"});
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
  const CommandResult refused = stage.Run("access");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("default"));
  CHECK(stage.redis.Call({"PING"}).text == "PONG");
}

}  // namespace
}  // namespace sprockets::harness
