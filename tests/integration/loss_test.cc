// A connection that is refused or reset is noticed when it happens. The deadline is put so far off here that it cannot
// be what notices it.
#include <chrono>

#include <catch2/catch.hpp>

#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr auto kAtOnce = 5s;  // on a busy machine
const std::vector<std::string> kDeadlineFarOff = {"--redis-timeout", "5m"};

TEST_CASE("an event in flight on a connection that is reset is spilled at once", "[loss]") {
  Stack stack({.sidecar_options = kDeadlineFarOff});
  REQUIRE(stack.Xadd("s", {"data", "before"}).Landed());
  stack.redis.Stop();
  RespClient client = stack.sidecar.Connect();
  client.Send({"XADD", "s", "*", "data", "in flight"});
  REQUIRE_FALSE(client.TryRead(200ms).has_value());
  // Killed with the event unread in its socket, it resets the connection.
  stack.redis.Kill9();
  CHECK(client.Read(kAtOnce).Spilled());
}

TEST_CASE("after connections that were refused the next one is tried at once", "[loss]") {
  Stack stack({.redis_up = false, .sidecar_options = kDeadlineFarOff});
  REQUIRE(stack.Xadd("s", {"data", "nobody listens"}).Spilled());
  stack.redis.Start();
  CHECK(WaitUntil([&] { return stack.Xadd("s", {"data", "again"}).Landed(); }, 2 * kAtOnce));
}

}  // namespace
}  // namespace sprockets::harness
