// Redis is away: events are acknowledged from disk, can be looked at with sqlite3, and reach their streams by the
// drain.
#include <chrono>
#include <filesystem>
#include <signal.h>
#include <string>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr char kBounty[] = R"({"github_username": "ada-l", "amount": 10, "action": "BOUNTY"})";

std::string Sqlite3(const Stack& stack, const std::filesystem::path& file, const std::string& sql) {
  const RunResult run = Run({"sqlite3", "-readonly", stack.sidecar.spill_dir() / file, sql}, stack.folder.path());
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  return run.out;
}

TEST_CASE("with Redis down, an event is on disk in a column of its own, and the drain brings it into its stream",
          "[spill]") {
  Stack stack({.redis_up = false});
  const RunResult xadd =
      Run({"redis-cli", "-s", stack.sidecar.socket_path(), "XADD", "bounty-stream", "*", "data", kBounty},
          stack.folder.path());
  CHECK(xadd.out == "0-1\n");
  CHECK(stack.sidecar.Call({"SPROCKETS", "SEAL"}).type != Reply::Type::kError);
  REQUIRE(stack.SpillFiles() == std::vector<std::string>{"spill-000001.sealed.sqlite"});

  const std::string spilled = "spill-000001.sealed.sqlite";
  CHECK(Sqlite3(stack, spilled, R"(select data from "bounty-stream")") == std::string(kBounty) + "\n");
  const std::string event_id = Sqlite3(stack, spilled, R"(select _event_id from "bounty-stream" where _ticket = 1)");
  CHECK(event_id.size() > 3);

  stack.redis.Start();
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("read") == 1);
  CHECK(drained.Count("landed") == 1);
  RespClient redis = stack.redis.Connect();
  const auto entries = ReadStream(redis, "bounty-stream");
  REQUIRE(entries.size() == 1);
  CHECK(entries[0] == std::vector<std::string>{"data", kBounty, "event_id", event_id.substr(0, event_id.size() - 1)});
  CHECK(stack.SpillFiles().empty());
  CHECK(stack.SpillFiles("drained") == std::vector<std::string>{"spill-000001.sqlite"});
}

TEST_CASE("a second drain finds nothing to do", "[spill]") {
  Stack stack({.redis_up = false});
  REQUIRE(stack.Xadd("issue-stream", {"data", "1"}).Spilled());
  stack.RestartRedis();
  CHECK(stack.Drain().exit_code == 0);
  const DrainResult again = stack.Drain();
  CHECK(again.exit_code == 0);
  CHECK(again.Count("read") == 0);
  CHECK(stack.Length("issue-stream") == 1);
}

TEST_CASE("spilled events of a stream are drained in the order of their tickets", "[spill]") {
  Stack stack({.redis_up = false});
  RespClient client = stack.sidecar.Connect();
  std::vector<Command> commands;
  for (int i = 0; i < 2000; ++i) commands.push_back({"XADD", "issue-stream", "*", "n", std::to_string(i)});
  const auto replies = client.Pipeline(commands);
  for (size_t i = 0; i < replies.size(); ++i) REQUIRE(replies[i].text == "0-" + std::to_string(i + 1));
  stack.RestartRedis();
  REQUIRE(stack.Drain().exit_code == 0);
  RespClient redis = stack.redis.Connect();
  const auto entries = ReadStream(redis, "issue-stream");
  REQUIRE(entries.size() == commands.size());
  for (size_t i = 0; i < entries.size(); ++i) REQUIRE(entries[i].at(1) == std::to_string(i));
}

