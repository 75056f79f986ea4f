// From --ack redis to --ack disk and back over the same folder: nothing is lost, and nothing is stored twice.
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

Stack::Options AheadOptions(std::vector<std::string> more = {}) {
  Stack::Options options;
  options.redis_options = {"--appendonly", "yes", "--appendfsync", "always"};
  options.sidecar_options = {"--ack", "disk"};
  options.sidecar_options.insert(options.sidecar_options.end(), more.begin(), more.end());
  return options;
}

/// One over the same folder, and the same way to Redis.
Sidecar WithAckRedis(const Stack& stack) {
  return Sidecar({.folder = stack.sidecar.socket_path().parent_path(),
                  .redis_url = stack.proxy ? stack.proxy->Url() : stack.redis.Url(),
                  .spill_dir = stack.sidecar.spill_dir(),
                  .arguments = {"--ack", "redis", "--redis-timeout", "20s"}});
}

Reply Send(const Sidecar& sidecar, int n) {
  const std::string text = std::to_string(n);
  return sidecar.Call({"XADD", "s", "*", "n", text, "event_id", "e" + text});
}

/// Until everything that the journal holds is in Redis.
void AwaitLanded(const Stack& stack) {
  Await("the journal to land", [&] {
    const auto status = stack.sidecar.Status();
    return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
  });
}

TEST_CASE("the mode can be changed over what waits, there and back, and a drain sends all of it once",
          "[mode_change]") {
  Stack::Options options = AheadOptions();
  options.redis_up = false;
  Stack stack(options);
  std::vector<Reply> told;
  for (int i = 0; i < 50; ++i) told.push_back(Send(stack.sidecar, i));
  CHECK(told.back().Landed());
  {
    REQUIRE(stack.sidecar.Terminate() == 0);
    Sidecar sidecar = WithAckRedis(stack);
    sidecar.Start();
    sidecar.AwaitFolderRead();
    for (int i = 50; i < 100; ++i) told.push_back(Send(sidecar, i));
    CHECK(told.back().Spilled());
    CHECK(Send(sidecar, 7).text == told[7].text);  // of the other mode
    CHECK_THAT(sidecar.process().Stderr(), Catch::Contains("journals-wait"));
    REQUIRE(sidecar.Terminate() == 0);
  }
  stack.sidecar.Start();
  for (int i = 100; i < 150; ++i) told.push_back(Send(stack.sidecar, i));
  CHECK(Send(stack.sidecar, 70).text == told[70].text);
  CHECK_THAT(stack.sidecar.process().Stderr(), Catch::Contains("spill-files-wait"));

  stack.redis.Start();
  AwaitLanded(stack);
  CHECK(stack.Length("s") == 100);
  const DrainResult drained = stack.Drain();
  INFO(drained.summary.dump() << drained.err);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("landed") == 50);
  RespClient redis = stack.redis.Connect();
  std::map<std::string, int> times;
  for (const StreamEntry& entry : ReadEntries(redis, "s")) ++times[entry.fields[1]];
  CHECK(times.size() == 150);
  CHECK(stack.Length("s") == 150);
}

TEST_CASE("after a change of the mode, what the other one sent straight to Redis is known", "[mode_change]") {
  Stack::Options options = AheadOptions();
  options.redis_options = {"--appendonly", "yes", "--appendfsync", "always"};
  Stack stack(options);
  REQUIRE(stack.sidecar.Terminate() == 0);
  std::vector<Reply> told;
  {
    Sidecar sidecar = WithAckRedis(stack);
    sidecar.Start();
    sidecar.AwaitBreaker("closed");
    for (int i = 0; i < 50; ++i) told.push_back(Send(sidecar, i));
    CHECK(told.back().Landed());
    REQUIRE(sidecar.Terminate() == 0);
  }
  // Nobody can say what is new as long as the stream cannot be read.
  stack.redis.Kill9();
  stack.sidecar.Start();
  CHECK_THAT(Send(stack.sidecar, 7).text, Catch::StartsWith("RETRY "));
  CHECK(stack.sidecar.Call({"XADD", "s", "*", "n", "without an id"}).Landed());
  stack.redis.Start();
  AwaitLanded(stack);
  CHECK(WaitUntil([&] { return Send(stack.sidecar, 7).text == told[7].text; }));
  for (int i = 0; i < 50; ++i) CHECK(Send(stack.sidecar, i).text == told[static_cast<size_t>(i)].text);
  CHECK(Send(stack.sidecar, 99).Landed());
  AwaitLanded(stack);
  CHECK(stack.Length("s") == 52);
}

