// Spill files from the drain's side: visits, cursors, what was led elsewhere or rejected.
#include <catch2/catch.hpp>

#include "shared/spill/file.h"
#include "tests/shared/spill/file_fixture.h"

using namespace sprockets;
using namespace sprockets::testing;
using State = SpillFileInfo::State;

TEST_CASE("rows are visited in ticket order within the bounds, newest first on demand, and no further than asked") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(10));
  SqliteFile file = fixture.OnlyFileOpened();
  const SpilledStream stream = Must(file.Streams()).at(0);
  std::vector<int64_t> seen;
  const auto visitor = [&seen](const SpilledEvent& spilled) {
    seen.push_back(spilled.ticket);
    return seen.size() < 4;
  };
  Must(file.Visit(stream, 2, 5, visitor));
  CHECK(seen == std::vector<int64_t>{3, 4, 5});
  seen.clear();
  Must(file.Visit(stream, 5, 0, visitor));
  CHECK(seen == std::vector<int64_t>{6, 7, 8, 9});
  seen.clear();
  Must(file.VisitNewestFirst(stream, 0, 0, visitor));
  CHECK(seen == std::vector<int64_t>{10, 9, 8, 7});
}

TEST_CASE("a cursor survives, with what it left open") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(10));
  Cursor cursor;
  cursor.done_ticket = 4;
  cursor.open = Cursor::OpenRange{8, std::string("to\0here", 7), {17, 2}, "run", 2};
  {
    SqliteFile file = fixture.OnlyFileOpened();
    const int64_t stream = Must(file.Streams()).at(0).id;
    Must(file.AddConnection({"run", 5}));
    Must(file.AddConnection({"run", 5}));
    Must(file.SaveCursor(stream, cursor));
    CHECK_FALSE(file.SaveCursor(99, cursor).ok());
    Must(file.Close());
  }
  SqliteFile file = fixture.OnlyFileOpened();
  CHECK(Must(file.Connections()).size() == 1);
  SpilledStream stream = Must(file.Streams()).at(0);
  CHECK(stream.rows == 10);
  CHECK(stream.rows_left == 6);
  CHECK(stream.cursor.done_ticket == 4);
  REQUIRE(stream.cursor.open);
  CHECK(stream.cursor.open->last_ticket == 8);
  CHECK(stream.cursor.open->target == cursor.open->target);
  CHECK(stream.cursor.open->anchor == StreamId{17, 2});
  CHECK(stream.cursor.open->run_id == "run");
  CHECK(stream.cursor.open->breaks == 2);
  REQUIRE(stream.led_to.size() == 1);
  CHECK(stream.led_to[0].target == cursor.open->target);
  CHECK(stream.led_to[0].anchor == StreamId{17, 2});
  CHECK(stream.led_to[0].run_id == "run");

  cursor = Cursor{10, std::nullopt};
  Must(file.SaveCursor(stream.id, cursor));
  stream = Must(file.Streams()).at(0);
  CHECK_FALSE(stream.cursor.open);
  CHECK(stream.rows_left == 0);
}

TEST_CASE("where rows were led is kept for every target, with the oldest anchor, whatever the cursor does later") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(10));
  SqliteFile file = fixture.OnlyFileOpened();
  const SpilledStream stream = Must(file.Streams()).at(0);
  CHECK(stream.led_to.empty());
  const auto lead = [&](const std::string& target, StreamId anchor, const std::string& run_id) {
    Must(file.SaveCursor(stream.id, Cursor{2, Cursor::OpenRange{4, target, anchor, run_id, 0}}));
  };
  lead("b", {9, 0}, "first");
  lead("b", {10, 0}, "second");
  lead(stream.name, {7, 0}, "first");
  lead("a", {5, 0}, "first");
  lead("b", {8, 0}, "second");
  Must(file.SaveCursor(stream.id, Cursor{10, std::nullopt}));
  Must(file.ResetCursors());
  Must(file.Close());
  SqliteFile again = fixture.OnlyFileOpened();
  const std::vector<LedTo> led_to = Must(again.Streams()).at(0).led_to;
  REQUIRE(led_to.size() == 2);
  CHECK(led_to[0].target == "a");
  CHECK(led_to[0].anchor == StreamId{5, 0});
  CHECK(led_to[1].target == "b");
  CHECK(led_to[1].anchor == StreamId{8, 0});
  CHECK(led_to[1].run_id == "first");
  Must(again.Verify());
}

TEST_CASE("a rejected row is kept with its reason until it is accepted, also when the file is offered again") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(3));
  SqliteFile file = fixture.OnlyFileOpened();
  const int64_t stream = Must(file.Streams()).at(0).id;
  Must(file.Reject(stream, 2, "ERR too large", Cursor{2, std::nullopt}));
  CHECK(Must(file.Streams()).at(0).rejected == 1);
  CHECK(Must(file.Streams()).at(0).rows_left == 1);
  const auto rejected = Must(file.RejectedRows());
  REQUIRE(rejected.size() == 1);
  CHECK(rejected[0].ticket == 2);
  CHECK(rejected[0].reason == "ERR too large");
  CHECK_FALSE(file.Reject(99, 3, "no such stream", Cursor{3, std::nullopt}).ok());
  CHECK(Must(file.RejectedRows()).size() == 1);

  Must(file.MarkDrained(123));
  CHECK(file.drained_ms() == 123);
  Must(file.ResetCursors());
  CHECK(file.drained_ms() == 0);
  CHECK(Must(file.RejectedRows()).size() == 1);
  const int64_t other = rejected.front().ticket + 1;
  Must(file.Accept(rejected.front().stream_id, std::span(&other, 1)));
  CHECK(Must(file.RejectedRows()).size() == 1);
  Must(file.Accept(rejected.front().stream_id, std::span(&rejected.front().ticket, 1)));
  CHECK(Must(file.RejectedRows()).empty());
  CHECK(Must(file.Streams()).at(0).rows_left == 3);
  Must(file.Verify());
}

TEST_CASE("another process reads a sealed file while the drainer commits to it") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(500));
  const pid_t reader = fork();
  if (reader == 0) {
    for (int i = 0; i < 20; ++i) {
      auto file = SqliteFile::Open(OnlyFile(fixture.folder));
      if (!file.ok() || !file.value().Verify().ok() || ReadAll(file.value()).size() != 500) _exit(1);
    }
    _exit(0);
  }
  {
    SqliteFile file = fixture.OnlyFileOpened();
    const int64_t stream = Must(file.Streams()).at(0).id;
    for (int64_t ticket = 1; ticket <= 50; ++ticket) Must(file.SaveCursor(stream, Cursor{ticket, std::nullopt}));
  }
  int status = 0;
  waitpid(reader, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a kill in the middle of a drainer's commit leaves a file that reads as before") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(10));
  REQUIRE(RunAndKill([&fixture] {
    static Database raw = OpenRaw(fixture.folder);
    Must(
        raw.Execute("PRAGMA cache_size = 0; BEGIN IMMEDIATE; UPDATE _streams SET done_ticket = 7; "
                    "UPDATE \"bounty-stream\" SET amount = zeroblob(100000)"));
  }));
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(Must(file.Streams()).at(0).cursor.done_ticket == 0);
  Must(file.Close());
  Must(fixture.folder.Move(1, State::kSealed, State::kDrained));
}
