// Ids that nobody else makes, and that only go on.
#include "shared/ahead/entry_id.h"

#include <limits>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

constexpr EntryTag kTag = 7;
constexpr EntryTag kOther = 8;

TEST_CASE("an entry id is ours by its tag, and others' ids never are") {
  const std::vector<EntryTag> tags = {kTag, kMostEntryTag};
  CHECK(IsOurs(*NextEntryId(kTag, {1000, 0}, 1000), tags));
  CHECK(IsOurs(*NextEntryId(kMostEntryTag, {1000, 0}, 1000), tags));
  CHECK(!IsOurs(*NextEntryId(kOther, {1000, 0}, 1000), tags));
  // What `XADD *` makes: a millisecond's first id, and the one behind the top.
  CHECK(!IsOurs({1000, 0}, tags));
  StreamId next = *NextEntryId(kTag, {1000, 0}, 1000);
  for (int i = 0; i < 70'000; ++i) {
    ++next.seq;
    if (i == 65'535) continue;  // so many in one millisecond reach the next of ours: XADD takes 65 ns at the least
    REQUIRE(!IsOurs(next, tags));
  }
  CHECK(!IsOurs({1000, 1}, tags));
  CHECK(!IsOurs({1000, uint64_t{kTag} << 32}, tags));
  CHECK(!IsOurs({1000, (uint64_t{kMostEntryTag} + 1) << 32 | 1u << 16}, tags));
}

TEST_CASE("an entry id is above its floor, whatever the clock does") {
  std::minstd_rand random(3);
  StreamId floor{1000, 0};
  for (int i = 0; i < 200'000; ++i) {
    const uint64_t ms = 900 + random() % 300;
    const EntryTag tag = random() % 100 == 0 ? kOther : kTag;
    const StreamId id = *NextEntryId(tag, floor, ms);
    REQUIRE(id > floor);
    REQUIRE(id.ms >= ms);
    REQUIRE(TagOf(id) == tag);
    REQUIRE(id.seq < 1ull << 53);
    floor = id;
  }
}

TEST_CASE("a full millisecond is followed by the next one") {
  StreamId id = *NextEntryId(kTag, {0, 0}, 5);
  for (int i = 1; i < 65'535; ++i) id = *NextEntryId(kTag, id, 5);
  CHECK(id.ms == 5);
  CHECK(NextEntryId(kTag, id, 5)->ms == 6);
}

TEST_CASE("behind the last id of all there is none") {
  constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();
  CHECK(!NextEntryId(kTag, {kLast, kLast}, 5));
  CHECK(NextEntryId(kTag, {kLast, 0}, 5));
}

TEST_CASE("ids of one tag and one millisecond are neighbours") {
  const StreamId id = *NextEntryId(kTag, {1000, 0}, 1000);
  CHECK(AreNeighbours(id, *NextEntryId(kTag, id, 1000)));
  CHECK(!AreNeighbours(id, *NextEntryId(kTag, id, 1001)));
  CHECK(!AreNeighbours(id, *NextEntryId(kOther, id, 1000)));
}

}  // namespace
}  // namespace sprockets
