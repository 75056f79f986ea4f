// Writes that PostgreSQL will restore (--skip-while-away): answered while Redis is away, remembered on disk before
// that, and on the list until a rebuild has restored them.
#include <chrono>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/stack.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

using Type = Reply::Type;
using Strings = std::vector<std::string>;

const Strings kBoards = {"--skip-while-away", "ZINCRBY *-sset", "--skip-while-away", "TYPE *"};

nlohmann::json SkippedOf(const Sidecar& sidecar) {
  return sidecar.Status().at("skipped");
}

int64_t Listed(const Sidecar& sidecar, const std::string& key) {
  const nlohmann::json skipped = SkippedOf(sidecar);
  for (const nlohmann::json& each : skipped.at("first_keys"))
    if (each.at("key") == key) return each.at("writes");
  return 0;
}

// ---- When

TEST_CASE("a write is skipped while Redis is away, in doubt, or takes none; other commands are told", "[skip]") {
  Stack stack({.sidecar_options = kBoards});
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"ZINCRBY", "go-sset", "5", "ada"}).text == "5");
  CHECK(SkippedOf(stack.sidecar).at("keys") == 0);

  SECTION("out of memory") {
    RespClient redis = stack.redis.Connect();
    redis.Call({"CONFIG", "SET", "maxmemory", "1"});
    CHECK(client.Call({"ZINCRBY", "go-sset", "2", "ada"}).text == "2");
    CHECK(client.Call({"INCR", "n"}).IsError("OOM"));
    redis.Call({"CONFIG", "SET", "maxmemory", "0"});
    CHECK(client.Call({"ZSCORE", "go-sset", "ada"}).text == "5");
    CHECK(Listed(stack.sidecar, "go-sset") == 1);
  }
  SECTION("frozen, so that nobody knows") {
    stack.redis.Stop();
    CHECK(client.Call({"ZINCRBY", "go-sset", "2", "ada"}).text == "2");
    CHECK(Listed(stack.sidecar, "go-sset") == 1);
    stack.redis.Continue();
  }
  SECTION("gone") {
    stack.redis.Kill9();
    stack.sidecar.AwaitBreaker("open");
    CHECK(client.Call({"TYPE", "go-sset"}).text == "none");
    CHECK(client.Call({"ZINCRBY", "go-sset", "2", "ada"}).text == "2");
    CHECK(client.Call({"ZINCRBY", "elsewhere", "2", "ada"}).IsError("RETRY"));
    CHECK(client.Call({"MULTI"}).IsError("RETRY"));
    CHECK(Listed(stack.sidecar, "go-sset") == 1);
  }
  // What Redis refuses for a reason of the command's own is no outage.
  stack.RestartRedis();
  RespClient again = stack.sidecar.Connect();
  CHECK(again.Call({"SET", "text-sset", "x"}).text == "OK");
  CHECK(again.Call({"ZINCRBY", "text-sset", "1", "ada"}).IsError("WRONGTYPE"));
  CHECK(SkippedOf(stack.sidecar).at("keys") == 1);
}

TEST_CASE("answers keep the order of a pipeline when its writes are skipped in the middle", "[skip]") {
  Stack stack({.through_proxy = true, .sidecar_options = kBoards});
  RespClient client = stack.sidecar.Connect();
  std::vector<Command> pipeline;
  for (int i = 0; i < 300; ++i) {
    pipeline.push_back({"XADD", "s", "*", "i", std::to_string(i)});
    pipeline.push_back({"ZINCRBY", "go-sset", std::to_string(i + 1), "m" + std::to_string(i)});
    pipeline.push_back({"PING", std::to_string(i)});
    pipeline.push_back({"GET", "n"});
  }
  std::jthread killer([&] {
    Await("some commands to have passed", [&] { return stack.sidecar.Status().at("relay").at("commands") > 100; });
    stack.redis.Kill9();
  });
  const std::vector<Reply> replies = client.Pipeline(pipeline);
  int64_t skipped = 0;
  int64_t retries = 0;
  for (int i = 0; i < 300; ++i) {
    INFO(i);
    const auto at = static_cast<size_t>(i) * 4;
    CHECK(replies[at].Acknowledged());
    CHECK(replies[at + 1].text == std::to_string(i + 1));
    CHECK(replies[at + 2].text == std::to_string(i));
    const bool lost = replies[at + 3].IsError("RETRY") || replies[at + 3].IsError("UNKNOWN");
    CHECK((lost || replies[at + 3].type == Type::kNull));
    retries += lost ? 1 : 0;
  }
  skipped = Listed(stack.sidecar, "go-sset");
  CHECK(retries > 0);
  // One that was in flight may have been executed, too; none that was not is missing on the list.
  CHECK(skipped >= retries - 1);
  CHECK(skipped <= retries + 1);
}

