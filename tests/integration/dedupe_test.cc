// A client that sends an event again under its own id gets the first one's answer, whatever became of the first one.
#include <chrono>
#include <signal.h>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kEvent = {"event_id", "delivery-1", "data", "payload"};
const Command kXadd = {"XADD", "s", "*", "event_id", "delivery-1", "data", "payload"};

void CheckDrainedToOne(const Stack& stack) {
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  RespClient redis = stack.redis.Connect();
  CHECK(ReadStream(redis, "s") == std::vector<std::vector<std::string>>{kEvent});
}

TEST_CASE("a landed event that comes again gets the same id", "[dedupe]") {
  Stack stack;
  const Reply first = stack.Xadd("s", kEvent);
  REQUIRE(first.Landed());
  CHECK(stack.Xadd("s", kEvent) == first);
  CHECK(
      stack.Xadd("s", {"data", "payload", "event_id", "delivery-1"}).Landed());  // the place of the id is no difference
  CHECK(stack.sidecar.Call({"XADD", "s", "MAXLEN", "100", "*", "event_id", "delivery-1", "data", "payload"}) == first);
  CHECK(stack.Length("s") == 1);
  CHECK(stack.sidecar.Status().at("counters").at("deduplicated") == 3);
}

TEST_CASE("two copies in one pipeline, and one on another connection, all get one answer", "[dedupe]") {
  Stack stack({.through_proxy = true});
  stack.proxy->DelayReplies(100ms);
  RespClient one = stack.sidecar.Connect();
  RespClient other = stack.sidecar.Connect();
  one.Send(kXadd);
  one.Send(kXadd);
  other.Send(kXadd);
  const Reply first = one.Read();
  CHECK(first.Landed());
  CHECK(one.Read() == first);
  CHECK(other.Read() == first);
  CHECK(stack.Length("s") == 1);
}

TEST_CASE("copies of an event that waits for a hanging Redis share the outcome of the first", "[dedupe]") {
  Stack stack;
  REQUIRE(stack.Xadd("s2", {"data", "1"}).Landed());
  stack.redis.Stop();
  RespClient one = stack.sidecar.Connect();
  RespClient other = stack.sidecar.Connect();
  one.Send(kXadd);
  other.Send(kXadd);
  const Reply first = one.Read();
  CHECK(first.Spilled());
  CHECK(other.Read() == first);
  stack.redis.Continue();
  stack.sidecar.AwaitBreaker("closed");
  CHECK(stack.Xadd("s", kEvent) == first);
  CheckDrainedToOne(stack);
}

TEST_CASE("a spilled event that comes again gets the same ticket, before the drain and after it", "[dedupe]") {
  Stack stack({.redis_up = false});
  const Reply first = stack.Xadd("s", kEvent);
  REQUIRE(first.Spilled());
  CHECK(stack.Xadd("s", kEvent) == first);
  stack.RestartRedis();
  CHECK(stack.Xadd("s", kEvent) == first);
  CheckDrainedToOne(stack);
  CHECK(stack.Xadd("s", kEvent) == first);
  CheckDrainedToOne(stack);
}

TEST_CASE("the same id with another payload is another event", "[dedupe]") {
  Stack stack;
  const Reply first = stack.Xadd("s", kEvent);
  const Reply second = stack.Xadd("s", {"event_id", "delivery-1", "data", "other"});
  CHECK(second.Landed());
  CHECK(second != first);
  CHECK(stack.Xadd("other-stream", kEvent).Landed());
  CHECK(stack.Length("s") == 2);
  CHECK(stack.Length("other-stream") == 1);
}

TEST_CASE("a restarted sidecar knows what landed before", "[dedupe]") {
  Stack stack;
  const Reply first = stack.Xadd("s", kEvent);
  REQUIRE(first.Landed());
  stack.sidecar.Kill9();
  stack.sidecar.Start();
  stack.sidecar.AwaitBreaker("closed");
  CHECK(stack.Xadd("s", kEvent) == first);
  CHECK(stack.Length("s") == 1);
}

