// What the window keeps, and what it lets go first.
#include "sidecar/core/window.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

EventIdentity Id(uint64_t n) {
  return {{n, 1}, {n, 2}};
}

Window::Restored Landed(uint64_t n, int64_t when_ms) {
  Window::Restored restored{Id(n), {static_cast<uint64_t>(when_ms), 0}};
  restored.when_ms = when_ms;
  return restored;
}

Window::Restored Spilled(uint64_t n, int64_t when_ms) {
  Window::Restored restored{Id(n), kStreamBegin, static_cast<int64_t>(n)};
  restored.when_ms = when_ms;
  return restored;
}

TEST_CASE("of what earlier lives left the newest is kept, whichever is read first") {
  Window window(3);
  SECTION("old ones first") {
    for (uint64_t n = 1; n <= 10; ++n) window.Restore(Spilled(n, 100 + static_cast<int64_t>(n)));
    for (uint64_t n = 20; n > 18; --n) window.Restore(Landed(n, 200 + static_cast<int64_t>(n)));
  }
  SECTION("new ones first") {
    for (uint64_t n = 20; n > 18; --n) window.Restore(Landed(n, 200 + static_cast<int64_t>(n)));
    for (uint64_t n = 10; n >= 1; --n) window.Restore(Spilled(n, 100 + static_cast<int64_t>(n)));
  }
  CHECK(window.size() == 3);
  REQUIRE(window.Find(Id(20)) != nullptr);
  CHECK(window.Find(Id(20))->id == StreamId{220, 0});
  CHECK(window.Find(Id(19)) != nullptr);
  REQUIRE(window.Find(Id(10)) != nullptr);
  CHECK(window.Find(Id(10))->ticket == 10);
  CHECK_FALSE(window.WouldKeep(109));
  CHECK(window.WouldKeep(111));
}

TEST_CASE("an event of this life is newer than all that earlier ones left") {
  Window window(2);
  window.SetLanded(window.AddPending(Id(1)), {5, 0});
  window.Restore(Landed(2, 1'000'000));
  window.SetSpilled(window.AddPending(Id(3)), 7);
  CHECK(window.Find(Id(1)) != nullptr);
  CHECK(window.Find(Id(2)) == nullptr);
  CHECK(window.Find(Id(3)) != nullptr);
  CHECK_FALSE(window.WouldKeep(2'000'000));
  window.SetLanded(window.AddPending(Id(4)), {6, 0});
  CHECK(window.Find(Id(1)) == nullptr);
}

TEST_CASE("an event whose id we made gives its place to one with a client's") {
  Window window(1);
  Window::Restored made = Landed(1, 500);
  made.clients_id = false;
  window.Restore(made);
  CHECK(window.WouldKeep(3));
  window.Restore(Landed(2, 3));
  CHECK(window.Find(Id(1)) == nullptr);
  CHECK(window.Find(Id(2)) != nullptr);
}

TEST_CASE("what may still be unanswered stays, however many newer ones come") {
  Window window(2);
  Window::Restored unanswered = Landed(1, 10);
  unanswered.maybe_unanswered = true;
  window.Restore(unanswered);
  for (uint64_t n = 2; n < 100; ++n) window.Restore(Landed(n, 100));
  for (uint64_t n = 100; n < 200; ++n) window.SetLanded(window.AddPending(Id(n)), {n, 0});
  CHECK(window.size() == 3);
  REQUIRE(window.Find(Id(1)) != nullptr);
  CHECK(window.Find(Id(1))->id == StreamId{10, 0});
}

TEST_CASE("a copy that waits for the stream's tail is found in it by a full window, too") {
  Window window(1);
  window.SetLanded(window.AddPending(Id(1)), {5, 0});
  Window::Entry* waiting = window.AddPending(Id(2));
  window.Restore(Landed(2, 3));
  CHECK(waiting->landed_in_tail);
  CHECK(waiting->id == StreamId{3, 0});
}

TEST_CASE("unknown ones are kept up to their limit, and it is said when one is forgotten") {
  Window window(1, /*most_unknown=*/2);
  CHECK(window.SetUnknown(window.AddPending(Id(1)), {1, 0}));
  CHECK(window.AddUnknown(Id(2), {2, 0}));
  CHECK(window.AddUnknown(Id(2), {3, 0}));
  for (uint64_t n = 10; n < 20; ++n) window.SetLanded(window.AddPending(Id(n)), {n, 0});
  CHECK(window.Find(Id(1)) != nullptr);
  CHECK_FALSE(window.SetUnknown(window.AddPending(Id(3)), {3, 0}));
  CHECK(window.Find(Id(1)) == nullptr);
  CHECK(window.Find(Id(2))->id == StreamId{2, 0});
  window.SetPendingAgain(window.Find(Id(2)));
  CHECK(window.unknown() == 1);
  CHECK(window.Find(Id(2))->was_unknown);
}

}  // namespace
}  // namespace sprockets