TEST_CASE("a subscriber's write in doubt is on the list, although nobody can be told", "[skip]") {
  Stack stack({.sidecar_options = kBoards});
  RespClient client = stack.sidecar.Connect();
  client.RawCall({"HELLO", "3"});
  CHECK(client.RawCall({"SUBSCRIBE", "c"}).starts_with(">3"));
  CHECK(client.RawCall({"ZINCRBY", "go-sset", "1", "m"}) == ",1\r\n");
  stack.redis.Stop();
  client.Send({"ZINCRBY", "go-sset", "1", "m"});
  Await("the list", [&] { return Listed(stack.sidecar, "go-sset") == 1; });
  stack.redis.Continue();
}

// ---- What stands on disk

TEST_CASE("what was answered is on the list after kill -9, and added up over the sidecar's lives", "[skip]") {
  Stack stack({.redis_up = false, .sidecar_options = kBoards});
  constexpr int kClients = 8;
  constexpr int kWrites = 200;
  std::vector<int64_t> answered(kClients);
  {
    std::vector<std::jthread> threads;
    for (int c = 0; c < kClients; ++c) {
      threads.emplace_back([&, c] {
        try {
          RespClient client = stack.sidecar.Connect();
          for (int i = 0; i < kWrites; ++i) {
            if (client.Call({"ZINCRBY", "go-sset", "1", "m"}).text != "1") return;
            ++answered[static_cast<size_t>(c)];
          }
        } catch (const ConnectionClosed&) {
          // The sidecar was killed.
        }
      });
    }
    Await("the first half", [&] { return Listed(stack.sidecar, "go-sset") > kClients * kWrites / 4; });
    stack.sidecar.Kill9();
  }
  int64_t total = 0;
  for (const int64_t each : answered) total += each;
  stack.sidecar.Start();
  const int64_t listed = Listed(stack.sidecar, "go-sset");
  CHECK(listed >= total);
  CHECK(listed <= total + kClients);
  CHECK(stack.sidecar.Call({"ZINCRBY", "go-sset", "1", "m"}).text == "1");
  CHECK(Listed(stack.sidecar, "go-sset") == listed + 1);
  CHECK(stack.sidecar.process().Stderr().find("write-skipped key=go-sset") != std::string::npos);
  CHECK(stack.sidecar.Terminate() == 0);
}

TEST_CASE("a write in doubt that cannot be remembered is not said to be undone", "[skip]") {
  Stack stack({.sidecar_options = kBoards});
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"ZINCRBY", "go-sset", "5", "ada"}).text == "5");
  std::ofstream(stack.sidecar.spill_dir() / "skipped.sqlite") << std::string(8192, 'x');
  stack.redis.Stop();
  CHECK(client.Call({"ZINCRBY", "go-sset", "2", "ada"}).IsError("UNKNOWN"));
  CHECK(client.Call({"ZINCRBY", "go-sset", "2", "ada"}).IsError("RETRY"));
  stack.redis.Continue();
}

TEST_CASE("a full list still counts what is on it, and refuses only what is not", "[skip]") {
  Stack stack({.redis_up = false, .sidecar_options = kBoards});
  constexpr int kMostKeys = 10'000;
  std::vector<Command> commands;
  for (int i = 0; i < kMostKeys; ++i) commands.push_back({"ZINCRBY", std::to_string(i) + "-sset", "1", "m"});
  RespClient client = stack.sidecar.Connect();
  for (const Reply& reply : client.Pipeline(commands)) CHECK(reply.text == "1");
  const std::vector<Reply> replies = client.Pipeline(std::vector<Command>{
      {"ZINCRBY", "0-sset", "2", "m"}, {"ZINCRBY", "new-sset", "2", "m"}, {"ZINCRBY", "1-sset", "2", "m"}});
  CHECK(replies[0].text == "2");
  CHECK(replies[1].IsError("RETRY"));
  CHECK(replies[1].text.find("no more are listed") != std::string::npos);
  CHECK(replies[2].text == "2");
  CHECK(SkippedOf(stack.sidecar).at("keys") == kMostKeys);
  CHECK(SkippedOf(stack.sidecar).at("writes") == kMostKeys + 2);
}

