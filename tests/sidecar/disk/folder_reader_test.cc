// What a start reads of the spill folder: the newest events of all streams, as many as the window holds, a portion at a
// time; and what it need not open for that.
#include "sidecar/disk/folder_reader.h"

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite.h"
#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;
using State = SpillFileInfo::State;

namespace {

/// A folder with files of a few streams whose events were received a millisecond apart.
struct Lives {
  TemporaryFolder temporary;
  DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  int64_t next_ticket = 1;
  int64_t files = 0;

  void Write(SpillWriter& writer, int rows) {
    Must(writer.Begin());
    for (int i = 0; i < rows; ++i, ++next_ticket) {
      const OwnedEvent event = {
          "s" + std::to_string(next_ticket % 3), {"data", "x", "event_id", "e-" + std::to_string(next_ticket)}, {}};
      Must(writer.Append(next_ticket, 1000 + next_ticket, event.View(), std::nullopt, {}));
    }
    Must(writer.Commit());
  }
  void SealFile(int rows) {
    auto writer = Must(folder.CreateActive(WriterOptions(++files)));
    Write(*writer, rows);
    Must(writer->Seal(folder));
  }
  void DrainedFile(int rows) {
    SealFile(rows);
    Must(folder.Move(files, State::kSealed, State::kDrained));
  }
  void SuspectFile(int rows) {
    auto writer = Must(folder.CreateActive(WriterOptions(++files)));
    Write(*writer, rows);
    writer->Abandon();
    Must(folder.MarkSuspect(files));
  }

  FolderReader Reader(size_t window, int64_t max_inflight_bytes = 0) const {
    IdentityHasher::Key key{};
    return FolderReader(folder, Must(folder.List()),
                        {.hasher = IdentityHasher(key),
                         .max_inflight_bytes = max_inflight_bytes,
                         .window_capacity = window,
                         .most_unknown = 100});
  }
};

/// Reads until the window has what it needs; the tickets in the order in which they came.
std::vector<int64_t> ReadForWindow(FolderReader& reader) {
  std::vector<int64_t> tickets;
  while (!reader.complete()) {
    for (const Window::Restored& restored : Must(reader.ReadNext()).spilled) tickets.push_back(restored.ticket);
  }
  return tickets;
}

std::vector<int64_t> Sorted(std::vector<int64_t> tickets) {
  std::sort(tickets.begin(), tickets.end());
  return tickets;
}

std::vector<int64_t> Range(int64_t first, int64_t last) {
  std::vector<int64_t> tickets;
  for (int64_t ticket = first; ticket <= last; ++ticket) tickets.push_back(ticket);
  return tickets;
}

int64_t RowsWaiting(FolderReader& reader) {
  int64_t rows = 0;
  while (!reader.done()) Must(reader.ReadNext());
  for (const auto& [number, file] : reader.TakeWaiting()) rows += file.rows;
  return rows;
}

}  // namespace

TEST_CASE("a start reads the newest rows of all files, and opens no older file for its window") {
  Lives lives;
  for (int i = 0; i < 300; ++i) lives.DrainedFile(10);
  for (int i = 0; i < 3; ++i) lives.SealFile(10);
  const int64_t last = lives.next_ticket - 1;
  // Where an older file is opened it is quarantined; nobody asks a drained one.
  for (int64_t number = 1; number <= 295; ++number) WriteBytes(lives.folder.PathOf(number, State::kDrained), "garbage");
  FolderReader reader = lives.Reader(60);
  CHECK(Sorted(ReadForWindow(reader)) == Range(last - 59, last));
  CHECK_FALSE(reader.done());  // the files that wait are still to be counted
  CHECK(RowsWaiting(reader) == 30);
  for (const SpillFileInfo& info : Must(lives.folder.List())) CHECK_FALSE(info.quarantined);
}

TEST_CASE("a large file is read a portion at a time, the newest rows of all of its streams first") {
  Lives lives;
  lives.SealFile(10'000);
  FolderReader reader = lives.Reader(9'000);
  std::vector<int64_t> read;
  int portions = 0;
  for (; !reader.complete(); ++portions) {
    std::vector<int64_t> tickets;
    for (const Window::Restored& restored : Must(reader.ReadNext()).spilled) tickets.push_back(restored.ticket);
    if (tickets.empty()) continue;
    if (!read.empty())
      CHECK(*std::max_element(tickets.begin(), tickets.end()) < *std::min_element(read.begin(), read.end()));
    read.insert(read.end(), tickets.begin(), tickets.end());
  }
  CHECK(portions >= 3);
  const std::vector<int64_t> newest = Range(lives.next_ticket - 9'000, lives.next_ticket - 1);
  const std::vector<int64_t> sorted = Sorted(read);
  CHECK(std::includes(sorted.begin(), sorted.end(), newest.begin(), newest.end()));
  CHECK(RowsWaiting(reader) == 10'000);
}

TEST_CASE("tickets that were never given cost a start nothing") {
  Lives lives;
  auto writer = Must(lives.folder.CreateActive(WriterOptions(++lives.files)));
  lives.Write(*writer, 10);
  lives.next_ticket = 1'000'000'000'000;
  lives.Write(*writer, 10);
  Must(writer->Seal(lives.folder));
  FolderReader reader = lives.Reader(100);
  size_t rows = 0;
  int portions = 0;
  for (; !reader.complete() && portions < 10; ++portions) rows += Must(reader.ReadNext()).spilled.size();
  CHECK(rows == 20);
  CHECK(reader.complete());
}

TEST_CASE("an older suspect file is read before anything counts as known") {
  Lives lives;
  lives.SuspectFile(5);
  for (int i = 0; i < 5; ++i) lives.SealFile(10);
  FolderReader reader = lives.Reader(20);
  size_t unknown = 0;
  while (!reader.complete()) unknown += Must(reader.ReadNext()).unknown.size();
  CHECK(unknown == 5);
  CHECK(RowsWaiting(reader) == 55);
}

TEST_CASE("what a killed life may have left unanswered is read beyond the window's places") {
  Lives lives;
  lives.DrainedFile(10);
  lives.SealFile(50);
  FolderReader reader = lives.Reader(10, /*max_inflight_bytes=*/1 << 20);
  CHECK(Sorted(ReadForWindow(reader)) == Range(1, 60));
}

TEST_CASE("a damaged row is found by the start that comes upon it, and the other files are read") {
  Lives lives;
  lives.SealFile(10);
  lives.SealFile(10);
  {
    Database::Options options;
    options.application_id = kSpillApplicationId;
    options.user_version = kSpillFormatVersion;
    Database raw = Must(Database::Open(lives.folder.PathOf(2, State::kSealed), options));
    Must(raw.Execute("UPDATE s1 SET data = 'y' WHERE _ticket = (SELECT max(_ticket) FROM s1)"));
  }
  FolderReader reader = lives.Reader(100);
  CHECK(Sorted(ReadForWindow(reader)) == Range(1, 10));
  CHECK(RowsWaiting(reader) == 10);
  CHECK(Must(lives.folder.List()).at(1).quarantined);
}
