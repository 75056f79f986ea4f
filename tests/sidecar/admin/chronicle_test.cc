// What happened, in words, from one snapshot to the next.
#include "sidecar/admin/chronicle.h"

#include <catch2/catch.hpp>

#include "tests/sidecar/admin/snapshots.h"

namespace sprockets {
namespace {

struct Told {
  Chronicle chronicle;
  Snapshot now = WellSnapshot();

  Told() { chronicle.Observe(now); }
  /// What is new after a second.
  std::string Next() {
    const size_t before = chronicle.notes().size();
    now.now.ms += 1'000;
    chronicle.Observe(now);
    std::string all;
    const auto notes = chronicle.notes();
    for (size_t i = 0; i + before < notes.size(); ++i) all += notes[i].text + "|";
    return all;
  }
};

TEST_CASE("only changes are told") {
  Told told;
  CHECK(told.Next().empty());
  told.now.delivery.redis.connected = told.now.delivery.redis.takes_events = false;
  told.now.delivery.redis.last_error = "Connection refused";
  CHECK(told.Next() == "Redis was lost: Connection refused.|");
  CHECK(told.Next().empty());
  told.now.spill.rows = 3;
  CHECK(told.Next() == "Events wait on disk.|");
  told.now.delivery.redis.connected = told.now.delivery.redis.takes_events = true;
  CHECK(told.Next() == "Redis is connected.|");
  told.now.spill.rows = 0;
  told.now.spill.states.drained = 1;
  CHECK(told.Next() == "1 spill file(s) drained.|No event waits on disk any more.|");
  told.now.probes.refused = {{"s\n", "WRONGTYPE"}};
  CHECK(told.Next() == "Redis refuses the stream s\\n: WRONGTYPE.|");
  told.now.probes.refused.clear();
  CHECK(told.Next() == "Redis takes the stream s\\n again.|");
  told.now.spill.writable = false;
  told.now.spill.write_error = "no space";
  CHECK(told.Next() == "The disk takes nothing: no space.|");
}

TEST_CASE("the history has a point every five seconds of ten minutes, and neither it nor the notes grow for ever") {
  Told told;
  for (int i = 0; i < 3'000; ++i) {
    told.now.delivery.redis.connected = !told.now.delivery.redis.connected;
    told.Next();
  }
  const auto history = told.chronicle.history();
  CHECK(history.size() == Chronicle::kPoints);
  CHECK(history.back().when_ms - history.front().when_ms ==
        static_cast<int64_t>(Chronicle::kPoints - 1) * Chronicle::kEveryMs);
  CHECK(told.chronicle.notes().size() == Chronicle::kNotes);
}

}  // namespace
}  // namespace sprockets