// A sidecar with --ack redis is killed while its event is on its way, and --ack disk takes its place.
void KillWithAnEventOnItsWay(Stack& stack) {
  REQUIRE(stack.sidecar.Terminate() == 0);
  Sidecar sidecar = WithAckRedis(stack);
  sidecar.Start();
  sidecar.AwaitBreaker("closed");
  REQUIRE(Send(sidecar, 0).Landed());
  stack.proxy->HoldRequests();
  RespClient client = sidecar.Connect();
  client.Send({"XADD", "s", "*", "n", "1", "event_id", "e1"});
  REQUIRE(WaitUntil([&] { return stack.proxy->Holds("e1"); }));
  sidecar.Kill9();
  stack.sidecar.Start();
}

Stack::Options ThroughProxy(Stack::Options options) {
  options.through_proxy = true;
  return options;
}

TEST_CASE("what a killed sidecar with --ack redis left on its way adds nothing after a change of the mode",
          "[mode_change]") {
  Stack stack(ThroughProxy(AheadOptions()));
  KillWithAnEventOnItsWay(stack);
  CHECK(WaitUntil([&] { return Send(stack.sidecar, 1).Landed(); }));
  AwaitLanded(stack);
  CHECK(stack.Length("s") == 2);
  stack.proxy->ReleaseRequests();
  CHECK_FALSE(WaitUntil([&] { return stack.Length("s") != 2; }, 500ms));
}

TEST_CASE("without the right to kill it is waited for, and then known", "[mode_change]") {
  Stack::Options options = ThroughProxy(AheadOptions({"--fence-wait", "1s"}));
  options.redis_options.insert(options.redis_options.end(),
                               {"--user", "meek", "on", "nopass", "~*", "+@all", "-client|kill"});
  options.redis_user = "meek";
  Stack stack(options);
  KillWithAnEventOnItsWay(stack);
  RespClient retry = stack.sidecar.Connect();
  retry.Send({"XADD", "s", "*", "n", "1", "event_id", "e1"});
  CHECK_FALSE(WaitUntil([&] { return stack.Length("s") != 1; }, 300ms));
  stack.proxy->ReleaseRequests();
  CHECK(retry.Read().Landed());
  AwaitLanded(stack);
  CHECK(stack.Length("s") == 2);
}

TEST_CASE("a replica is not asked what was stored before the change of the mode", "[mode_change]") {
  Stack stack(AheadOptions());
  REQUIRE(stack.sidecar.Terminate() == 0);
  Reply told;
  {
    Sidecar sidecar = WithAckRedis(stack);
    sidecar.Start();
    sidecar.AwaitBreaker("closed");
    told = Send(sidecar, 7);
    REQUIRE(sidecar.Terminate() == 0);
  }
  RespClient redis = stack.redis.Connect();
  REQUIRE(redis.Call({"REPLICAOF", "127.0.0.1", "1"}).text == "OK");
  stack.sidecar.Start();
  CHECK_THAT(Send(stack.sidecar, 7).text, Catch::StartsWith("RETRY "));
  CHECK(WaitUntil([&] { return stack.sidecar.process().Stderr().find("streams-not-read") != std::string::npos; }));
  REQUIRE(redis.Call({"REPLICAOF", "NO", "ONE"}).text == "OK");
  CHECK(WaitUntil([&] { return Send(stack.sidecar, 7).text == told.text; }));
  CHECK(stack.Length("s") == 1);
}

}  // namespace
}  // namespace sprockets::harness
