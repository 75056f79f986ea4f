// --ack disk and COMMITs that fail: no event is ever told another id, none is answered before it is stored, and nothing
// overtakes what is in doubt.
#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/sidecar/disk/journal_world.h"

namespace sprockets::testing {
namespace {

using Kind = SpillOutcome::Kind;
using Rows = std::vector<std::pair<int64_t, StreamId>>;

TEST_CASE("rows of a failed COMMIT are committed under the same tickets and ids, and answered as if nothing happened") {
  JournalWorld world;
  const auto fault = GENERATE(CommitFault::kIsLost, CommitFault::kAppears);
  world.Process(RequestOf("s", 1));
  world.faults.commits = {fault};
  world.Process(RequestOf("s", 2), RequestOf("t", 3));
  CHECK(world.order == std::vector<std::string>{"spilled", "spilled", "spilled"});
  CHECK(world.outcomes.at(1).ticket == 2);
  CHECK(world.outcomes.at(2).ticket == 3);
  CHECK(world.outcomes.at(2).request.id == EntryOf(3));
  world.Process(RequestOf("s", 4), SealJob{});
  Rows rows = world.Rows();
  std::sort(rows.begin(), rows.end());
  const bool twice = fault == CommitFault::kAppears;
  CHECK(rows.size() == (twice ? 6 : 4));
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  CHECK(rows == Rows{{1, EntryOf(1)}, {2, EntryOf(2)}, {3, EntryOf(3)}, {4, EntryOf(4)}});
  const auto files = Must(world.folder.List());
  REQUIRE(files.size() == 2);
  CHECK(files[0].suspect);
  CHECK_FALSE(files[1].suspect);
}

TEST_CASE(
    "while COMMITs fail everything else is refused, the loop is told once, and the rows are tried with each job") {
  JournalWorld world;
  world.Process(RequestOf("s", 1));
  world.order.clear();
  world.faults.every_commit = true;
  world.Process(RequestOf("s", 2), RequestOf("s", 3));
  CHECK(world.order == std::vector<std::string>{"blocked"});
  CHECK(world.blocked.back().why == "commit");
  world.Process(RequestOf("s", 4));
  world.Process(KeepJournalJob{});
  CHECK(world.order == std::vector<std::string>{"blocked", "refused"});
  CHECK(world.outcomes.back().why == "the journal cannot be written: commit");
  CHECK(world.outcomes.back().request.id == EntryOf(4));
  world.faults.every_commit = false;
  world.Process(KeepJournalJob{});
  CHECK(world.order == std::vector<std::string>{"blocked", "refused", "spilled", "spilled", "goes on"});
  CHECK(world.outcomes.back().ticket == 3);
  world.Process(RequestOf("s", 5), SealJob{});
  CHECK(world.outcomes.back().kind == Kind::kSpilled);
  CHECK(world.Rows() == Rows{{1, EntryOf(1)}, {2, EntryOf(2)}, {3, EntryOf(3)}, {4, EntryOf(5)}});
}

TEST_CASE("however often a COMMIT fails again, it leaves no files behind") {
  JournalWorld world;
  world.Process(RequestOf("s", 1));
  world.faults.every_commit = true;
  for (int i = 0; i < 20; ++i) world.Process(i == 0 ? SpillJob(RequestOf("s", 2)) : SpillJob(KeepJournalJob{}));
  CHECK(world.FileNumbers() == std::vector<int64_t>{1});
  world.faults.every_commit = false;
  world.faults.create = true;  // a full disk, then
  world.Process(KeepJournalJob{});
  CHECK(world.order == std::vector<std::string>{"spilled", "blocked"});
  world.faults.create = false;
  world.Process(KeepJournalJob{});
  CHECK(world.order == std::vector<std::string>{"spilled", "blocked", "spilled", "goes on"});
  CHECK(world.FileNumbers() == std::vector<int64_t>{1, 2});
}

TEST_CASE("an event in doubt that a kill leaves there counts at the next start, and one that is not there is gone") {
  JournalWorld world;
  const auto fault = GENERATE(CommitFault::kIsLost, CommitFault::kAppears);
  world.Process(RequestOf("s", 1));
  world.faults.every_commit = true;
  world.faults.commits = {fault};
  world.Process(RequestOf("s", 2));
  world.Kill();
  world.faults = {};
  const JournalContents contents = Must(ReadJournals(world.folder, Must(world.folder.List())));
  CHECK(contents.committed.at("s") == EntryOf(fault == CommitFault::kAppears ? 2 : 1));
  world.Start();
  world.Process(RequestOf("s", 3));
  CHECK(world.outcomes.back().kind == Kind::kSpilled);
  CHECK(world.outcomes.back().ticket > 2);
}

TEST_CASE("a stop tries once more, and then says that nobody knows") {
  JournalWorld world;
  world.faults.every_commit = true;
  world.Process(RequestOf("s", 1));
  SECTION("in vain") {
    world.store->Close(true);
    CHECK(world.order == std::vector<std::string>{"blocked", "unknown"});
  }
  SECTION("with success") {
    world.faults.every_commit = false;
    world.store->Close(true);
    CHECK(world.order == std::vector<std::string>{"blocked", "spilled", "goes on"});
    CHECK(world.Rows() == Rows{{1, EntryOf(1)}});
  }
}

TEST_CASE("a failure before COMMIT is a refusal, and stores nothing") {
  JournalWorld world;
  world.Process(RequestOf("s", 1));
  world.faults.free_bytes = 0;
  world.Process(RequestOf("s", 2));
  world.faults.free_bytes.reset();
  CHECK(world.order == std::vector<std::string>{"spilled", "refused"});
  world.Process(RequestOf("s", 3), SealJob{});
  CHECK(world.Rows() == Rows{{1, EntryOf(1)}, {2, EntryOf(3)}});
}

TEST_CASE("a moved event waits for room, its stream with it, and others do not wait") {
  JournalWorld world;
  world.options.most_doubt_bytes = 0;
  world.Restart();
  world.Process(RequestOf("s", 1), RequestOf("t", 2));
  world.order.clear();
  world.faults.free_bytes = 0;
  world.Process(RequestOf("s", 3, 1), RequestOf("s", 4));
  CHECK(world.order == std::vector<std::string>{"refused"});  // event 4
  world.Process(KeepJournalJob{});
  CHECK(world.order.size() == 1);
  SECTION("there is room again") {
    world.faults.free_bytes.reset();
    world.Process(RequestOf("s", 5), SealJob{});
    CHECK(world.order == std::vector<std::string>{"refused", "spilled", "spilled"});
    CHECK(world.outcomes.at(3).request.origin == 1);
    CHECK(world.outcomes.at(3).ticket == 3);
    CHECK(world.outcomes.at(4).ticket == 4);
  }
  SECTION("there is room for small events only") {
    // Room for two rows and what is kept free, not for the moved ones together with those that come now.
    world.Process(RequestOf("s", 6, 2, std::string(100'000, 'x')));
    world.faults.free_bytes = (1 << 20) + 50'000;
    world.Process(RequestOf("s", 7), RequestOf("t", 8));
    CHECK(world.order == std::vector<std::string>{"refused", "refused", "spilled"});
    CHECK(world.outcomes.back().request.id == EntryOf(8));
  }
  SECTION("the sidecar stops") {
    world.store->Close(true);
    CHECK(world.order == std::vector<std::string>{"refused", "refused"});
  }
}

TEST_CASE("a moved event passes the quota, which would have no room for it until it has landed") {
  JournalWorld world;
  world.Process(RequestOf("s", 1));
  world.options.spill_max_bytes = 1;
  world.Restart();
  world.order.clear();
  world.Process(RequestOf("s", 2), RequestOf("s", 3, 1), RequestOf("s", 4));
  CHECK(world.order == std::vector<std::string>{"refused", "refused", "spilled"});
  CHECK(world.outcomes.back().request.id == EntryOf(3));
  world.Process(SealJob{});
  REQUIRE(world.Rows().size() == 2);
  CHECK(world.Rows().back().second == EntryOf(3));
}

TEST_CASE("a moved event whose COMMIT fails is committed again like others") {
  JournalWorld world;
  world.Process(RequestOf("s", 1));
  world.faults.every_commit = true;
  world.Process(RequestOf("s", 2, 1));
  world.Process(RequestOf("s", 3, 1));
  CHECK(world.order == std::vector<std::string>{"spilled", "blocked"});
  world.faults.every_commit = false;
  world.Process(SealJob{});
  CHECK(world.order == std::vector<std::string>{"spilled", "blocked", "spilled", "spilled", "goes on"});
  CHECK(world.Rows() == Rows{{1, EntryOf(1)}, {2, EntryOf(2)}, {3, EntryOf(3)}});
}

TEST_CASE("as long as a file that is distrusted has no marker, nothing is accepted") {
  JournalWorld world;
  world.Process(RequestOf("s", 1));
  world.faults.commits = {CommitFault::kIsLost};
  world.faults.marker = true;
  world.Process(RequestOf("s", 2));
  world.Process(RequestOf("s", 3));
  CHECK(world.order == std::vector<std::string>{"spilled", "blocked", "refused"});
  world.faults.marker = false;
  world.Process(KeepJournalJob{});
  CHECK(world.order == std::vector<std::string>{"spilled", "blocked", "refused", "spilled", "goes on"});
}

TEST_CASE("marks that cannot be noted only lag, and nothing else waits for them") {
  JournalWorld world;
  const auto noted = [&] {
    world.Kill();
    const LandedMarks marks = Must(StateFile::OpenExisting(world.folder)).landed();
    world.Start();
    return marks.empty() ? kStreamBegin : marks.at("s").landed;
  };
  world.faults.state = true;
  world.Process(RequestOf("s", 1), world.Landed("s", 1), RequestOf("s", 2), world.Landed("s", 2));
  CHECK(world.order == std::vector<std::string>{"spilled", "spilled"});
  world.faults.state = false;
  CHECK(noted() == kStreamBegin);
  world.Process(world.Landed("s", 2));
  CHECK(noted() == EntryOf(2));
}

}  // namespace
}  // namespace sprockets::testing
