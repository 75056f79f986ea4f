// What the fate of each event must be.
#include "sidecar/core/router.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/sidecar/core/router_world.h"

namespace sprockets::router_tests {
namespace {

TEST_CASE("an event is answered only when Redis or the disk has answered") {
  World world;
  world.ConnectWithTail();
  const uint64_t a = world.Xadd({"s", "*", "data", "1"});
  REQUIRE(world.sent.size() == 1);
  CHECK(ArgsOf(world.sent[0]) == std::vector<std::string>{"XADD", "s", "*", "data", "1", "event_id", "me-1"});
  CHECK(world.replies.empty());
  world.router.OnLanded("7-0");
  CHECK(world.replies[a] == "$3\r\n7-0\r\n");
  world.router.OnConnectionLost();
  const uint64_t b = world.Xadd({"s", "*", "data", "2"});
  REQUIRE(world.spills.size() == 1);
  CHECK(world.replies.count(b) == 0);
  world.Spilled(12);
  CHECK(world.replies[b] == "+0-12\r\n");
}

TEST_CASE("without a connection nothing is in doubt") {
  World world;
  world.Xadd({"s", "*", "data", "1"});
  REQUIRE(world.spills.size() == 1);
  CHECK_FALSE(world.spills[0].doubt.has_value());
}

TEST_CASE("what a lost connection carried is spilled in doubt, from the last id that this connection saw") {
  World world;
  world.ConnectWithTail({5, 0});
  world.Xadd({"s", "*", "data", "1"});
  world.Xadd({"s", "*", "data", "2"});
  world.Xadd({"t", "*", "data", "3"});
  world.router.OnLanded("9-0");
  world.router.OnConnectionLost();
  REQUIRE(world.spills.size() == 2);
  CHECK(world.spills[0].doubt->anchor == StreamId{9, 0});
  CHECK(world.spills[1].doubt->anchor == StreamId{5, 0});
  CHECK(world.spills[0].doubt->connection == ConnectionId{"run", 1});
  CHECK(world.router.counters().in_doubt == 2);
}

TEST_CASE("the anchor is the last id seen, not the greatest, and is forgotten with the connection") {
  World world;
  world.ConnectWithTail({100, 0});
  world.Xadd({"s", "*", "data", "1"});
  world.router.OnLanded("200-0");
  world.router.OnConnectionLost();
  world.default_tail = StreamId{3, 0};  // the stream began again
  world.Connect(2);
  world.Xadd({"s", "*", "data", "2"});
  world.router.OnConnectionLost();
  REQUIRE(world.spills.size() == 1);
  CHECK(world.spills[0].doubt->anchor == StreamId{3, 0});
}

TEST_CASE("events wait for the tail of their stream and keep their order") {
  World world;
  world.Connect();
  world.Xadd({"s", "*", "data", "1"});
  world.Xadd({"s", "*", "data", "2", "event_id", "E"});
  world.Xadd({"s", "*", "data", "3"});
  CHECK(world.sent.empty());
  REQUIRE(world.tails.size() == 1);
  CHECK(world.tails[0].count == 1);  // the first needs only an anchor
  world.router.OnTail(*world.tails[0].stream, {}, false, {});
  REQUIRE(world.tails.size() == 2);  // the second needs to know what an earlier life sent
  CHECK(world.sent.size() == 1);
  world.router.OnTail(*world.tails[1].stream, {}, false, {});
  REQUIRE(world.sent.size() == 3);
  CHECK(ArgsOf(world.sent[1])[4] == "2");
  CHECK(ArgsOf(world.sent[2])[4] == "3");
}

TEST_CASE("what waits for a tail when the connection goes was certainly never sent") {
  World world;
  world.Connect();
  world.Xadd({"s", "*", "data", "1"});
  world.router.OnConnectionLost();
  REQUIRE(world.spills.size() == 1);
  CHECK_FALSE(world.spills[0].doubt.has_value());
}

TEST_CASE("bytes in flight and on the way to disk close the door") {
  RouterOptions options = World::DefaultOptions();
  options.max_inflight_bytes = 200;
  options.max_spill_queue_bytes = 200;
  World world(options);
  const std::string value(150, 'x');
  world.Xadd({"s", "*", "data", value});
  CHECK_FALSE(world.router.CanAccept());
  world.Spilled(1);
  CHECK(world.router.CanAccept());
  world.ConnectWithTail();
  world.Xadd({"s", "*", "data", value});
  CHECK_FALSE(world.router.CanAccept());
  world.router.OnLanded("6-0");
  CHECK(world.router.CanAccept());
}

TEST_CASE("bad events are INVALID and nothing of them is kept") {
  RouterOptions options = World::DefaultOptions();
  options.max_streams = 1;
  options.max_event_bytes = 1024;
  options.stream_globs = {"s*"};
  World world(options);
  world.ConnectWithTail();
  world.Xadd({"s", "1-1", "data", "1"});
  world.Xadd({"s", "*", "data", std::string(2000, 'x')});
  world.Xadd({"other", "*", "data", "1"});
  world.Xadd({"s", "*", "data", "1"});
  world.Xadd({"s2", "*", "data", "1"});
  for (const uint64_t slot : {1, 2, 3, 5}) CHECK(world.replies[slot].substr(0, 9) == "-INVALID ");
  CHECK(world.replies.count(4) == 0);
  CHECK(world.sent.size() == 1);
}

TEST_CASE("stopping spills what waits and waits for what is in flight") {
  World world;
  world.ConnectWithTail();
  world.Xadd({"s", "*", "data", "1"});
  world.default_tail.reset();
  world.Xadd({"t", "*", "data", "2"});
  world.router.StopSending();
  CHECK(world.spills.size() == 1);
  CHECK(world.router.events_unanswered() == 2);
  world.router.OnLanded("6-0");
  world.Spilled(1);
  CHECK(world.router.events_unanswered() == 0);
  CHECK(world.replies.size() == 2);
}

TEST_CASE("the window forgets the oldest, but never what is pending or unknown") {
  RouterOptions options = World::DefaultOptions();
  options.dedupe_window = 2;
  World world(options);
  world.ConnectWithTail();
  for (const char* id : {"A", "B", "C"}) {
    world.Xadd({"s", "*", "event_id", id});
    world.router.OnLanded("6-0");
  }
  world.Xadd({"s", "*", "event_id", "C"});
  CHECK(world.sent.size() == 3);
  world.Xadd({"s", "*", "event_id", "A"});
  CHECK(world.sent.size() == 4);
}

}  // namespace
}  // namespace sprockets::router_tests