TEST_CASE("a write that cannot be remembered is not answered as done", "[skip]") {
  Stack stack({.redis_up = false, .sidecar_options = kBoards});
  const std::filesystem::path file = stack.sidecar.spill_dir() / "skipped.sqlite";
  std::ofstream(file) << std::string(8192, 'x');
  const Reply refused = stack.sidecar.Call({"ZINCRBY", "go-sset", "1", "m"});
  CHECK(refused.IsError("RETRY"));
  CHECK(refused.text.find("rebuild every key") != std::string::npos);
  CHECK_FALSE(SkippedOf(stack.sidecar).at("error").get<std::string>().empty());
  // Events are not concerned, and neither is a look.
  CHECK(stack.Xadd("s", {"data", "1"}).Spilled());
  CHECK(stack.sidecar.Call({"TYPE", "go-sset"}).text == "none");
  std::filesystem::remove(file);
  CHECK(stack.sidecar.Call({"ZINCRBY", "go-sset", "1", "m"}).text == "1");
  CHECK(SkippedOf(stack.sidecar).at("error") == "");
}

// ---- Restored

/// A board of points, and a sidecar that skips writes to it; its Redis is away.
struct Outage {
  SetStage stage;
  Sidecar sidecar;

  Outage() : sidecar({stage.folder.path(), "redis://127.0.0.1:" + std::to_string(stage.redis.port()), {}, kBoards}) {
    stage.Sql("CREATE TABLE points (name text, n int); INSERT INTO points VALUES ('ada', 1)");
    stage.Write("rebuild/board.sql", "-- redis: zset go-sset\nSELECT name AS member, n AS score FROM points");
    stage.Write("rebuild/other.sql",
                "-- redis: zset\n-- keys: *-other-sset\nSELECT name || '-other-sset' AS key, 'm' AS member, n AS score "
                "FROM points");
    stage.redis.Kill9();
    sidecar.Start();
    Earn("ada", 4);
    CHECK(sidecar.Call({"ZINCRBY", "ada-other-sset", "1", "m"}).text == "1");
    CHECK(sidecar.Call({"ZINCRBY", "nobodys-sset", "1", "m"}).text == "1");
  }
  void Earn(const std::string& name, int n) const {
    stage.Sql("UPDATE points SET n = n + " + std::to_string(n) + " WHERE name = '" + name + "'");
    CHECK(sidecar.Call({"ZINCRBY", "go-sset", std::to_string(n), name}).text == std::to_string(n));
  }
  CommandResult Run(const std::string& command, Strings more = {}) const {
    more.insert(more.end(), {"--spill-dir", sidecar.spill_dir().string()});
    return stage.Run(command, more);
  }
};

TEST_CASE("a rebuild strikes off the keys that it restored, and no others", "[skip]") {
  Outage outage;
  outage.stage.redis.Start();
  const CommandResult only = outage.Run("rebuild", {"--only", "board"});
  INFO(only);
  CHECK(only.exit_code == 0);
  CHECK(only.out.find("restored") != std::string::npos);
  CHECK(outage.stage.redis.Call({"ZSCORE", "go-sset", "ada"}).text == "5");
  CHECK(Listed(outage.sidecar, "go-sset") == 0);
  CHECK(Listed(outage.sidecar, "ada-other-sset") == 1);
  const CommandResult verified = outage.Run("verify");
  INFO(verified);
  CHECK(verified.exit_code == 1);
  CHECK(Listed(outage.sidecar, "ada-other-sset") == 1);
  const CommandResult repaired = outage.Run("verify", {"--repair"});
  INFO(repaired);
  CHECK(repaired.exit_code == 0);
  CHECK(Listed(outage.sidecar, "ada-other-sset") == 0);
  // Nothing will ever restore this one, and whoever knows that says so.
  CHECK(Listed(outage.sidecar, "nobodys-sset") == 1);
  const std::string folder = outage.sidecar.spill_dir().string();
  const RunResult status =
      RunReplayer(outage.stage.folder.path(), {"status", "--spill-dir", folder, "--schema", outage.stage.set.string()});
  CHECK(status.out.find("nobodys-sset: 1 write skipped") != std::string::npos);
  CHECK(
      RunReplayer(outage.stage.folder.path(), {"skipped", "--spill-dir", folder, "--forget", "nobodys-*"}).exit_code ==
      0);
  CHECK(SkippedOf(outage.sidecar).at("keys") == 0);
  CHECK(RunReplayer(outage.stage.folder.path(), {"skipped", "--spill-dir", folder}).out == "nothing was skipped\n");
}

