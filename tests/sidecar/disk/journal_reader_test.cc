// Pages out of journals: every row once, in order, whatever files it lies in.
#include "sidecar/disk/journal_reader.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/sidecar/disk/journal_world.h"

namespace sprockets::testing {
namespace {

using Tickets = std::vector<int64_t>;
constexpr StreamId kHighest{UINT64_MAX, UINT64_MAX};

Tickets Range(int64_t first, int64_t last) {
  Tickets tickets(static_cast<size_t>(last - first + 1));
  std::iota(tickets.begin(), tickets.end(), first);
  return tickets;
}

/// All pages of a range, one after the other; the rows' ids as numbers of EntryOf.
struct Pages {
  Tickets rows;
  size_t pages = 0;
};
int64_t NumberOf(StreamId id) {
  return static_cast<int64_t>((id.seq - EntryOf(0).seq) >> 16);
}
Pages ReadAllPages(JournalPages& journals, JournalRead read) {
  Pages all;
  for (;;) {
    ++read.request;
    const auto page = journals.Read(read);
    REQUIRE(page);
    CHECK(page->request == read.request);
    CHECK(page->rows.size() <= JournalPages::kPageRows);
    ++all.pages;
    for (const JournalRow& row : page->rows) all.rows.push_back(NumberOf(row.id));
    if (page->is_last) return all;
    REQUIRE_FALSE(page->rows.empty());
    (read.down ? read.to : read.above) = page->rows.back().id;
  }
}
Tickets Up(JournalPages& journals, const std::string& stream, StreamId above, StreamId to) {
  return ReadAllPages(journals, {stream, 0, false, above, to}).rows;
}
Tickets Down(JournalPages& journals, const std::string& stream, StreamId above, StreamId to) {
  Tickets rows = ReadAllPages(journals, {stream, 0, true, above, to}).rows;
  std::reverse(rows.begin(), rows.end());
  return rows;
}

TEST_CASE("pages give every row of the range once, up and down, across files") {
  JournalWorld world;
  world.SealFile("s", 1, 3'000);
  world.SealFile("t", 3'001, 3'010);
  world.SealFile("s", 3'011, 3'020);
  world.SealFile("s", 3'021, 5'000);
  JournalPages journals(world.folder);
  Tickets expected = Range(1, 3'000);
  const Tickets later = Range(3'011, 5'000);
  expected.insert(expected.end(), later.begin(), later.end());
  CHECK(Up(journals, "s", {}, kHighest) == expected);
  CHECK(Down(journals, "s", {}, kHighest) == expected);
  CHECK(Up(journals, "t", {}, kHighest) == Range(3'001, 3'010));
  CHECK(Up(journals, "s", EntryOf(2'990), EntryOf(3'015)) ==
        Tickets{2991, 2992, 2993, 2994, 2995, 2996, 2997, 2998, 2999, 3000, 3011, 3012, 3013, 3014, 3015});
  CHECK(Down(journals, "s", EntryOf(2'998), EntryOf(3'013)) == Tickets{2999, 3000, 3011, 3012});
  CHECK(Up(journals, "s", EntryOf(5'000), kHighest).empty());
  CHECK(Down(journals, "s", {}, EntryOf(1)).empty());
  CHECK(Down(journals, "s", {}, {}).empty());
  CHECK(Up(journals, "s", EntryOf(3'001), EntryOf(3'010)).empty());
  CHECK(Up(journals, "no such stream", {}, kHighest).empty());
}

TEST_CASE("a page is as large as it may be, and says whether it is the last one") {
  JournalWorld world;
  world.SealFile("s", 1, 1024);
  JournalPages journals(world.folder);
  CHECK(ReadAllPages(journals, {"s", 0, false, {}, kHighest}).pages == 1);
  world.SealFile("s", 1025, 1025);
  CHECK(ReadAllPages(journals, {"s", 0, false, {}, EntryOf(1024)}).pages == 1);
  CHECK(ReadAllPages(journals, {"s", 0, false, {}, kHighest}).pages == 2);
  CHECK(ReadAllPages(journals, {"s", 0, true, {}, kHighest}).pages == 2);
  world.SealFile("large", 1026, 1036, std::string(300'000, 'x'));
  CHECK(ReadAllPages(journals, {"large", 0, false, {}, kHighest}).pages == 3);
  world.SealFile("one", 1037, 1037, std::string(3'000'000, 'x'));
  CHECK(ReadAllPages(journals, {"one", 0, false, {}, kHighest}).pages == 1);
}

TEST_CASE("rows come with their events as they were, and what was moved with where it began") {
  JournalWorld world;
  world.Process(RequestOf("s", 1), RequestOf("s", 2, 1), SealJob{});
  JournalPages journals(world.folder);
  const auto page = journals.Read({"s", 7, false, {}, kHighest});
  REQUIRE(page);
  REQUIRE(page->rows.size() == 2);
  CHECK(page->request == 7);
  CHECK(page->rows[0].origin == 1);
  CHECK(page->rows[1].ticket == 2);
  CHECK(page->rows[1].origin == 1);
  CHECK(page->rows[1].xadd == MakeCommand({"XADD", "s", ToString(EntryOf(2)), "data", "x", "event_id", "e-1"}));
  CHECK(page->rows[1].id_word == 2);
}

TEST_CASE("a row that stands in two files comes once, and the active file is nobody's business") {
  JournalWorld world;
  world.Process(RequestOf("s", 1));
  world.faults.commits = {CommitFault::kAppears, CommitFault::kNone};
  world.Process(RequestOf("s", 2), RequestOf("s", 3));
  JournalPages journals(world.folder);
  CHECK(Up(journals, "s", {}, kHighest) == Range(1, 3));  // of the suspect file
  world.Process(RequestOf("s", 4));
  CHECK(Up(journals, "s", {}, kHighest) == Range(1, 3));
  world.Process(SealJob{});
  CHECK(Up(journals, "s", {}, kHighest) == Range(1, 4));
  CHECK(Down(journals, "s", {}, kHighest) == Range(1, 4));
}

TEST_CASE("files are read by the ids that they hold, not by their numbers") {
  JournalWorld world;
  world.SealFile("s", 1, 10);
  world.SealFile("s", 11, 20);
  // As a salvage leaves it.
  std::filesystem::rename(world.folder.PathOf(1, SpillFileInfo::State::kSealed),
                          world.folder.PathOf(9, SpillFileInfo::State::kSealed));
  JournalPages journals(world.folder);
  CHECK(Up(journals, "s", {}, kHighest) == Range(1, 20));
  CHECK(Down(journals, "s", {}, kHighest) == Range(1, 20));
}

TEST_CASE("files whose rows lie between each other's are read row by row in the order of the ids") {
  JournalWorld world;
  const auto seal = [&](std::initializer_list<int64_t> rows) {
    std::vector<SpillJob> jobs;
    for (const int64_t n : rows) jobs.emplace_back(RequestOf("s", n));
    jobs.emplace_back(SealJob{});
    world.store->Process(jobs);
  };
  seal({1, 4, 5, 9, 20});
  seal({2, 3, 6, 7, 19});
  seal({8, 10});
  seal({21, 22});
  for (const size_t page_rows : {1, 2, 3, 100}) {
    JournalPages journals(world.folder, page_rows);
    CHECK(Up(journals, "s", {}, kHighest) == Tickets{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 19, 20, 21, 22});
    CHECK(Down(journals, "s", {}, kHighest) == Tickets{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 19, 20, 21, 22});
    CHECK(Up(journals, "s", EntryOf(3), EntryOf(8)) == Tickets{4, 5, 6, 7, 8});
    CHECK(Down(journals, "s", EntryOf(3), EntryOf(9)) == Tickets{4, 5, 6, 7, 8});
  }
}

TEST_CASE("files that come and go between two pages are neither missed nor missed for") {
  JournalWorld world;
  world.SealFile("s", 1, 2'000);
  JournalPages journals(world.folder);
  const auto first = journals.Read({"s", 1, false, {}, kHighest});
  REQUIRE(first);
  world.SealFile("s", 2'001, 2'500);
  CHECK(Up(journals, "s", first->rows.back().id, kHighest) == Range(1'025, 2'500));
  for (const SpillFileInfo& info : Must(world.folder.List())) {
    if (info.number == 1) Must(world.folder.Remove(info));
  }
  CHECK(Up(journals, "s", {}, kHighest) == Range(2'001, 2'500));
}

TEST_CASE("what cannot be opened now is not passed over") {
  JournalWorld world;
  world.SealFile("s", 1, 10);
  JournalPages journals(world.folder);
  world.faults.open = true;
  CHECK_FALSE(journals.Read({"s", 1, false, {}, kHighest}));
  world.faults.open = false;
  CHECK(Up(journals, "s", {}, kHighest) == Range(1, 10));
  // Between two files: what was read is given, and then nothing for as long as it takes.
  for (int64_t n = 11; n <= 60; n += 10) world.SealFile("s", n, n + 9);
  CHECK(Up(journals, "s", {}, EntryOf(5)) == Range(1, 5));
  world.faults.open = true;
  const auto page = journals.Read({"s", 2, false, EntryOf(5), kHighest});
  CHECK((!page || !page->is_last));
  world.faults.open = false;
  CHECK(Up(journals, "s", EntryOf(5), kHighest) == Range(6, 60));
}

TEST_CASE("a damaged row is named and passed over, a damaged file is set aside") {
  JournalWorld world;
  world.SealFile("s", 1, 3);
  world.SealFile("s", 4, 6);
  world.SealFile("s", 7, 9);
  {
    Database::Options raw;
    raw.application_id = kSpillApplicationId;
    raw.user_version = kJournalFormatVersion;
    Must(Must(Database::Open(world.folder.PathOf(1, SpillFileInfo::State::kSealed), raw))
             .Execute("UPDATE s SET data = 'y' WHERE _ticket = 2"));
  }
  WriteBytes(world.folder.PathOf(2, SpillFileInfo::State::kSealed), "garbage");
  JournalPages journals(world.folder);
  CHECK(Up(journals, "s", {}, kHighest) == Tickets{1, 3, 7, 8, 9});
  CHECK(Must(world.folder.List()).at(1).quarantined);
}

TEST_CASE("random ranges of random files are read as they should be") {
  JournalWorld world;
  std::mt19937 random(7);
  std::vector<Tickets> of_stream(3);
  int64_t n = 0;
  for (int file = 0; file < 12; ++file) {
    std::vector<SpillJob> jobs;
    const int64_t last = n + 1 + static_cast<int64_t>(random() % 900);
    while (n < last) {
      const size_t stream = random() % 3;
      of_stream[stream].push_back(++n);
      jobs.emplace_back(RequestOf("s" + std::to_string(stream), n));
    }
    if (random() % 3 == 0) world.faults.commits = {CommitFault::kAppears};
    jobs.emplace_back(SealJob{});
    world.store->Process(jobs);
  }
  JournalPages journals(world.folder);
  for (int i = 0; i < 60; ++i) {
    const size_t stream = random() % 3;
    const int64_t above = static_cast<int64_t>(random() % static_cast<size_t>(n));
    const int64_t to = above + static_cast<int64_t>(random() % static_cast<size_t>(n));
    const bool down = random() % 2 == 0;
    Tickets expected;
    for (const int64_t row : of_stream[stream]) {
      if (row > above && (down ? row < to : row <= to)) expected.push_back(row);
    }
    const std::string name = "s" + std::to_string(stream);
    CHECK((down ? Down : Up)(journals, name, EntryOf(above), EntryOf(to)) == expected);
  }
}

TEST_CASE("the reader's thread answers each stream's last question") {
  JournalWorld world;
  world.SealFile("s", 1, 5'000);
  world.SealFile("t", 5'001, 5'100);
  std::atomic<int> woken = 0;
  JournalReader reader(world.folder, [&] { ++woken; });
  std::map<std::string, Tickets> rows;
  reader.Queue({"s", 1, false, EntryOf(17), kHighest});
  reader.Queue({"s", 2, false, {}, kHighest});  // instead
  reader.Queue({"t", 3, true, {}, kHighest});
  reader.Submit();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int open = 2; open > 0 && std::chrono::steady_clock::now() < deadline;) {
    for (const JournalPageRead& read : reader.Collect()) {
      CHECK(read.page.request != 1);
      for (const JournalRow& row : read.page.rows) rows[read.stream].push_back(NumberOf(row.id));
      if (read.page.is_last) {
        --open;
      } else {
        reader.Queue({read.stream, read.page.request, false, read.page.rows.back().id, kHighest});
        reader.Submit();
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(rows["s"] == Range(1, 5'000));
  std::reverse(rows["t"].begin(), rows["t"].end());
  CHECK(rows["t"] == Range(5'001, 5'100));
  CHECK(woken >= 6);
  reader.Queue({"s", 9, false, {}, kHighest});
  reader.Join();
}

}  // namespace
}  // namespace sprockets::testing
