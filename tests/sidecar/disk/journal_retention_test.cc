// Which journals go, and when. One with a row that has not landed never does.
#include <catch2/catch.hpp>

#include "shared/base/clock.h"
#include "tests/sidecar/disk/journal_world.h"

namespace sprockets::testing {
namespace {

using Numbers = std::vector<int64_t>;

/// Time that only moves when it is told to.
struct HandClock final : Clock {
  int64_t now_ms = 1'700'000'001'000;
  int64_t jump_ms = 0;  // of the wall clock
  int64_t WallMs() override { return now_ms + jump_ms; }
  int64_t SteadyMs() override { return now_ms; }
  void Sleep(int64_t ms, const std::function<bool()>&) override { now_ms += ms; }
};

struct RetentionWorld {
  HandClock clock;
  ClockInPlace in_place{&clock};
  JournalWorld world;

  RetentionWorld() {
    world.options.retain_ms = 60'000;
    world.Restart();
  }
  void Pass(int64_t ms) {
    clock.now_ms += ms;
    world.Process(KeepJournalJob{});
  }
};

TEST_CASE("a journal goes when everything in it has landed long enough ago, and not before") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.SealFile("s", 1, 3);
  world.SealFile("s", 4, 6);
  of.Pass(120'000);
  CHECK(world.FileNumbers() == Numbers{1, 2});  // old, and not landed
  world.Process(world.Landed("s", 5));
  of.Pass(59'000);
  CHECK(world.FileNumbers() == Numbers{1, 2});  // landed, and Redis may forget it
  of.Pass(1'000);
  CHECK(world.FileNumbers() == Numbers{2});
  world.Process(world.Landed("s", 6));
  of.Pass(60'000);
  CHECK(world.FileNumbers().empty());
}

TEST_CASE("a wall clock that jumps removes nothing") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.SealFile("s", 1, 3);
  world.Process(world.Landed("s", 3));
  of.clock.jump_ms = 48 * 3'600'000;
  of.Pass(1'000);
  CHECK(world.FileNumbers() == Numbers{1});
  of.clock.jump_ms = -48 * 3'600'000;
  of.Pass(60'000);
  CHECK(world.FileNumbers().empty());
}

TEST_CASE("how long a journal has landed is known after a restart") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.SealFile("s", 1, 3);
  of.Pass(120'000);
  world.Process(world.Landed("s", 3));
  of.Pass(40'000);
  world.Restart();
  world.Process(RedisLifeJob{"run", "replid"});
  of.Pass(19'000);
  CHECK(world.FileNumbers() == Numbers{1});
  of.Pass(1'000);
  CHECK(world.FileNumbers().empty());
}

TEST_CASE("what Redis has lost is kept anew from when it has landed again") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.SealFile("s", 1, 3);
  world.Process(world.Landed("s", 3));
  of.Pass(59'000);
  world.Process(RedisLifeJob{"another run", "replid"});
  of.Pass(10'000);
  CHECK(world.FileNumbers() == Numbers{1});
  world.Process(world.Landed("s", 3, "another run"));
  of.Pass(59'000);
  CHECK(world.FileNumbers() == Numbers{1});
  of.Pass(1'000);
  CHECK(world.FileNumbers().empty());
}

TEST_CASE("one stream that has not landed keeps a journal, and the others behind it may go") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.Process(RequestOf("s", 1), RequestOf("t", 2), SealJob{});
  world.SealFile("s", 3, 4);
  world.Process(world.Landed("s", 4));
  of.Pass(120'000);
  CHECK(world.FileNumbers() == Numbers{1});
  world.Process(world.Landed("t", 2));
  of.Pass(60'000);
  CHECK(world.FileNumbers().empty());
}

TEST_CASE("what landed in another life of Redis does not count") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.Process(RequestOf("s", 1), RequestOf("t", 2), SealJob{});
  world.Process(world.Landed("s", 1, "run"));
  world.Process(world.Landed("t", 2, "another run"));
  of.Pass(120'000);
  CHECK(world.FileNumbers() == Numbers{1});
  world.Process(world.Landed("s", 1, "another run"));
  of.Pass(60'000);
  CHECK(world.FileNumbers().empty());
}

TEST_CASE("after a start the marks of the life before count once Redis is known to be the same") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.SealFile("s", 1, 2);
  world.SealFile("t", 3, 4);
  world.Process(world.Landed("s", 2));
  world.Restart();
  of.Pass(120'000);
  CHECK(world.FileNumbers() == Numbers{1, 2});
  world.Process(RedisLifeJob{"run", "replid"});  // nothing new need land for that
  of.Pass(1'000);
  CHECK(world.FileNumbers() == Numbers{2});
  CHECK(Must(ReadJournals(world.folder, Must(world.folder.List()))).committed.size() == 1);
}

TEST_CASE("for room landed journals go however young, the oldest first, and only then is anything refused") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.options.spill_max_bytes = 2'000'000;
  world.options.retain_ms = 1'000'000'000;
  world.Restart();
  const std::string data(100'000, 'x');
  world.SealFile("s", 1, 3, data);
  world.SealFile("s", 4, 6, data);
  world.SealFile("s", 7, 7, data);
  world.Process(world.Landed("s", 6));
  CHECK(world.FileNumbers() == Numbers{1, 2, 3});
  const auto take = [&](int64_t n) {
    of.clock.now_ms += 2'000;
    std::vector<SpillJob> jobs;
    jobs.emplace_back(RequestOf("s", n, 0, data));
    world.store->Process(jobs);
    return world.outcomes.back().kind == SpillOutcome::Kind::kSpilled;
  };
  int64_t n = 8;
  while (world.FileNumbers().front() == 1) REQUIRE(take(n++));
  CHECK(world.FileNumbers().front() == 2);
  while (world.FileNumbers().front() == 2) REQUIRE(take(n++));
  CHECK(world.FileNumbers().front() == 3);
  while (take(n)) ++n;
  CHECK(world.FileNumbers().front() == 3);  // its row has not landed
  CHECK(world.outcomes.back().why.find("what has not landed in Redis fills it") != std::string::npos);
}

TEST_CASE("the journal that says that an event was moved stays as long as one before it is there") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.Process(RequestOf("s", 1), RequestOf("t", 2), SealJob{});
  world.Process(RequestOf("s", 3, 1), SealJob{});
  world.SealFile("s", 4, 4);
  world.Process(world.Landed("s", 4));
  of.Pass(120'000);
  CHECK(world.FileNumbers() == Numbers{1, 2});
  world.Process(world.Landed("t", 2));
  of.Pass(60'000);
  CHECK(world.FileNumbers().empty());
}

TEST_CASE("a journal that is kept for another reason keeps none that moved other events") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.Process(RequestOf("s", 1), RejectJob{"s", 1, "no"});
  world.SealFile("s", 2, 2);
  world.Process(RequestOf("s", 3, 2), SealJob{});
  world.Process(world.Landed("s", 3));
  of.Pass(60'000);
  CHECK(world.FileNumbers() == Numbers{1});
}

TEST_CASE("the journal that is being written goes for room, too, once all of it has landed") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.options.spill_max_bytes = 2'000'000;
  world.Restart();
  const std::string data(100'000, 'x');
  const auto take = [&](int64_t n) {
    of.clock.now_ms += 2'000;
    std::vector<SpillJob> jobs;
    jobs.emplace_back(RequestOf("s", n, 0, data));
    world.store->Process(jobs);
    return world.outcomes.back().kind == SpillOutcome::Kind::kSpilled;
  };
  int64_t n = 1;
  while (take(n)) ++n;
  CHECK(n > 5);
  world.Process(world.Landed("s", n - 2));
  CHECK_FALSE(take(n));  // one has not
  world.Process(world.Landed("s", n - 1));
  CHECK(take(n));
}

TEST_CASE("a suspect journal goes like others, a quarantined one never") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.Process(RequestOf("s", 1));
  world.faults.commits = {CommitFault::kAppears};
  world.Process(RequestOf("s", 2), SealJob{});
  world.SealFile("s", 3, 3);
  CHECK(world.FileNumbers() == Numbers{1, 2, 3});
  Must(world.folder.MarkQuarantined(3));
  world.Process(world.Landed("s", 1));
  of.Pass(120'000);
  CHECK(world.FileNumbers() == Numbers{2, 3});
  world.Process(world.Landed("s", 3));
  of.Pass(60'000);
  CHECK(world.FileNumbers() == Numbers{3});
}

TEST_CASE("nothing goes while a drainer is at work in the folder") {
  RetentionWorld of;
  JournalWorld& world = of.world;
  world.SealFile("s", 1, 1);
  world.Process(world.Landed("s", 1));
  {
    const FileLock lock = Must(world.folder.LockForDraining(0));
    of.Pass(120'000);
    CHECK(world.FileNumbers() == Numbers{1});
  }
  of.Pass(1'000);
  CHECK(world.FileNumbers().empty());
}

}  // namespace
}  // namespace sprockets::testing
