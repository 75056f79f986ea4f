// Snapshots of boards and groups in PostgreSQL, and the way back.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/integration/handler_stage.h"

namespace sprockets::harness {
namespace {

const Reply& InfoField(const Reply& reply, const std::string& name) {
  for (size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
    if (reply.elements[i].text == name) return reply.elements[i + 1];
  }
  throw std::runtime_error("XINFO has no " + name);
}

struct SnapshotStage : HandlerStage {
  SnapshotStage() : HandlerStage("leaderboard") {}

  CommandResult Command(const std::string& command, const Fields& more = {}) const {
    Fields words{command,   "--postgres", postgres_url, "--postgres-wait", "0s", "--redis",
                 redis_url, "--progress", "none",       "--json"};
    words.insert(words.end(), more.begin(), more.end());
    RunResult run = RunReplayer(folder.path(), words);
    return {run.exit_code, std::move(run.out), std::move(run.err)};
  }
  nlohmann::json Take(const Fields& more = {}) const { return Summary("snapshot", more); }
  nlohmann::json Restore(const Fields& more = {}) const { return Summary("restore", more); }
  nlohmann::json Summary(const std::string& command, const Fields& more) const {
    const CommandResult run = Command(command, more);
    INFO(run);
    REQUIRE((run.exit_code == 0 || run.exit_code == 1));
    return run.Summary();
  }
  void Lose() const { redis.Call({"FLUSHALL"}); }
  std::map<std::string, std::string> Boards() const {
    std::map<std::string, std::string> boards;
    for (const Reply& key : redis.Call({"KEYS", "*"}).elements) {
      if (redis.Call({"TYPE", key.text}).text != "zset") continue;
      std::string& board = boards[key.text] = std::to_string(redis.Call({"PEXPIRETIME", key.text}).integer);
      for (const Reply& word : redis.Call({"ZRANGE", key.text, "0", "-1", "WITHSCORES"}).elements)
        board += " " + std::to_string(word.text.size()) + ":" + word.text;
    }
    return boards;
  }
};

TEST_CASE("boards come back from a snapshot: every double, tie, byte and expiry", "[snapshot]") {
  const SnapshotStage stage;
  RespClient redis = stage.redis.Connect();
  const std::string bytes("\0\xff\r\n\"\\{},'", 10);
  for (const char* score : {"0.1", "50.007000000000005", "-0.30000000000000004", "9007199254740993", "1e-320",
                            "1.7976931348623157e308", "inf", "-inf", "0", "3"})
    redis.Call({"ZADD", "doubles", score, std::string("of ") + score});
  for (const char* member : {"b", "a", "", "B"}) redis.Call({"ZADD", "ties", "5", member});
  redis.Call({"ZADD", bytes, "1", bytes});
  redis.Call({"PEXPIREAT", bytes, "99999999999123"});
  for (int i = 0; i < 20'000; i += 100) {
    Command many{"ZADD", "large"};
    for (int n = i; n < i + 100; ++n) many.insert(many.end(), {std::to_string(n * 0.1), "m" + std::to_string(n)});
    redis.Call(many);
  }
  redis.Call({"SET", "text", "is no board"});
  redis.Call({"HSET", "hash", "a", "b"});
  const auto before = stage.Boards();
  const nlohmann::json taken = stage.Take();
  INFO(taken);
  CHECK(taken.at("zsets") == 4);
  CHECK(taken.at("members") == 20'000 + 10 + 4 + 1);
  stage.Lose();
  const nlohmann::json restored = stage.Restore({"--if-empty"});
  INFO(restored);
  CHECK(restored.at("zsets") == 4);
  CHECK(restored.at("members") == 20'015);
  CHECK(restored.at("result") == "restored");
  CHECK(stage.Boards() == before);
  CHECK(stage.OwnKeys().empty());
  // Again: everything is there.
  const nlohmann::json again = stage.Restore();
  CHECK(again.at("zsets") == 0);
  CHECK(again.at("zsets_kept") == 4);
  CHECK(stage.Boards() == before);
  CHECK(stage.Restore({"--if-empty"}).at("result") == "not empty");
}

TEST_CASE("a restore fills what is missing, and replaces what is there only when it is told to", "[snapshot]") {
  const SnapshotStage stage;
  stage.redis.Call({"ZADD", "here", "1", "a", "2", "b"});
  stage.redis.Call({"ZADD", "gone", "1", "a"});
  stage.redis.Call({"ZADD", "other", "1", "a"});
  stage.Take();
  stage.redis.Call({"ZADD", "here", "7", "newer"});
  stage.redis.Call({"DEL", "gone", "other"});
  const nlohmann::json restored = stage.Restore({"--keys", "[hg]*"});
  CHECK(restored.at("zsets") == 1);
  CHECK(restored.at("zsets_kept") == 1);
  CHECK(stage.redis.Call({"ZSCORE", "here", "newer"}).text == "7");
  CHECK(stage.redis.Call({"EXISTS", "other"}).integer == 0);
  CHECK(stage.Restore({"--force"}).at("zsets") == 3);
  CHECK(stage.redis.Call({"ZCARD", "here"}).integer == 2);
}

TEST_CASE("groups stand where they stood, with what was pending, by whom and how often", "[snapshot]") {
  const SnapshotStage stage;
  RespClient redis = stage.redis.Connect();
  for (int i = 1; i <= 50; ++i) redis.Call({"XADD", "events", "0-" + std::to_string(i), "n", std::to_string(i)});
  redis.Call({"XGROUP", "CREATE", "events", "readers", "0"});
  redis.Call({"XGROUP", "CREATE", "events", "new", "$"});
  redis.Call({"XGROUP", "CREATECONSUMER", "events", "readers", "idle"});
  redis.Call({"XREADGROUP", "GROUP", "readers", "ada", "COUNT", "20", "STREAMS", "events", ">"});
  redis.Call({"XREADGROUP", "GROUP", "readers", "bo", "COUNT", "10", "STREAMS", "events", ">"});
  for (int i = 1; i <= 15; ++i) redis.Call({"XACK", "events", "readers", "0-" + std::to_string(i)});
  for (int i = 0; i < 3; ++i) redis.Call({"XCLAIM", "events", "readers", "bo", "0", "0-17"});
  const Reply pending = redis.Call({"XPENDING", "events", "readers", "-", "+", "100"});
  REQUIRE(pending.elements.size() == 15);
  const nlohmann::json taken = stage.Take();
  CHECK(taken.at("groups") == 2);
  CHECK(taken.at("pending") == 15);

  // The stream is filled anew; one entry of it is gone for good.
  stage.Lose();
  CHECK(stage.Restore().at("groups_without_stream") == 2);
  CHECK(stage.redis.Call({"EXISTS", "events"}).integer == 0);
  for (int i = 1; i <= 50; ++i) {
    if (i != 16) redis.Call({"XADD", "events", "0-" + std::to_string(i), "n", std::to_string(i)});
  }
  const CommandResult run = stage.Command("restore");
  INFO(run);
  CHECK(run.exit_code == 1);
  CHECK(run.Summary().at("groups") == 2);
  CHECK(run.Summary().at("pending") == 14);
  CHECK(run.Summary().at("pending_without_entry") == 1);
  const Reply groups = redis.Call({"XINFO", "GROUPS", "events"});
  REQUIRE(groups.elements.size() == 2);
  CHECK(InfoField(groups.elements[0], "last-delivered-id").text == "0-50");
  CHECK(InfoField(groups.elements[0], "lag").integer == 0);
  CHECK(InfoField(groups.elements[1], "last-delivered-id").text == "0-30");
  CHECK(InfoField(groups.elements[1], "lag").integer == 20);
  CHECK(InfoField(groups.elements[1], "consumers").integer == 3);
  const Reply after = redis.Call({"XPENDING", "events", "readers", "-", "+", "100"});
  REQUIRE(after.elements.size() == 14);
  for (size_t i = 0; i < after.elements.size(); ++i) {
    INFO(i);
    for (const size_t field : {0, 1, 3})
      CHECK(after.elements[i].elements[field] == pending.elements[i + 1].elements[field]);
    CHECK(after.elements[i].elements[2].integer >= pending.elements[i + 1].elements[2].integer);
    CHECK(after.elements[i].elements[2].integer < 600'000);
  }
  // A group that is there keeps its place.
  redis.Call({"XREADGROUP", "GROUP", "readers", "ada", "COUNT", "5", "STREAMS", "events", ">"});
  CHECK(stage.Restore().at("groups_kept") == 2);
  CHECK(InfoField(redis.Call({"XINFO", "GROUPS", "events"}).elements[1], "last-delivered-id").text == "0-35");
}

TEST_CASE("a group that was made anew after the loss, and has not been read by, goes on where it stood", "[snapshot]") {
  const SnapshotStage stage;
  RespClient redis = stage.redis.Connect();
  const auto fill = [&] {
    for (int i = 1; i <= 20; ++i) redis.Call({"XADD", "events", "0-" + std::to_string(i), "n", std::to_string(i)});
  };
  const auto position = [&](const std::string& group) {
    for (const Reply& each : redis.Call({"XINFO", "GROUPS", "events"}).elements)
      if (InfoField(each, "name").text == group) return InfoField(each, "last-delivered-id").text;
    return std::string("none");
  };
  const auto read = [&](const std::string& group, const std::string& count) {
    redis.Call({"XREADGROUP", "GROUP", group, "ada", "COUNT", count, "STREAMS", "events", ">"});
  };
  fill();
  for (const char* group : {"readers", "begun"}) {
    redis.Call({"XGROUP", "CREATE", "events", group, "0"});
    read(group, "10");
  }
  stage.Take();
  stage.Lose();
  for (const char* group : {"readers", "begun"}) redis.Call({"XGROUP", "CREATE", "events", group, "0", "MKSTREAM"});
  fill();
  read("begun", "3");
  const nlohmann::json restored = stage.Restore();
  CHECK(restored.at("groups") == 1);
  CHECK(restored.at("groups_kept") == 1);
  CHECK(position("readers") == "0-10");
  CHECK(redis.Call({"XPENDING", "events", "readers", "-", "+", "100"}).elements.size() == 10);
  CHECK(position("begun") == "0-3");
}

TEST_CASE("after a loss, boards of the set are those of SQL, with what was archived since the snapshot", "[snapshot]") {
  const SnapshotStage stage;
  for (int i = 0; i < 20; ++i) {
    const nlohmann::json event{{"id", "e" + std::to_string(i)},
                               {"time", "2099-01-01T00:00:00Z"},
                               {"repository_id", 1 + i % 2},
                               {"push", {{"user_id", 1 + i % 5}}}};
    stage.redis.Call({"XADD", "contributions", "*", "data", event.dump()});
  }
  stage.TakeScores("contributions", "10_scores.sql");
  stage.redis.Call({"XGROUP", "CREATE", "contributions", "archive", "0"});
  stage.redis.Call({"XREADGROUP", "GROUP", "archive", "c", "COUNT", "12", "STREAMS", "contributions", ">"});
  stage.redis.Call({"ZADD", "of-nobody", "0.1", "a"});
  const nlohmann::json taken = stage.Take();
  CHECK(taken.at("log_position").get<int64_t>() == std::stoll(stage.Value("SELECT max(position) FROM sprockets.log")));
  const nlohmann::json event{
      {"id", "later"}, {"time", "2099-01-01T00:00:00Z"}, {"repository_id", 1}, {"push", {{"user_id", 1}}}};
  stage.redis.Call({"XADD", "contributions", "*", "data", event.dump()});
  stage.TakeScores("contributions", "10_scores.sql");
  const auto before = stage.Dump();
  CHECK(stage.redis.Call({"ZSCORE", "leaderboard:global:all_time", "1"}).text == "35");
  stage.Lose();
  const nlohmann::json restored = stage.Restore({"--schema", stage.set});
  INFO(restored);
  CHECK(restored.at("archived_since") == 1);
  CHECK(restored.at("zsets") == 1);
  CHECK(restored.at("zsets_from_sql") == taken.at("zsets").get<int>() - 1);
  CHECK(restored.at("groups") == 1);
  CHECK(restored.at("pending") == 12);
  CHECK(stage.redis.Call({"ZSCORE", "leaderboard:global:all_time", "1"}).text == "35");
  for (const auto& [key, dump] : stage.Dump()) {
    INFO(key);
    if (key != "contributions") CHECK(before.at(key) == dump);
  }
  CHECK(stage.redis.Call({"XLEN", "contributions"}).integer == 21);
  CHECK(InfoField(stage.redis.Call({"XINFO", "GROUPS", "contributions"}).elements.at(0), "lag").integer == 9);
  CHECK(stage.Run("verify", {"--only", "[bc]*"}).exit_code == 0);
}

TEST_CASE("a snapshot that is not whole is not restored", "[snapshot]") {
  const SnapshotStage stage;
  CHECK(stage.Command("restore").exit_code == 4);
  stage.redis.Call({"ZADD", "board", "1", "first"});
  stage.Take();
  stage.redis.Call({"ZADD", "board", "2", "first"});
  stage.Take();
  // One that was broken off has left nothing; one without its mark, or whose rows somebody has removed, is not taken.
  stage.Sql("UPDATE sprockets.snapshots SET completed_at = NULL WHERE number = 2");
  stage.Lose();
  CHECK(stage.Restore().at("snapshot") == 1);
  CHECK(stage.redis.Call({"ZSCORE", "board", "first"}).text == "1");
  stage.Lose();
  stage.Sql(
      "UPDATE sprockets.snapshots SET completed_at = now() WHERE number = 2; DELETE FROM sprockets.snapshot_members "
      "WHERE snapshot = 2");
  const CommandResult refused = stage.Command("restore");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("snapshot 2 has not as many rows as when it was taken"));
  CHECK(stage.redis.Call({"DBSIZE"}).integer == 0);
  CHECK(stage.Restore({"--snapshot", "1"}).at("zsets") == 1);
}

TEST_CASE("a snapshot that is killed leaves nothing, and members that come and go meanwhile do not hide others",
          "[snapshot]") {
  const SnapshotStage stage;
  RespClient redis = stage.redis.Connect();
  for (int i = 0; i < 200'000; i += 500) {
    Command many{"ZADD", "large"};
    for (int n = i; n < i + 500; ++n) many.insert(many.end(), {std::to_string(n), "m" + std::to_string(n)});
    redis.Call(many);
  }
  const HandlerStage::Fields words{"snapshot",   "--postgres", stage.postgres_url, "--redis", stage.redis_url,
                                   "--progress", "none"};
  {
    Process snapshot({.command = ReplayerCommand(words), .output = stage.folder / "killed", .environment = {}});
    Await("the snapshot to begin", [&] {
      return stage.Value(
                 "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM "
                 "pg_database WHERE datname = current_database())") == "t";
    });
    snapshot.Kill9();
    snapshot.Wait();
  }
  Await("the transaction to end", [&] { return stage.Command("snapshot", {"--keys", "none"}).exit_code == 0; });
  CHECK(stage.Value("SELECT count(*) FROM sprockets.snapshot_members") == "0");

  Process snapshot({.command = ReplayerCommand(words), .output = stage.folder / "whole", .environment = {}});
  int changes = 0;
  while (snapshot.Running()) {
    // Each moves a member over all others, and one that was not there comes and goes.
    redis.Call({"ZADD", "large", std::to_string(300'000 + changes), "m" + std::to_string(changes % 200'000)});
    redis.Call({"ZADD", "large", "-1", "passing"});
    redis.Call({"ZREM", "large", "passing"});
    ++changes;
  }
  CHECK(snapshot.Wait() == 0);
  CHECK(changes > 100);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.snapshot_members WHERE convert_from(member, 'UTF8') LIKE 'm%'") ==
        "200000");
}

TEST_CASE("old snapshots go by number and by age, and the newest one stays", "[snapshot]") {
  const SnapshotStage stage;
  stage.redis.Call({"ZADD", "board", "1", "a"});
  for (int i = 0; i < 4; ++i) stage.Take({"--keep-snapshots", "3"});
  CHECK(stage.Column("SELECT number FROM sprockets.snapshots ORDER BY 1") == HandlerStage::Fields{"2", "3", "4"});
  stage.Sql("UPDATE sprockets.snapshots SET taken_at = now() - interval '2 days' WHERE number IN (2, 4)");
  CHECK(stage.Take({"--keep-for", "1d"}).at("removed") == 2);
  CHECK(stage.Column("SELECT number FROM sprockets.snapshots ORDER BY 1") == HandlerStage::Fields{"3", "5"});
  CHECK(stage.Value("SELECT count(*) FROM sprockets.snapshot_members") == "2");
}

TEST_CASE("without its tables, a snapshot says what to do", "[snapshot]") {
  SetStage stage;
  const RunResult run =
      RunReplayer(stage.folder.path(), {"snapshot", "--postgres", stage.postgres_url, "--redis", stage.redis_url});
  CHECK(run.exit_code == 4);
  CHECK(run.err.find("run migrate") != std::string::npos);
}

}  // namespace
}  // namespace sprockets::harness
