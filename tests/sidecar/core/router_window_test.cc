// The router and its window: what comes again, what an earlier life left.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "sidecar/core/router.h"
#include "tests/sidecar/core/router_world.h"

namespace sprockets::router_tests {
namespace {

TEST_CASE("an event that an earlier life has landed is found in the tail and not sent again") {
  World world;
  world.Connect();
  const uint64_t a = world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  REQUIRE(world.tails.size() == 1);
  CHECK(world.tails[0].count > 1);
  world.router.OnTail(*world.tails[0].stream, {{{8, 1}, {"x", "y"}}, {{7, 3}, {"data", "1", "event_id", "E"}}}, false,
                      {});
  CHECK(world.sent.empty());
  CHECK(world.replies[a] == "$3\r\n7-3\r\n");
  const uint64_t b = world.Xadd({"s", "*", "event_id", "E", "data", "1"});
  CHECK(world.replies[b] == "$3\r\n7-3\r\n");
}

TEST_CASE("the tail is read in pages until the bound") {
  RouterOptions options = World::DefaultOptions();
  options.max_inflight_bytes = 1000;
  options.dedupe_window = 2;
  World world(options);
  world.Connect();
  world.Xadd({"s", "*", "event_id", "E"});
  const std::string big(900, 'x');
  std::vector<TailEntry> page{{{9, 0}, {"f", big}}};
  world.router.OnTail(*world.tails[0].stream, page, true, {});
  REQUIRE(world.tails.size() == 2);
  CHECK(world.tails[1].before == StreamId{9, 0});
  page[0].id = {8, 0};
  world.router.OnTail(*world.tails[1].stream, page, true, {});
  page[0].id = {7, 0};
  world.router.OnTail(*world.tails[2].stream, page, true, {});
  CHECK(world.tails.size() == 3);
  CHECK(world.sent.size() == 1);
}

TEST_CASE("a long tail takes few pages, however long it is") {
  // Clients wait meanwhile: a round trip for each entry once made half a minute of it.
  World world;
  world.Connect();
  world.Xadd({"s", "*", "event_id", "new"});
  const std::string value(200, 'v');
  int64_t before = 1'000'000;
  int pages = 0;
  for (; !world.tails.empty(); ++pages) {
    const World::TailRead read = world.tails.back();
    world.tails.pop_back();
    std::vector<std::string> ids;
    for (int64_t i = 0; i < read.count; ++i) ids.push_back("e" + std::to_string(--before));
    std::vector<TailEntry> entries;
    for (int64_t i = 0; i < read.count; ++i) {
      const auto ms = static_cast<uint64_t>(before + read.count - 1 - i);
      entries.push_back({{ms, 0}, {"event_id", ids[static_cast<size_t>(i)], "data", value}});
    }
    world.router.OnTail(*read.stream, entries, true, {world.now_ms});
  }
  CHECK(world.sent.size() == 1);
  CHECK(world.router.window().size() > 50'000);
  CHECK(pages < 200);
}

TEST_CASE("a client's id that the window cannot know is spilled in doubt from the beginning") {
  World world;
  SECTION("because Redis is away") {
    world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  }
  SECTION("because an earlier connection may still deliver") {
    world.Connect(1, false);
    world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  }
  REQUIRE(world.spills.size() == 1);
  REQUIRE(world.spills[0].doubt.has_value());
  CHECK(world.spills[0].doubt->anchor == kStreamBegin);
  world.Spilled(1);
  if (!world.router.connection()) world.Connect(1, false);
  world.router.OnEarlierFenced();
  world.default_tail = StreamId{1, 0};
  world.Xadd({"s", "*", "data", "1", "event_id", "F"});
  CHECK(world.sent.size() == 1);
}

TEST_CASE("a second copy gets the first one's answer and adds nothing") {
  World world;
  world.ConnectWithTail();
  const uint64_t a = world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  const uint64_t b = world.Xadd({"s", "MAXLEN", "9", "*", "data", "1", "event_id", "E"});
  CHECK(world.sent.size() == 1);
  CHECK(world.replies.empty());
  world.router.OnLanded("7-0");
  CHECK(world.replies[a] == "$3\r\n7-0\r\n");
  CHECK(world.replies[b] == world.replies[a]);
  const uint64_t c = world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  CHECK(world.replies[c] == world.replies[a]);
  CHECK(world.sent.size() == 1);
  CHECK(world.router.counters().deduplicated == 2);
}

TEST_CASE("the same id with another payload, or in another stream, is another event") {
  World world;
  world.ConnectWithTail();
  world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  world.Xadd({"s", "*", "data", "2", "event_id", "E"});
  world.Xadd({"t", "*", "data", "1", "event_id", "E"});
  CHECK(world.sent.size() == 3);
  CHECK(world.router.counters().other_payload == 1);
}

TEST_CASE("a spilled event's second copy gets its ticket, Redis up again or not") {
  World world;
  world.ConnectWithTail();
  world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  world.router.OnConnectionLost();
  world.Spilled(3);
  world.Connect(2);
  const uint64_t b = world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  CHECK(world.replies[b] == "+0-3\r\n");
  CHECK(world.sent.size() == 1);
}

TEST_CASE("an event answered UNKNOWN is never sent directly again but spilled in doubt, from where it may be found") {
  World world;
  world.Xadd({"s", "*", "data", "1"});  // the id is ours: the answer tells it
  world.Outcome(SpillOutcome::Kind::kUnknown, 0, {4, 2});
  CHECK(world.replies[1] == "-UNKNOWN me-1 disk says no\r\n");
  world.ConnectWithTail();
  const uint64_t b = world.Xadd({"s", "*", "data", "1", "event_id", "me-1"});
  CHECK(world.sent.empty());
  REQUIRE(world.spills.size() == 1);
  CHECK(world.spills[0].doubt->anchor == StreamId{4, 2});
  const uint64_t c = world.Xadd({"s", "*", "data", "1", "event_id", "me-1"});
  CHECK(world.spills.size() == 1);  // waits for the copy that is being spilled
  world.Spilled(9);
  CHECK(world.replies[b] == "+0-9\r\n");
  CHECK(world.replies[c] == "+0-9\r\n");
}

TEST_CASE("an id of the shape that we make is looked for in the tail, and goes to Redis like any other") {
  World world;
  world.Connect();
  const uint64_t a = world.Xadd({"s", "*", "data", "0", "event_id", "0123456789abcdef-6"});
  REQUIRE(world.tails.size() == 1);
  world.router.OnTail(*world.tails[0].stream, {{{7, 3}, {"data", "0", "event_id", "0123456789abcdef-6"}}}, false, {});
  CHECK(world.replies[a] == "$3\r\n7-3\r\n");
  world.Xadd({"s", "*", "data", "1", "event_id", "0123456789abcdef-7"});
  CHECK(world.sent.size() == 1);
  CHECK(world.spills.empty());
}

TEST_CASE("a possible repeat that finds no room is refused, and not remembered") {
  World world;
  const uint64_t a = world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  REQUIRE(world.spills.size() == 1);
  REQUIRE(world.spills[0].doubt.has_value());
  CHECK_FALSE(world.spills[0].was_sent);
  world.Outcome(SpillOutcome::Kind::kRefused);
  CHECK(world.replies[a] == "-RETRY disk says no\r\n");
  CHECK(world.router.window().size() == 0);
}

TEST_CASE("a possible repeat needs proof only if the earlier life may have had something in flight") {
  RouterOptions options = World::DefaultOptions();
  options.earlier_life_in_flight = GENERATE(true, false);
  World world(options);
  world.Xadd({"s", "*", "data", "1", "event_id", "E"});
  REQUIRE(world.spills.size() == 1);
  CHECK(world.spills[0].doubt->needs_proof == options.earlier_life_in_flight);
}

TEST_CASE("a window full of newer events does not keep a tail from being searched for what was in flight") {
  RouterOptions options = World::DefaultOptions();
  options.dedupe_window = 2;
  World world(options);
  world.Connect();
  for (const char* id : {"a", "b", "c"}) {
    world.Xadd({"busy", "*", "event_id", id});
    if (id[0] == 'a') world.router.OnTail(*world.tails[0].stream, {}, false, {});
    world.router.OnLanded("9-" + std::string(1, id[0] == 'a' ? '1' : id[0] == 'b' ? '2' : '3'));
  }
  world.tails.clear();
  world.Xadd({"quiet", "*", "event_id", "new"});
  std::vector<TailEntry> page;
  for (uint64_t ms = 8; ms > 0; --ms) page.push_back({{ms, 0}, {"event_id", "lost answer"}});
  world.router.OnTail(*world.tails[0].stream, page, true, {});
  REQUIRE(world.tails.size() == 2);
  world.router.OnTail(*world.tails[1].stream, {}, false, {});
  world.router.OnLanded("10-0");
  const size_t sent = world.sent.size();
  const uint64_t again = world.Xadd({"quiet", "*", "event_id", "lost answer"});
  CHECK(world.sent.size() == sent);
  CHECK(world.replies[again] == "$3\r\n8-0\r\n");
}

TEST_CASE("once an UNKNOWN had to be forgotten, ids that the window does not know are looked for by the drain") {
  World world;
  for (int i = 0; i <= 64 * 1024; ++i) {
    if (!world.router.connection()) world.ConnectWithTail();
    world.Xadd({"s", "*", "data", "1", "event_id", std::to_string(i)});
    if (i % 1000 == 0) {
      world.router.OnConnectionLost();
      while (!world.spills.empty()) world.Outcome(SpillOutcome::Kind::kRefused);
    }
  }
  world.router.OnConnectionLost();
  while (!world.spills.empty()) world.Outcome(SpillOutcome::Kind::kRefused);
  CHECK(world.unknown_forgotten);
  CHECK(world.router.window().unknown() == 64 * 1024);
  world.ConnectWithTail();
  const size_t sent = world.sent.size();
  world.Xadd({"s", "*", "data", "1", "event_id", "0"});
  CHECK(world.sent.size() == sent);
  REQUIRE(world.spills.size() == 1);
  CHECK(world.spills[0].doubt->needs_proof);
}

}  // namespace
}  // namespace sprockets::router_tests
