// The network delivers what everybody has given up: bytes of an old connection are held in a proxy and let go late.
// Without fences each of these tests finds an event twice.
#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/careful_client.h"
#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kHeld = {"event_id", "held", "data", "may arrive late"};

// How long Redis gets to apply what is let go, before we say that it did not.
constexpr auto kLateEnough = 500ms;

void CheckStaysAt(const Stack& stack, size_t length) {
  CHECK(stack.Length("s") == length);
  CHECK_FALSE(WaitUntil([&] { return stack.Length("s") != length; }, kLateEnough));
}

// One event is in the stream, and what follows stays on its way. The first one has a client's id, so that the sidecar
// knows the stream's tail and sends the second one at once.
void HoldFromNowOn(Stack& stack) {
  REQUIRE(stack.Xadd("s", {"event_id", "before", "data", "1"}).Landed());
  stack.proxy->HoldRequests();
}

// Sends the event that is held on its way.
RespClient SendHeld(Stack& stack) {
  RespClient client = stack.sidecar.Connect();
  client.Send({"XADD", "s", "*", kHeld[0], kHeld[1], kHeld[2], kHeld[3]});
  REQUIRE(WaitUntil([&] { return stack.proxy->Holds("may arrive late"); }));
  return client;
}

// The same, until the sidecar gives up on Redis and spills it in doubt.
void SpillHeld(Stack& stack) {
  REQUIRE(SendHeld(stack).Read().Spilled());
}

TEST_CASE("held bytes that come after the sidecar has reconnected and the drain is done add nothing", "[fence]") {
  Stack stack({.through_proxy = true});
  HoldFromNowOn(stack);
  SpillHeld(stack);
  REQUIRE(WaitUntil([&] { return stack.Xadd("s", {"data", "after"}).Landed(); }));
  const size_t after = stack.Length("s") - 1;  // those sent before it had reconnected were spilled

  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("already_there") == 0);
  const size_t length = 1 + after + static_cast<size_t>(drained.Count("landed"));
  stack.proxy->ReleaseRequests();
  CheckStaysAt(stack, length);
}

TEST_CASE("held bytes that come after the sidecar has reconnected, but before the drain, are no second copy",
          "[fence]") {
  Stack stack({.through_proxy = true});
  HoldFromNowOn(stack);
  SpillHeld(stack);
  stack.sidecar.AwaitBreaker("closed");
  stack.proxy->ReleaseRequests();
  WaitUntil([&] { return stack.Length("s") == 2; }, kLateEnough);  // lands only where nobody has fenced yet
  CHECK(stack.Drain().exit_code == 0);
  CheckStaysAt(stack, 2);
}

TEST_CASE("the drain fences by itself what a sidecar left in doubt that never reconnected", "[fence]") {
  Stack stack({.through_proxy = true});
  HoldFromNowOn(stack);
  stack.proxy->RefuseConnections(true);
  SpillHeld(stack);
  stack.sidecar.Kill9();
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("landed") == 1);
  stack.proxy->ReleaseRequests();
  CheckStaysAt(stack, 2);
}

TEST_CASE(
    "held bytes that come after the sidecar was killed and restarted, and its client has tried again, add nothing",
    "[fence]") {
  Stack stack({.through_proxy = true, .sidecar_options = {"--redis-timeout", "20s"}});
  HoldFromNowOn(stack);
  RespClient client = SendHeld(stack);
  stack.sidecar.Kill9();
  CHECK(client.WaitClosed());

  stack.sidecar.Start();
  stack.sidecar.AwaitBreaker("closed");
  CHECK(stack.Xadd("s", kHeld).Acknowledged());
  CHECK(stack.Drain().exit_code == 0);
  CHECK(stack.Length("s") == 2);
  stack.proxy->ReleaseRequests();
  CheckStaysAt(stack, 2);
}

TEST_CASE("held bytes that came in before the restarted sidecar looked are found by it", "[fence]") {
  Stack stack({.through_proxy = true, .sidecar_options = {"--redis-timeout", "20s"}});
  HoldFromNowOn(stack);
  RespClient client = SendHeld(stack);
  stack.sidecar.Kill9();
  stack.proxy->ReleaseRequests();
  REQUIRE(WaitUntil([&] { return stack.Length("s") == 2; }));

  stack.sidecar.Start();
  stack.sidecar.AwaitBreaker("closed");
  CHECK(stack.Xadd("s", kHeld).Acknowledged());
  CHECK(stack.Drain().exit_code == 0);
  CheckStaysAt(stack, 2);
}

TEST_CASE("held bytes of a replayer that was killed come after its successor is done, and add nothing", "[fence]") {
  Stack stack({.redis_up = false, .through_proxy = true});
  Ledger ledger;
  CarefulClient client(stack.sidecar.socket_path(), ledger);
  std::vector<Event> events;
  for (int i = 0; i < 600; ++i) {
    const std::string id = "spilled-" + std::to_string(i);
    events.push_back({.stream = "s", .event_id = id, .fields = {"event_id", id, "data", std::to_string(i)}});
  }
  REQUIRE(client.Send(events).spilled == events.size());
  stack.sidecar.Kill9();
  stack.redis.Start();

  Process replayer({.command = ReplayerCommand({"drain", "--redis", stack.proxy->Url(), "--spill-dir",
                                                stack.sidecar.spill_dir(), "--rate", "100"}),
                    .output = stack.folder / "first-replayer",
                    .environment = {}});
  REQUIRE(WaitUntil([&] { return stack.Length("s") > 20 || !replayer.Running(); }));
  stack.proxy->HoldRequests();
  REQUIRE(WaitUntil([&] { return stack.proxy->Holds("spilled-"); }));
  REQUIRE(replayer.Running());
  replayer.Kill9();
  REQUIRE(stack.Length("s") < events.size());

  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  stack.proxy->ReleaseRequests();
  CheckStaysAt(stack, events.size());
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

TEST_CASE("a Redis that hangs longer than the deadline and then wakes applies nothing twice", "[fence]") {
  Stack stack;
  REQUIRE(stack.Xadd("s", {"data", "before"}).Landed());
  stack.redis.Stop();
  std::vector<Command> commands;
  for (int i = 0; i < 500; ++i) commands.push_back({"XADD", "s", "*", "data", std::to_string(i)});
  RespClient client = stack.sidecar.Connect();
  for (const Reply& reply : client.Pipeline(commands)) REQUIRE(reply.Spilled());
  stack.redis.Continue();
  stack.sidecar.AwaitBreaker("closed");
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("landed") + drained.Count("already_there") == 500);
  CheckStaysAt(stack, 501);
}

}  // namespace
}  // namespace sprockets::harness
