// The router under a fake Redis and a fake disk: what each event's fate must be.
#include "sidecar/core/router.h"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/redis/resp.h"

namespace sprockets {
namespace {

// Records what the router makes happen; a test decides what comes back.
class World : public ReplySink, public RedisSink, public SpillSink, public RouterNotices {
 public:
  explicit World(RouterOptions options = DefaultOptions())
      : router(std::move(options), IdentityHasher(), {this, this, this}) {}

  static RouterOptions DefaultOptions() {
    RouterOptions options;
    options.producer = "me";
    return options;
  }

  /// Accepts an XADD; its reply will stand in replies[the returned slot].
  uint64_t Xadd(std::vector<std::string_view> args) {
    args.insert(args.begin(), "XADD");
    std::string body;
    for (const std::string_view arg : args) AppendBulk(body, arg);
    router.Accept({this, ++slot}, args, body, {wall_ms}, {now_ms});
    return slot;
  }
  void Connect(int64_t client_id = 1, bool fenced = true) { router.OnConnectionReady({"run", client_id}, fenced); }
  /// Connects, with a stream whose tail is known and whose window is filled.
  void ConnectWithTail(StreamId tail = {5, 0}) {
    Connect();
    default_tail = tail;
  }
  void Spilled(int64_t ticket) { Outcome(SpillOutcome::Kind::kSpilled, ticket); }
  void Outcome(SpillOutcome::Kind kind, int64_t ticket = 0, StreamId anchor = {}) {
    REQUIRE(!spills.empty());
    SpillOutcome outcome;
    outcome.request = std::move(spills.front());
    spills.pop_front();
    outcome.kind = kind;
    outcome.ticket = ticket;
    outcome.anchor = anchor;
    outcome.why = "disk says no";
    router.OnSpillOutcome(std::move(outcome));
  }

  void Send(const PendingEvent& event) override { sent.push_back(event.wire); }
  void ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) override {
    tails.push_back({&stream, before, count});
    if (!default_tail) return;
    const TailRead read = tails.back();
    tails.pop_back();
    router.OnTail(*read.stream, {TailEntry{*default_tail, {"f", "v"}}}, false, {now_ms});
  }
  void Spill(SpillRequest request) override { spills.push_back(std::move(request)); }
  void Reply(uint64_t request, std::string_view resp) override {
    REQUIRE(replies.count(request) == 0);  // one answer to each request, never two
    replies[request] = resp;
  }
  void ProbeRedis(std::string_view) override { ++probes; }
  void UnknownForgotten() override { unknown_forgotten = true; }
  void StreamRefused(const StreamState& stream, std::string_view) override { refused.insert(stream.name); }
  void StreamAcceptedAgain(const StreamState& stream) override { refused.erase(stream.name); }

  struct TailRead {
    StreamState* stream;
    std::optional<StreamId> before;
    int64_t count;
  };
  int64_t wall_ms = 1'700'000'000'000;
  int64_t now_ms = 1'000'000;
  uint64_t slot = 0;
  std::vector<std::string> sent;
  std::vector<TailRead> tails;
  std::optional<StreamId> default_tail;
  std::deque<SpillRequest> spills;
  std::map<uint64_t, std::string> replies;
  std::set<std::string> refused;
  int probes = 0;
  bool unknown_forgotten = false;
  Router router;
};

std::vector<std::string> ArgsOf(const std::string& wire) {
  std::vector<std::string_view> args;
  REQUIRE(ParseWholeCommand(wire, &args));
  return {args.begin(), args.end()};
}

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
}  // namespace sprockets