TEST_CASE("a rebuild that restores nothing strikes nothing off", "[skip]") {
  Outage outage;
  outage.stage.redis.Start();
  CHECK(outage.Run("rebuild", {"--dry-run"}).exit_code == 1);
  CHECK(outage.Run("rebuild", {"--into", "drill:"}).exit_code == 0);
  CHECK(Listed(outage.sidecar, "go-sset") == 1);
  // A guard: the source is empty, and the live board is not.
  RespClient redis = outage.stage.redis.Connect();
  for (int i = 0; i < 100; ++i) redis.Call({"ZADD", "go-sset", "1", "m" + std::to_string(i)});
  CHECK(outage.Run("rebuild", {"--only", "board"}).exit_code == 4);
  CHECK(outage.Run("verify", {"--repair", "--only", "board"}).exit_code != 0);
  CHECK(Listed(outage.sidecar, "go-sset") == 1);
}

TEST_CASE("a key that others write so fast that no look finds it equal stays on the list", "[skip]") {
  Outage outage;
  outage.stage.redis.Start();
  CHECK(outage.Run("rebuild").exit_code == 0);
  outage.sidecar.AwaitBreaker("closed");
  RespClient redis = outage.stage.redis.Connect();
  redis.Call({"CONFIG", "SET", "maxmemory", "1"});
  outage.Earn("ada", 5);
  redis.Call({"CONFIG", "SET", "maxmemory", "0"});
  {
    // Both sides go up together, and Redis stays behind by what was skipped.
    const std::jthread writer([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        outage.stage.Sql("UPDATE points SET n = n + 1 WHERE name = 'ada'");
        redis.Call({"ZINCRBY", "go-sset", "1", "ada"});
        std::this_thread::sleep_for(20ms);
      }
    });
    const CommandResult hot = outage.Run("verify", {"--repair", "--only", "board"});
    INFO(hot);
    CHECK(Listed(outage.sidecar, "go-sset") == 1);
  }
  CHECK(outage.Run("verify", {"--repair", "--only", "board"}).exit_code == 0);
  CHECK(Listed(outage.sidecar, "go-sset") == 0);
}

TEST_CASE("a key that may be unused, or hold less, is restored before it is struck off", "[skip]") {
  Outage outage;
  outage.stage.Write("rebuild/other.sql",
                     "-- redis: zset\n-- keys: *-other-sset\n-- unused-keys: allowed\nSELECT name || '-other-sset' AS "
                     "key, 'm' AS member, n AS score FROM points");
  outage.stage.redis.Start();
  outage.stage.redis.Call({"ZADD", "used-other-sset", "1", "m"});
  outage.stage.Sql("INSERT INTO points VALUES ('used', 1)");
  const CommandResult rebuilt = outage.Run("rebuild", {"--only", "other"});
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  CHECK(outage.stage.redis.Call({"ZSCORE", "ada-other-sset", "m"}).text == "5");
  CHECK(Listed(outage.sidecar, "ada-other-sset") == 0);
}

TEST_CASE("what is skipped while a rebuild runs stays on the list", "[skip]") {
  Outage outage;
  outage.stage.redis.Start();
  outage.sidecar.AwaitBreaker("closed");
  Process rebuild =
      outage.stage.Begin("rebuild", {"--only", "board", "--spill-dir", outage.sidecar.spill_dir().string()});
  // It waits for transactions whose write was skipped a moment ago.
  Await("the rebuild to have read the list", [&] { return rebuild.Stderr().find("waiting") != std::string::npos; });
  RespClient redis = outage.stage.redis.Connect();
  redis.Call({"CONFIG", "SET", "maxmemory", "1"});
  outage.Earn("ada", 2);
  redis.Call({"CONFIG", "SET", "maxmemory", "0"});
  CHECK(rebuild.Wait() == 0);
  CHECK(outage.stage.redis.Call({"ZSCORE", "go-sset", "ada"}).text == "7");
  CHECK(Listed(outage.sidecar, "go-sset") == 1);
  CHECK(outage.Run("rebuild", {"--only", "board"}).exit_code == 0);
  CHECK(Listed(outage.sidecar, "go-sset") == 0);
}

}  // namespace
}  // namespace sprockets::harness
