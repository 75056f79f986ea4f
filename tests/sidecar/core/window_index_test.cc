// The table under the window against a plain list that does the same.
#include "sidecar/core/window_index.h"

#include <algorithm>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

EventIdentity Id(uint64_t who, uint64_t what) {
  return {{who, 7}, {what, 7}};
}

TEST_CASE("the table finds what a plain list finds, whatever was added and erased before") {
  std::mt19937 random(20);
  WindowIndex index;
  std::vector<WindowEntry*> list;
  const auto draw = [&](uint64_t below) { return std::uniform_int_distribution<uint64_t>(0, below - 1)(random); };
  for (int i = 0; i < 60'000; ++i) {
    // It grows past several sizes of the table, then shrinks and grows again. Many have one bucket, and some one `who`.
    const bool grows = i / 15'000 % 2 == 0;
    if (list.empty() || draw(10) < (grows ? 7u : 3u)) {
      list.push_back(index.Insert(Id(draw(3'000) * 64, draw(3))));
    } else {
      const size_t at = draw(list.size());
      index.Erase(list[at]);
      list[at] = list.back();
      list.pop_back();
    }
    REQUIRE(index.size() == list.size());
    if (i % 50 != 0) continue;
    const EventIdentity wanted = Id(draw(3'000) * 64, draw(3));
    const auto is_wanted = [&](const WindowEntry& entry) { return entry.identity == wanted; };
    const WindowEntry* found = index.Find(wanted.who, is_wanted);
    const bool listed =
        std::any_of(list.begin(), list.end(), [&](const WindowEntry* each) { return is_wanted(*each); });
    REQUIRE((found != nullptr) == listed);
    if (found != nullptr) REQUIRE(is_wanted(*found));
  }
}

TEST_CASE("a place that is used again has nothing of the entry before it") {
  WindowIndex index;
  WindowEntry* first = index.Insert(Id(1, 1));
  first->state = WindowEntry::State::kUnknown;
  first->was_unknown = true;
  first->waiters = std::make_unique<std::vector<ReplyTo>>();
  index.Erase(first);
  const WindowEntry* again = index.Insert(Id(2, 2));
  CHECK(again == first);
  CHECK(again->state == WindowEntry::State::kPending);
  CHECK_FALSE(again->was_unknown);
  CHECK(again->waiters == nullptr);
}

TEST_CASE("of several entries of one event the newest is found first, also after the table has grown") {
  WindowIndex index;
  index.Insert(Id(5, 1));
  const WindowEntry* newest = index.Insert(Id(5, 2));
  for (uint64_t n = 0; n < 5'000; ++n) index.Insert(Id(100 + n, 1));
  CHECK(index.Find({5, 7}, [](const WindowEntry&) { return true; }) == newest);
}

}  // namespace
}  // namespace sprockets