TEST_CASE("a restarted sidecar knows what was spilled before", "[dedupe]") {
  Stack stack({.redis_up = false});
  const Reply first = stack.Xadd("s", kEvent);
  REQUIRE(first.Spilled());
  stack.sidecar.Kill9();
  stack.sidecar.Start();
  CHECK(stack.Xadd("s", kEvent).Spilled());
  stack.RestartRedis();
  CheckDrainedToOne(stack);
}

TEST_CASE("a restarted sidecar knows what was drained before", "[dedupe]") {
  Stack stack({.redis_up = false});
  REQUIRE(stack.Xadd("s", kEvent).Spilled());
  stack.RestartRedis();
  CheckDrainedToOne(stack);
  CHECK(stack.sidecar.Terminate() == 0);
  stack.sidecar.Start();
  stack.sidecar.AwaitBreaker("closed");
  CHECK(stack.Xadd("s", kEvent).Acknowledged());
  CheckDrainedToOne(stack);
}

TEST_CASE("an event that landed before a restart and comes again while Redis is away is settled, not doubled",
          "[dedupe]") {
  Stack stack;
  REQUIRE(stack.Xadd("s", kEvent).Landed());
  stack.sidecar.Kill9();
  stack.redis.Kill9();
  stack.sidecar.Start();
  CHECK(stack.Xadd("s", kEvent).Spilled());
  stack.RestartRedis();
  CheckDrainedToOne(stack);
}

// ---- UNKNOWN

// The next fdatasync of each of the sidecar's threads fails, although what it would have synced was written.
class FailingSync {
 public:
  explicit FailingSync(Stack& stack)
      : strace_({.command = {"strace", "-f", "-p", std::to_string(stack.sidecar.process().pid()), "-e",
                             "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1"},
                 .output = stack.folder / "strace",
                 .environment = {}}) {
    Await("strace to attach",
          [this] { return strace_.Stderr().find("attached") != std::string::npos || !strace_.Running(); });
    INFO(strace_.Stderr());
    REQUIRE(strace_.Running());
  }
  ~FailingSync() {
    strace_.Signal(SIGINT);  // lets go of the sidecar
    strace_.Wait();
  }

 private:
  Process strace_;
};

// Its COMMIT fails, and what it wrote is in the file all the same.
void SpillWithFailingCommit(Stack& stack) {
  REQUIRE(stack.Xadd("other", {"data", "1"}).Spilled());
  const FailingSync failing(stack);
  const Reply reply = stack.Xadd("s", kEvent);
  INFO(reply);
  REQUIRE(reply.IsError("UNKNOWN"));
  CHECK(reply.text.starts_with("UNKNOWN delivery-1 "));
}

TEST_CASE("a COMMIT that fails and yet appears is answered UNKNOWN; the retry and the drain leave one copy",
          "[dedupe]") {
  Stack stack({.redis_up = false});
  SpillWithFailingCommit(stack);
  const Reply retry = stack.Xadd("s", kEvent);
  INFO(retry);
  REQUIRE(retry.Spilled());
  CHECK(stack.Xadd("s", kEvent) == retry);
  stack.RestartRedis();
  CheckDrainedToOne(stack);
  CHECK(stack.Length("other") == 1);
}

TEST_CASE("UNKNOWN, then a restart, then the retry: one copy", "[dedupe]") {
  Stack stack({.redis_up = false});
  SpillWithFailingCommit(stack);
  stack.sidecar.Kill9();
  stack.sidecar.Start();
  REQUIRE(stack.Xadd("s", kEvent).Spilled());
  stack.RestartRedis();
  CheckDrainedToOne(stack);
  CHECK(stack.Length("other") == 1);
}

TEST_CASE("UNKNOWN, then the retry with Redis up again: one copy", "[dedupe]") {
  Stack stack({.redis_up = false});
  SpillWithFailingCommit(stack);
  stack.RestartRedis();
  REQUIRE(stack.Xadd("s", kEvent).Spilled());  // never sent directly: the first copy may be on disk
  CheckDrainedToOne(stack);
}

}  // namespace
}  // namespace sprockets::harness
