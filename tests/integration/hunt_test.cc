// activity_log beside the real backend: tables of either age, and a Redis that it fills on request.
#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/integration/set_deployment.h"

namespace sprockets::harness {
namespace {

std::string EntryOf(const SetStage& stage, const std::string& stream, const std::string& id) {
  const Reply reply = stage.redis.Connect().Call({"XRANGE", stream, "0-" + id, "0-" + id});
  return reply.elements.size() == 1 ? reply.elements[0].elements[1].elements[1].text : "none";
}

const std::vector<std::string> kLogs{"activity_log", "team_registration_log", "puzzle_state_log",
                                     "team_interaction_state_log"};

/// What the backend does when somebody asks for a team: what the global stream has above the team's mark goes into the
/// team's stream, and then the mark rises.
void AskFor(const SetStage& stage, const std::string& log, const std::string& team) {
  const Reply mark = stage.redis.Call({"ZSCORE", log, team});
  const std::string above = mark.type == Reply::Type::kNull ? "0-0" : "0-" + mark.text;
  const Reply read = stage.redis.Call({"XRANGE", "global/" + log, "(" + above, "+"});
  for (const Reply& entry : read.elements) {
    const std::string& json = entry.elements[1].elements[1].text;
    if (json.find("\"team_id\":" + team + ",") != std::string::npos || json.find("\"team_id\"") == std::string::npos)
      stage.redis.Call({"XADD", log + "/" + team, entry.elements[0].text, "entry", json});
  }
  if (!read.elements.empty())
    stage.redis.Call({"ZADD", log, "GT", "CH", read.elements.back().elements[0].text.substr(2), team});
}

TEST_CASE("activity_log: an entry has the columns that the table has, and internal_data", "[hunt]") {
  const Deployment log("activity_log");
  const SetStage& stage = log.stage;
  log.Fill();
  log.Expect("rebuild", 0);
  CHECK(EntryOf(stage, "global/activity_log", "302") ==
        R"({"id":302,"team_id":1,"timestamp":"2025-01-17T23:00:00.123Z","currency_delta":0,"strong_currency_delta":2,)"
        R"("type":"puzzle_unlocked","slug":"a"})");
  CHECK(EntryOf(stage, "activity_log/2", "306").ends_with(R"("slug":"x","data":{},"internal_data":{}})"));
  CHECK(EntryOf(stage, "global/team_registration_log", "3") ==
        R"({"id":3,"team_id":3,"timestamp":"2025-01-01T12:00:00.000Z","type":"team_registered",)"
        R"("data":{"name":"Team 3"}})");
  CHECK(EntryOf(stage, "puzzle_state_log/1", "1") ==
        R"({"id":1,"team_id":1,"timestamp":"2025-01-18T00:00:00.250Z","slug":"control_room","data":{"room":1.5}})");
  CHECK(EntryOf(stage, "puzzle_state_log/2", "2") ==
        R"({"id":2,"team_id":2,"timestamp":"2025-01-18T00:00:01.000Z","slug":null,"data":{}})");
  CHECK(EntryOf(stage, "team_interaction_state_log/1", "2") ==
        R"({"id":2,"team_id":1,"slug":"the_vault","node":"door","predecessor":"start",)"
        R"("timestamp":"2025-01-18T00:00:01.000Z","graph_state":{"seen":["start"]}})");
  CHECK(stage.redis.Call({"ZSCORE", "team_registration_log", "7"}).text == "12");

  // An older database: one column less, and none of the other logs. Their keys are nobody's business then.
  stage.Sql(
      "ALTER TABLE activity_log DROP COLUMN strong_currency_delta; DROP TABLE team_registration_log, "
      "puzzle_state_log, team_interaction_states");
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("strong_currency_delta of 0-"));
  log.Expect("rebuild", 0, {"--force"});
  CHECK(EntryOf(stage, "global/activity_log", "302").find("\"currency_delta\":0,\"type\"") != std::string::npos);
  CHECK(stage.redis.Call({"XLEN", "global/team_registration_log"}).integer == 12);
  stage.Sql("ALTER TABLE activity_log DROP COLUMN internal_data");
  log.Expect("rebuild", 0, {"--force"});
  CHECK(EntryOf(stage, "global/activity_log", "305").ends_with(R"("type":"puzzle_unlocked"})"));
}

TEST_CASE("activity_log: a Redis that the backend fills on request is verified, and a rebuild changes nothing",
          "[hunt]") {
  Deployment log("activity_log");
  SetStage& stage = log.stage;
  log.Fill();
  log.Expect("access", 0);
  log.LogInAs("admin");
  log.Expect("rebuild", 0);
  // As the backend leaves it: all of the global streams, some of the teams, one of them some time ago.
  for (const std::string& name : kLogs) {
    stage.redis.Call({"DEL", name});
    for (int team = 1; team <= 12; ++team) stage.redis.Call({"DEL", name + "/" + std::to_string(team)});
    for (const char* team : {"1", "4"}) AskFor(stage, name, team);
  }
  stage.Sql(
      "INSERT INTO activity_log (team_id, type, slug) VALUES (1, 'puzzle_solved', 's'), (NULL, 'round_unlocked', "
      "'r'), (4, 'puzzle_solved', 's')");
  log.Expect("rebuild", 0, {"--only", "global"});  // the backend adds what is new
  AskFor(stage, "activity_log", "4");
  CHECK(stage.redis.Call({"ZSCORE", "activity_log", "1"}).text == "5000");
  CHECK(stage.redis.Call({"ZSCORE", "activity_log", "4"}).text == "5003");

  const auto before = stage.Dump();
  log.Expect("verify", 0);
  log.LogInAs("replayer");
  const CommandResult rebuilt = stage.Run("rebuild", {"--json"});
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  for (const auto& [name, state] : rebuilt.States()) CHECK(name + " " + state == name + " unchanged");
  CHECK(stage.Dump() == before);

  // A stream without which its mark hides everything, and a mark above the log: a database that was restored.
  stage.redis.Call({"DEL", "activity_log/1"});
  stage.redis.Call({"ZADD", "puzzle_state_log", "99", "4"});
  const CommandResult damaged = stage.Run("verify", {"--json"});
  INFO(damaged);
  CHECK(damaged.exit_code == 1);
  CHECK(log.Differences(damaged) == std::vector<Strings>{{"stream", "activity_log/1", "", "missing"},
                                                         {"zset", "puzzle_state_log", "4", "different"}});
  log.Expect("verify", 0, {"--repair"});
  CHECK(stage.redis.Call({"ZSCORE", "puzzle_state_log", "4"}).text == "2");

  stage.redis.Call({"FLUSHALL"});
  log.Expect("rebuild", 0);
  CHECK(stage.redis.Call({"ZSCORE", "activity_log", "12"}).text == "5003");
  CHECK(EntryOf(stage, "activity_log/1", "5001").find("puzzle_solved") != std::string::npos);
}

TEST_CASE("activity_log: backend and websocket servers do their work with no more than their rights", "[hunt]") {
  Deployment log("activity_log");
  log.Fill();
  log.Expect("access", 0);
  log.LogInAs("admin");
  log.Expect("rebuild", 0);
  const auto may = [](RespClient& client, const Command& command) {
    const Reply reply = client.Call(command);
    INFO(command[0] << " " << command[1] << ": " << reply);
    CHECK(reply.type != Reply::Type::kError);
  };
  const auto must_not = [](RespClient& client, const Command& command) {
    const Reply reply = client.Call(command);
    INFO(command[0] << " " << command[1] << ": " << reply);
    CHECK(reply.IsError("NOPERM"));
  };
  RespClient backend = log.ConnectAs("backend");
  for (const std::string& name : kLogs) {
    may(backend, {"EVAL", "return redis.pcall('XADD', KEYS[1], ARGV[1], 'entry', ARGV[2])", "1", "global/" + name,
                  "0-9000", "{}"});
    may(backend, {"XADD", name + "/1", "0-9000", "entry", "{}"});
    may(backend, {"ZADD", name, "GT", "CH", "9000", "1"});
    may(backend, {"ZSCORE", name, "1"});
    may(backend, {"XREAD", "BLOCK", "10", "STREAMS", "global/" + name, "0-4"});
    must_not(backend, {"XTRIM", "global/" + name, "MAXLEN", "0"});
  }
  may(backend, {"XADD", "team_state/1", "MAXLEN", "1", "0-1", "entry", "{}"});
  may(backend, {"XADD", "cache/team_hunt_state/1", "MAXLEN", "1", "0-1", "entry", "{}"});
  may(backend, {"XREVRANGE", "cache/team_hunt_state/1", "+", "-", "COUNT", "1"});
  may(backend, {"PUBLISH", "global/activity_log", "{}"});
  may(backend, {"PUBLISH", "team_state.1", "{}"});
  must_not(backend, {"PUBLISH", "elsewhere", "{}"});
  must_not(backend, {"DEL", "cache/team_hunt_state/1"});
  must_not(backend, {"XADD", "global/another_log", "*", "entry", "{}"});
  RespClient websocket = log.ConnectAs("websocket");
  may(websocket, {"XREAD", "STREAMS", "team_state/1", "0"});
  for (const std::string& name : kLogs) may(websocket, {"XRANGE", "global/" + name, "-", "+", "COUNT", "1"});
  must_not(websocket, {"XADD", "team_state/1", "*", "entry", "{}"});
  must_not(websocket, {"PUBLISH", "team_state.1", "{}"});
  must_not(websocket, {"SUBSCRIBE", "elsewhere"});
  may(websocket, {"SUBSCRIBE", "team_state.1"});
}

}  // namespace
}  // namespace sprockets::harness
