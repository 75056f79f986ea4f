// The decisions of settling, over every small case.
#include "shared/redis/settle.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

EventIdentity Identity(uint64_t who, uint64_t what = 0) {
  return {{who, who}, {what, what}};
}

StreamFacts Facts(uint64_t first, uint64_t last, uint64_t length) {
  StreamFacts facts;
  facts.exists = true;
  facts.first_id = {first, 0};
  facts.last_id = {last, 0};
  facts.length = length;
  facts.entries_added = length;
  return facts;
}

/// A stream that lived through XADDs, trims, XDELs and a loss of everything, so that what the facts say can be held
/// against what really happened.
struct ModelStream {
  std::vector<std::pair<uint64_t, int>> entries;  // id, event
  uint64_t last_id = 0;
  uint64_t added = 0;
  uint64_t max_deleted = 0;

  void Add(uint64_t id, int event) {
    entries.emplace_back(id, event);
    last_id = id;
    ++added;
  }
  void TrimFirst() {
    if (!entries.empty()) entries.erase(entries.begin());
  }
  void Delete(size_t at) {
    if (at >= entries.size()) return;
    max_deleted = std::max(max_deleted, entries[at].first);
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at));
  }
  StreamFacts Facts() const {
    StreamFacts facts;
    facts.exists = added > 0;
    facts.last_id = {last_id, 0};
    facts.first_id = {entries.empty() ? 0 : entries.front().first, 0};
    facts.max_deleted_id = {max_deleted, 0};
    facts.length = entries.size();
    facts.entries_added = added;
    return facts;
  }
  bool Holds(int event, StreamId from) const {
    for (const auto& [id, other] : entries) {
      if (other == event && StreamId{id, 0} > from) return true;
    }
    return false;
  }
};

TEST_CASE("absence is never called proof when the event was there and was removed") {
  constexpr int kEvent = 7;
  constexpr StreamId kAnchor{2, 0};
  // Two entries, the anchor among them, then the event in doubt or not, then two more; then any three removals of seven
  // kinds.
  for (const bool landed : {false, true}) {
    for (int removals = 0; removals < 7 * 7 * 7; ++removals) {
      ModelStream stream;
      stream.Add(1, 0);
      stream.Add(2, 0);
      if (landed) stream.Add(3, kEvent);
      stream.Add(4, 0);
      stream.Add(5, 0);
      for (int left = removals, i = 0; i < 3; ++i, left /= 7) {
        const int kind = left % 7;
        if (kind == 1) stream.TrimFirst();
        if (kind >= 2) stream.Delete(static_cast<size_t>(kind - 2));
      }
      const StreamFacts facts = stream.Facts();
      const bool found = stream.Holds(kEvent, SearchFrom(kAnchor, false, facts));
      const bool proof = AbsenceIsProof(kAnchor, facts, {});
      INFO("landed " << landed << ", removals " << removals);
      if (landed && !found) CHECK_FALSE(proof);
    }
  }
}

TEST_CASE("an untouched stream proves absence") {
  CHECK(AbsenceIsProof({2, 0}, Facts(1, 9, 9), {}));
  CHECK(AbsenceIsProof(kStreamBegin, Facts(1, 9, 9), {}));
  CHECK(AbsenceIsProof(kStreamBegin, StreamFacts{}, {}));
}

TEST_CASE("a trimmed stream proves absence only while an entry at or before the anchor is left") {
  StreamFacts facts = Facts(5, 9, 5);
  facts.entries_added = 9;
  CHECK(AbsenceIsProof({5, 0}, facts, {}));
  CHECK(AbsenceIsProof({6, 0}, facts, {}));
  CHECK_FALSE(AbsenceIsProof({4, 0}, facts, {}));
  CHECK_FALSE(AbsenceIsProof(kStreamBegin, facts, {}));
}

TEST_CASE("a stream that is emptied by trimming proves nothing") {
  StreamFacts facts = Facts(0, 9, 0);
  facts.entries_added = 9;
  CHECK_FALSE(AbsenceIsProof({5, 0}, facts, {}));
}

TEST_CASE("an XDEL behind the anchor takes the proof away, one before it does not") {
  StreamFacts facts = Facts(1, 9, 8);
  facts.entries_added = 9;
  facts.max_deleted_id = {5, 0};
  CHECK_FALSE(AbsenceIsProof({4, 0}, facts, {}));
  CHECK(AbsenceIsProof({5, 0}, facts, {}));
}

TEST_CASE("a server that does not say what was removed never proves absence") {
  StreamFacts facts = Facts(1, 9, 9);
  facts.complete = false;
  CHECK_FALSE(AbsenceIsProof({2, 0}, facts, {}));
}

TEST_CASE("an incomplete fence never proves absence") {
  CHECK_FALSE(AbsenceIsProof({2, 0}, Facts(1, 9, 9), FenceState{false}));
}

TEST_CASE("a stream that began again, or is not there, proves nothing about what was seen before") {
  const StreamFacts began_again = Facts(1, 3, 3);
  CHECK(SearchFrom({9, 0}, false, began_again) == kStreamBegin);
  CHECK_FALSE(AbsenceIsProof({9, 0}, began_again, {}));
  CHECK_FALSE(AbsenceIsProof({9, 0}, StreamFacts{}, {}));
  // Deleted and begun again, as Redis makes ids: all of them are above the anchor, and none was removed.
  const StreamFacts later = Facts(20, 22, 3);
  CHECK(SearchFrom({9, 0}, false, later) == StreamId{9, 0});
  CHECK_FALSE(AbsenceIsProof({9, 0}, later, {}));
}

