// What a start knows of its journals before it has read their rows.
#include "shared/journal/journal_contents.h"

#include <chrono>

#include <catch2/catch.hpp>

#include "sidecar/core/stream_state.h"
#include "tests/sidecar/disk/journal_world.h"

namespace sprockets::testing {
namespace {

TEST_CASE("a start knows the last id of each stream, what was moved, and what each file holds") {
  JournalWorld world;
  world.Process(RequestOf("s", 1), RequestOf("t", 2), SealJob{});
  world.Process(RequestOf("s", 3, 1), RequestOf("s", 4), SealJob{});
  world.faults.commits = {CommitFault::kNone, CommitFault::kAppears};
  world.Process(RequestOf("s", 5, 1));
  world.Process(RequestOf("u", 6), SealJob{});
  world.Kill();
  const JournalContents contents = Must(ReadJournals(world.folder, Must(world.folder.List())));
  CHECK(contents.committed == LastIds{{"s", EntryOf(5)}, {"t", EntryOf(2)}, {"u", EntryOf(6)}});
  CHECK(contents.current == std::unordered_map<int64_t, int64_t>{{1, 5}});
  REQUIRE(contents.files.size() == 4);
  CHECK(contents.files[0].number == 1);
  CHECK(contents.files[0].last_ids == LastIds{{"s", EntryOf(1)}, {"t", EntryOf(2)}});
  CHECK(contents.files[0].last_ticket == 2);
  CHECK(contents.files[0].bytes > 0);
  CHECK(contents.files[0].lowest_origin == 0);
  CHECK(contents.files[1].lowest_origin == 1);
  CHECK(contents.files[2].last_ids == LastIds{{"s", EntryOf(5)}, {"u", EntryOf(6)}});  // suspect
  CHECK(contents.files[3].last_ids == LastIds{{"u", EntryOf(6)}});
}

TEST_CASE(
    "files of the other mode are no journals, a damaged one is set aside, one that cannot be opened is an error") {
  JournalWorld world;
  world.options.names_entries = false;
  world.Restart();
  SpillRequest spilled = RequestOf("s", 1);
  spilled.id.reset();
  StreamState stream;
  stream.name = "s";
  spilled.event->stream = &stream;
  world.Process(std::move(spilled), SealJob{});
  world.options.names_entries = true;
  world.Restart();
  world.SealFile("s", 2, 3);
  world.SealFile("s", 4, 5);
  world.Kill();
  WriteBytes(world.folder.PathOf(3, SpillFileInfo::State::kSealed), "garbage");
  const JournalContents contents = Must(ReadJournals(world.folder, Must(world.folder.List())));
  CHECK(contents.committed == LastIds{{"s", EntryOf(3)}});
  CHECK(Must(world.folder.List()).at(2).quarantined);
  world.faults.open = true;
  const auto failed = ReadJournals(world.folder, Must(world.folder.List()));
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == ErrorCode::kStarved);
}

TEST_CASE("a damaged last row does not hide the one before it") {
  JournalWorld world;
  world.SealFile("s", 1, 3);
  world.Kill();
  {
    Database::Options raw;
    raw.application_id = kSpillApplicationId;
    raw.user_version = kJournalFormatVersion;
    Must(Must(Database::Open(world.folder.PathOf(1, SpillFileInfo::State::kSealed), raw))
             .Execute("UPDATE s SET data = 'y' WHERE _ticket = 3"));
  }
  CHECK(Must(ReadJournals(world.folder, Must(world.folder.List()))).committed == LastIds{{"s", EntryOf(2)}});
}

TEST_CASE("a start over forty files does not read their rows") {
  JournalWorld world;
  for (int64_t file = 0; file < 40; ++file) world.SealFile("s", file * 2'000 + 1, (file + 1) * 2'000);
  world.Kill();
  const auto files = Must(world.folder.List());
  const auto begin = std::chrono::steady_clock::now();
  const JournalContents contents = Must(ReadJournals(world.folder, files));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(1'000));
  CHECK(contents.committed == LastIds{{"s", EntryOf(80'000)}});
  CHECK(contents.files.size() == 40);
}

TEST_CASE("a retry of an event that a journal holds is answered with the id of its entry, as it is now") {
  JournalWorld world;
  world.Process(RequestOf("s", 1), RequestOf("s", 2), SealJob{});
  world.faults.commits = {CommitFault::kNone, CommitFault::kAppears};
  world.Process(RequestOf("s", 3, 1));
  world.Process(RequestOf("s", 4), SealJob{});
  world.Kill();
  const auto files = Must(world.folder.List());
  FolderReader::Options options;
  options.window_capacity = 100;
  options.moved = Must(ReadJournals(world.folder, files)).current;
  FolderReader reader(world.folder, files, options);
  std::map<int64_t, Window::Restored> restored;  // by ticket
  while (!reader.done()) {
    const EarlierEvents events = Must(reader.ReadNext());
    CHECK(events.unknown.empty());
    for (const Window::Restored& event : events.spilled) restored[event.ticket] = event;
  }
  REQUIRE(restored.size() == 3);
  CHECK(restored.at(2).id == EntryOf(2));
  CHECK(restored.at(2).origin == 0);
  CHECK(restored.at(3).id == EntryOf(3));
  CHECK(restored.at(3).origin == 1);
  CHECK(restored.at(4).id == EntryOf(4));
}

}  // namespace
}  // namespace sprockets::testing
