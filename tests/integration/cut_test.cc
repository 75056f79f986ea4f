// The network ends a connection to Redis at every byte of what passes over it, one after the other.
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/redis/resp.h"
#include "tests/harness/careful_client.h"
#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

Event EventOf(const std::string& stream, size_t number) {
  const std::string id = "E" + std::to_string(number);
  return {.stream = stream, .event_id = id, .fields = {"n", std::to_string(number), "event_id", id}};
}

size_t WireBytes(const Command& command) {
  std::string wire;
  AppendCommand(wire, std::vector<std::string_view>(command.begin(), command.end()));
  return wire.size();
}

constexpr size_t kDrainEvery = 16;  // cuts: each leaves a spill file, which each later start would read

void DrainAllProven(const Stack& stack) {
  const DrainResult drained = stack.Drain({"--keep", "0"});
  INFO(drained.err << drained.summary);
  REQUIRE(drained.exit_code == 0);
  REQUIRE(drained.Count("unproven") == 0);
}

// One event a byte, until an event passes before its connection is cut. Returns how often it was cut.
size_t CutAtEachByte(Proxy::Direction direction) {
  Stack stack({.through_proxy = true});
  Ledger ledger;
  CarefulClient client(stack.sidecar.socket_path(), ledger);
  size_t cuts = 0;
  for (bool was_cut = true; was_cut; ++cuts) {
    stack.sidecar.AwaitBreaker("closed");
    stack.sidecar.AwaitFolderRead();
    stack.proxy->CutAfter(direction, cuts);
    // A stream of its own, so that what the sidecar reads of it before the event is not longer each time.
    const Event event = EventOf("stream-" + std::to_string(cuts), cuts);
    const CarefulClient::Counts counts = client.Send({&event, 1});
    was_cut = stack.proxy->TakeCut();
    INFO("after " << cuts << " bytes");
    REQUIRE(counts.spilled == (was_cut ? 1 : 0));
    REQUIRE(counts.landed == (was_cut ? 0 : 1));
    // Where one connection after the other breaks, each next try waits longer; a new life begins anew.
    REQUIRE(stack.sidecar.Terminate() == 0);
    stack.sidecar.Start();
    if (cuts % kDrainEvery == 0) DrainAllProven(stack);
  }
  stack.sidecar.AwaitBreaker("closed");
  DrainAllProven(stack);
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
  return cuts - 1;
}

TEST_CASE("a connection that is cut at any byte of a command leaves its event in the stream once", "[cut]") {
  CHECK(CutAtEachByte(Proxy::Direction::kToRedis) >= WireBytes(XaddOf(EventOf("stream-1", 1))));
}

TEST_CASE("a connection that is cut at any byte of a reply leaves the event in the stream once", "[cut]") {
  CHECK(CutAtEachByte(Proxy::Direction::kToClient) >= std::string("$15\r\n1700000000000-0\r\n").size());
}

}  // namespace
}  // namespace sprockets::harness