TEST_CASE("a sidecar that was killed while it spilled leaves everything that it acknowledged to its successor",
          "[spill]") {
  Stack stack({.redis_up = false});
  Ledger ledger;
  Load load(stack.sidecar.socket_path(), ledger, {});
  load.AwaitAcknowledged(500);
  stack.sidecar.Kill9();
  stack.sidecar.Start();
  load.AwaitAcknowledged(1000);
  load.Stop();
  stack.RestartRedis();
  const DrainResult drained = stack.Drain();
  INFO(drained.err);
  CHECK(drained.exit_code == 0);
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

TEST_CASE("the drain recovers and seals by itself where no sidecar runs", "[spill]") {
  Stack stack({.redis_up = false});
  REQUIRE(stack.Xadd("issue-stream", {"data", "1"}).Spilled());
  stack.sidecar.Kill9();
  stack.redis.Start();
  const DrainResult drained = stack.Drain();
  INFO(drained.err);
  CHECK(drained.exit_code == 0);
  CHECK(stack.Length("issue-stream") == 1);
}

// What Redis is like when SIGTERM comes.
enum class RedisIs { kUp, kDown, kHanging };

void TerminateUnderLoad(RedisIs redis_is, int signals) {
  Stack stack;
  Ledger ledger;
  Load load(stack.sidecar.socket_path(), ledger, {.pipeline = 32, .pause = 1ms});
  load.AwaitAcknowledged(1000);
  if (redis_is == RedisIs::kDown) stack.redis.Kill9();
  if (redis_is == RedisIs::kHanging) stack.redis.Stop();

  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < signals; ++i) {
    stack.sidecar.process().Signal(SIGTERM);
    std::this_thread::sleep_for(2ms);
  }
  const auto exit_code = stack.sidecar.process().Wait();
  INFO(stack.sidecar.process().Stderr());
  REQUIRE(exit_code.has_value());
  CHECK(*exit_code == 0);
  CHECK(std::chrono::steady_clock::now() - begin < 15s);
  for (const std::string& file : stack.SpillFiles()) CHECK(file.ends_with(".sealed.sqlite"));

  if (redis_is == RedisIs::kHanging) stack.redis.Continue();
  if (redis_is == RedisIs::kDown) stack.redis.Start();
  stack.sidecar.Start();  // the load goes on where it was refused
  load.Stop();
  stack.sidecar.AwaitBreaker("closed");
  const DrainResult drained = stack.Drain();
  INFO(drained.err);
  CHECK(drained.exit_code == 0);
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

TEST_CASE("SIGTERM under load ends the sidecar with 0 and loses nothing, with Redis up", "[spill]") {
  TerminateUnderLoad(RedisIs::kUp, 1);
}
TEST_CASE("SIGTERM under load ends the sidecar with 0 and loses nothing, with Redis down", "[spill]") {
  TerminateUnderLoad(RedisIs::kDown, 1);
}
TEST_CASE("SIGTERM under load ends the sidecar with 0 and loses nothing, with Redis hanging", "[spill]") {
  TerminateUnderLoad(RedisIs::kHanging, 1);
}
TEST_CASE("a second SIGTERM loses nothing either", "[spill]") {
  TerminateUnderLoad(RedisIs::kHanging, 2);
}

TEST_CASE("Redis that is not reachable at the start is no error", "[spill]") {
  Stack stack({.redis_up = false});
  CHECK(stack.sidecar.Call({"PING"}).text == "PONG");
  CHECK(stack.sidecar.Status().at("redis").at("breaker") != "closed");
  CHECK(stack.sidecar.Terminate() == 0);
}

TEST_CASE("a second sidecar over the same spill folder is refused while the first one lives", "[spill]") {
  Stack stack;
  std::filesystem::create_directory(stack.folder / "other");
  Sidecar other({.folder = stack.folder / "other",
                 .redis_url = stack.redis.Url(),
                 .spill_dir = stack.sidecar.spill_dir(),
                 .arguments = {}});
  other.StartWithoutWaiting();
  // A successor waits 30 seconds for its predecessor to end.
  CHECK(other.process().Wait(60s) == 3);
  CHECK(stack.Xadd("issue-stream", {"data", "1"}).Landed());
}

}  // namespace
}  // namespace sprockets::harness