TEST_CASE("an anchor of 0-0 proves by the count of what was added, unless entries were seen that are not there") {
  CHECK(AbsenceIsProof(kStreamBegin, StreamFacts{}, {}));
  CHECK(AbsenceIsProof(kStreamBegin, Facts(20, 22, 3), {}));
  CHECK(AbsenceIsProof(kStreamBegin, Facts(20, 22, 3), {}, {20, 0}));
  CHECK(AbsenceIsProof(kStreamBegin, Facts(20, 22, 3), {}, {22, 0}));
  StreamFacts trimmed = Facts(21, 22, 2);
  trimmed.entries_added = 3;
  CHECK_FALSE(AbsenceIsProof(kStreamBegin, trimmed, {}));
  SECTION("the key is missing") {
    CHECK_FALSE(AbsenceIsProof(kStreamBegin, StreamFacts{}, {}, {9, 0}));
  }
  SECTION("another stream of the same name") {
    CHECK_FALSE(AbsenceIsProof(kStreamBegin, Facts(20, 22, 3), {}, {9, 0}));
  }
  SECTION("a stream that lost its end") {
    CHECK_FALSE(AbsenceIsProof(kStreamBegin, Facts(20, 22, 3), {}, {23, 0}));
  }
}

TEST_CASE("a stream that has lost its end proves nothing, also where the anchor is left") {
  CHECK(AbsenceIsProof({5, 0}, Facts(1, 9, 9), {}, {9, 0}));
  CHECK_FALSE(AbsenceIsProof({5, 0}, Facts(1, 9, 9), {}, {10, 0}));
}

/// As Redis gives ids: a stream that is deleted or renamed away and begins again has none below the clock.
TEST_CASE("absence is never called proof when the stream was removed with the event, however it goes on") {
  for (const uint64_t anchor : {uint64_t{1}, uint64_t{2}}) {
    for (int later_entries = 0; later_entries <= 3; ++later_entries) {
      for (int removals = 0; removals < 4 * 4; ++removals) {
        ModelStream again;
        for (int i = 0; i < later_entries; ++i) again.Add(10 + static_cast<uint64_t>(i), 0);
        for (int left = removals, i = 0; i < 2; ++i, left /= 4) {
          if (left % 4 == 1) again.TrimFirst();
          if (left % 4 >= 2) again.Delete(static_cast<size_t>(left % 4 - 2));
        }
        INFO("anchor " << anchor << ", " << later_entries << " later, removals " << removals);
        CHECK_FALSE(AbsenceIsProof({anchor, 0}, again.Facts(), {}));
        CHECK_FALSE(AbsenceIsProof(kStreamBegin, again.Facts(), {}, {anchor, 0}));
      }
    }
  }
}

TEST_CASE("the search begins at the anchor, or at the very beginning if the server lives another life") {
  const StreamFacts facts = Facts(1, 9, 9);
  CHECK(SearchFrom({4, 2}, false, facts) == StreamId{4, 2});
  CHECK(SearchFrom({9, 0}, false, facts) == StreamId{9, 0});
  CHECK(SearchFrom({4, 2}, true, facts) == kStreamBegin);
  CHECK(SearchFrom({4, 2}, false, StreamFacts{}) == kStreamBegin);
}

TEST_CASE("a settlement is all found when every wanted event was seen, once or more") {
  Settlement settlement;
  CHECK(settlement.all_found());
  settlement.Want(Identity(1));
  settlement.Want(Identity(2));
  settlement.Want(Identity(2));
  CHECK(settlement.size() == 2);
  settlement.SawEntry(Identity(2));
  settlement.SawEntry(Identity(2));
  settlement.SawEntry(Identity(3));
  CHECK_FALSE(settlement.all_found());
  CHECK(settlement.Judge(Identity(1)) == Settlement::Verdict::kMissing);
  CHECK(settlement.Judge(Identity(2)) == Settlement::Verdict::kFound);
  settlement.SawEntry(Identity(1));
  CHECK(settlement.all_found());
}

TEST_CASE("what is wanted later is looked for from its own anchor, and nothing is read twice without need") {
  Settlement settlement;
  settlement.Want(Identity(1), {5, 0});
  settlement.Want(Identity(2), {3, 0});
  CHECK(settlement.begin() == StreamId{3, 0});
  settlement.Searched({20, 0});
  CHECK(settlement.begin() == StreamId{20, 0});
  CHECK(settlement.bound() == StreamId{20, 0});
  settlement.Want(Identity(1), {5, 0});
  settlement.Want(Identity(1), {6, 0});
  CHECK(settlement.begin() == StreamId{20, 0});
  settlement.Want(Identity(3), {7, 0});
  CHECK(settlement.begin() == StreamId{7, 0});
  settlement.Searched({30, 0});
  settlement.Want(Identity(1), {4, 0});
  CHECK(settlement.begin() == StreamId{4, 0});
  settlement.Searched({30, 0});
  settlement.SawEntry(Identity(2));
  settlement.Want(Identity(2), kStreamBegin);
  CHECK(settlement.begin() == StreamId{30, 0});
  settlement.Want(Identity(4), {40, 0});
  CHECK(settlement.begin() == StreamId{30, 0});
}

TEST_CASE("the same id with another payload is not found") {
  Settlement settlement;
  settlement.Want(Identity(1, 1));
  settlement.SawEntry(Identity(1, 2));
  CHECK(settlement.Judge(Identity(1, 1)) == Settlement::Verdict::kMissing);
}

TEST_CASE("what landed since the search is found by a second row of the same event") {
  Settlement settlement;
  settlement.Want(Identity(1));
  settlement.Landed(Identity(1));
  settlement.Landed(Identity(8));
  CHECK(settlement.Judge(Identity(1)) == Settlement::Verdict::kFound);
  CHECK(settlement.size() == 1);
}

}  // namespace
}  // namespace sprockets
