// The router when Redis or the disk says no.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "sidecar/core/router.h"
#include "tests/sidecar/core/router_world.h"

namespace sprockets::router_tests {
namespace {

TEST_CASE("a refused stream is probed at the pace of the loop's clock, whatever the wall clock says") {
  World world;
  world.ConnectWithTail();
  size_t tries = 0;
  for (int i = 0; i < 300; ++i) {
    world.now_ms = 1000 + 10 * i;
    const size_t before = world.sent.size();
    world.wall_ms = 1'700'000'000'000 + 10 * i;
    world.Xadd({"s", "*", "data", "1"});
    if (world.sent.size() == before) continue;
    ++tries;
    world.router.OnError("WRONGTYPE Operation against a key", {world.now_ms});
  }
  CHECK(tries < 6);
}

TEST_CASE("RETRY is given only where the event cannot have been stored") {
  World world;
  const uint64_t a = world.Xadd({"s", "*", "data", "1"});
  world.Outcome(SpillOutcome::Kind::kRefused);
  CHECK(world.replies[a] == "-RETRY disk says no\r\n");
  world.ConnectWithTail();
  const uint64_t b = world.Xadd({"s", "*", "data", "2", "event_id", "E"});
  world.router.OnConnectionLost();
  world.Outcome(SpillOutcome::Kind::kRefused);
  CHECK(world.replies[b] == "-UNKNOWN E disk says no\r\n");
  world.Connect(2);
  world.Xadd({"s", "*", "data", "2", "event_id", "E"});
  REQUIRE(world.spills.size() == 1);
  CHECK(world.spills[0].doubt->anchor == StreamId{5, 0});
  world.Outcome(SpillOutcome::Kind::kRefused);  // still unknown, not RETRY
  CHECK(world.replies[3] == "-UNKNOWN E disk says no\r\n");
}

TEST_CASE("RETRY takes an event out of the window, so that it may come again") {
  World world;
  world.ConnectWithTail();
  world.Xadd({"s", "*", "data", "0", "event_id", "fills the window"});
  world.router.OnLanded("6-0");
  world.router.OnConnectionLost();
  world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  world.Outcome(SpillOutcome::Kind::kRefused);
  world.Connect(2);
  world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  CHECK(world.sent.size() == 2);
}

TEST_CASE("a refusal of the server spills without doubt, and several in a row open the breaker") {
  World world;
  world.ConnectWithTail();
  for (int i = 0; i < 7; ++i) world.Xadd({"s", "*", "data", "1"});
  for (int i = 0; i < 4; ++i) world.router.OnError("OOM command not allowed", {world.now_ms});
  CHECK(world.router.breaker().closed());
  world.router.OnError("OOM command not allowed", {world.now_ms});
  CHECK_FALSE(world.router.breaker().closed());
  CHECK(world.probes == 1);
  world.Xadd({"s", "*", "data", "1"});
  CHECK(world.sent.size() == 7);
  CHECK(world.spills.size() == 6);
  for (const SpillRequest& request : world.spills) CHECK_FALSE(request.doubt.has_value());
  world.router.OnLanded("8-0");
  world.router.OnProbePassed();
  world.Xadd({"s", "*", "data", "1"});
  CHECK(world.sent.size() == 8);
}

TEST_CASE("a probe that turns out to be in the stream already leaves the next event to be one") {
  World world;
  world.Connect();
  world.Xadd({"s", "*", "event_id", "D"});
  REQUIRE(world.tails.size() == 1);
  world.router.OnTailError(*world.tails[0].stream, "WRONGTYPE Operation against a key", {world.now_ms});
  REQUIRE(world.spills.size() == 1);
  world.now_ms += 60'000;
  const uint64_t probe = world.Xadd({"s", "*", "event_id", "E"});
  REQUIRE(world.tails.size() == 2);
  world.router.OnTail(*world.tails[1].stream, {{{7, 3}, {"event_id", "E"}}}, false, {world.now_ms});
  CHECK(world.replies[probe] == "$3\r\n7-3\r\n");
  world.Xadd({"s", "*", "event_id", "F"});
  CHECK(world.spills.size() == 1);
  CHECK(world.sent.size() == 1);
}

TEST_CASE("a stream that is refused spills alone until a probe gets through") {
  World world;
  world.ConnectWithTail();
  world.Xadd({"bad", "*", "data", "1"});
  world.router.OnError("WRONGTYPE Operation against a key", {world.now_ms});
  CHECK(world.refused.count("bad") == 1);
  world.Xadd({"bad", "*", "data", "2"});
  world.Xadd({"good", "*", "data", "3"});
  CHECK(world.spills.size() == 2);
  CHECK(world.sent.size() == 2);
  CHECK(world.router.breaker().closed());
  world.router.OnLanded("6-0");
  world.now_ms += 60'000;
  world.Xadd({"bad", "*", "data", "4"});  // the probe
  world.Xadd({"bad", "*", "data", "5"});  // waits on disk
  CHECK(world.sent.size() == 3);
  CHECK(world.spills.size() == 3);
  world.router.OnLanded("7-0");
  CHECK(world.refused.empty());
  world.Xadd({"bad", "*", "data", "6"});
  CHECK(world.sent.size() == 4);
}

TEST_CASE("an error of no known class leaves the event in doubt, and no connection to fence") {
  World world;
  world.ConnectWithTail();
  world.Xadd({"s", "*", "data", "1"});
  world.router.OnError("ERR upstream timed out", {world.now_ms});
  REQUIRE(world.spills.size() == 1);
  REQUIRE(world.spills[0].doubt.has_value());
  CHECK(world.spills[0].doubt->anchor == StreamId{5, 0});
  CHECK_FALSE(world.spills[0].doubt->connection.has_value());
}

TEST_CASE("NOMKSTREAM on a missing stream is relayed as it is and leaves the window") {
  World world;
  world.ConnectWithTail();
  const uint64_t a = world.Xadd({"s", "NOMKSTREAM", "*", "data", "1", "event_id", "E"});
  world.router.OnNil();
  CHECK(world.replies[a] == "$-1\r\n");
  world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  CHECK(world.sent.size() == 2);
}

}  // namespace
}  // namespace sprockets::router_tests
