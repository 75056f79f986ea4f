// What the forwarder says of itself; what it does is shown by the simulation.
#include "shared/ahead/forwarder.h"

#include <string>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

/// Everything that the forwarder speaks to, which does nothing and answers as a server with this run_id would.
struct Surroundings final : ForwarderLink, JournalSource, ForwarderNotices {
  void Send(std::string_view, size_t answers) override { awaited += answers; }
  void Greeted() override {}
  void Disconnect(std::string_view) override {}
  void Unusable(std::string_view) override {}
  void ReadUp(AheadStream&, uint64_t, StreamId, StreamId) override {}
  void ReadDown(AheadStream&, uint64_t, StreamId, StreamId) override {}
  void Move(AheadStream&, std::vector<JournalRow>) override {}
  void Reject(AheadStream&, int64_t, std::string_view) override {}
  void Ready(const Incarnation&, bool, bool) override {}
  void Decided(const AheadStream&, const Placing::Counts&) override {}
  void StreamRefused(const AheadStream&, std::string_view) override {}

  void Greet(Forwarder& forwarder, const std::string& run_id) {
    const std::string info = "role:master\r\nloading:0\r\nrun_id:" + run_id + "\r\nmaster_replid:same\r\n";
    RedisAnswer answer;
    answer.kind = RedisAnswer::Kind::kText;
    answer.text = info;  // for whatever was asked
    forwarder.OnConnected();
    for (; awaited > 0 && !forwarder.ready(); --awaited) forwarder.OnAnswer(answer, {});
  }

  size_t awaited = 0;
};

TEST_CASE("what landed in another dataset is not said to be in this one, even before it is looked for") {
  Surroundings around;
  Forwarder forwarder({}, {EntryTag{1}}, &around, &around, &around);
  const StreamId last{5, 1 << 16};
  AheadStream& stream = forwarder.AddStream("s", last);
  forwarder.Restore({"s", last, last, "before", "same"});
  CHECK(forwarder.Landed(stream) == last);
  SECTION("Redis has been restarted") {
    around.Greet(forwarder, "now");
    REQUIRE(forwarder.ready());
    CHECK(forwarder.Landed(stream) == kStreamBegin);
  }
  SECTION("Redis is the one of before") {
    around.Greet(forwarder, "before");
    REQUIRE(forwarder.ready());
    CHECK(forwarder.Landed(stream) == last);
  }
}

}  // namespace
}  // namespace sprockets
