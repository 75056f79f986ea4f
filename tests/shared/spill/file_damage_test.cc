// Spill files: damage is noticed.
#include <random>

#include <catch2/catch.hpp>

#include "shared/spill/file.h"
#include "tests/shared/spill/file_fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

TEST_CASE("a change to any column of a row is noticed") {
  Fixture fixture;
  auto writer = fixture.Writer();
  const Doubt doubt{{5, 6}, ConnectionId{"run", 8}};
  OwnedEvent with_options = Bounty(1);
  with_options.options = {"MAXLEN", "~", "1000"};
  OwnedEvent odd = Bounty(2);
  odd.fields.insert(odd.fields.end(), {"extra", "1"});
  Must(writer->Begin());
  Must(writer->AddConnections(std::vector<ConnectionId>{{"run", 9}}));
  Must(writer->Append(1, 1000, with_options.View(), doubt, {}));
  Must(writer->Append(2, 1000, odd.View(), std::nullopt, {}));
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));

  const auto change =
      GENERATE(as<std::string>{}, "_ticket = 17 WHERE _ticket = 1", "_event_id = 'e-3' WHERE _ticket = 1",
               "_event_id = 'e-3' WHERE _ticket = 2", "_received_ms = 1001 WHERE _ticket = 1",
               "_anchor = '5-7' WHERE _ticket = 1", "_anchor = NULL WHERE _ticket = 1",
               "_anchor = 'x' WHERE _ticket = 1", "_anchor = '0-0' WHERE _ticket = 2", "_conn = 1 WHERE _ticket = 1",
               "_conn = NULL WHERE _ticket = 1", "_conn = 99 WHERE _ticket = 1", "_options = NULL WHERE _ticket = 1",
               "_options = x'00' WHERE _ticket = 1", "_checksum = _checksum + 1 WHERE _ticket = 1",
               "amount = '151' WHERE _ticket = 1", "amount = NULL WHERE _ticket = 1", "_raw = NULL WHERE _ticket = 2",
               "_raw = x'2a' WHERE _ticket = 2", "_raw = CAST(replace(_raw, '150', '151') AS BLOB) WHERE _ticket = 2");
  CAPTURE(change);
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute("UPDATE \"bounty-stream\" SET " + change));
  }
  SqliteFile file = fixture.OnlyFileOpened();
  const SpilledStream stream = Must(file.Streams()).at(0);
  const auto visit = [](const SpilledEvent&) { return true; };
  const Status strict = file.Visit(stream, 0, 0, visit);
  REQUIRE_FALSE(strict.ok());
  CHECK(strict.error().code == ErrorCode::kCorrupt);
  int good = 0;
  int bad = 0;
  Must(file.Visit(
      stream, 0, 0,
      [&good](const SpilledEvent&) {
        ++good;
        return true;
      },
      [&bad](int64_t, std::string_view) { ++bad; }));
  CHECK(good == 1);
  CHECK(bad == 1);
}

TEST_CASE("a flipped byte anywhere in the file is noticed, or changes nothing that is read") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(40));
  const auto path = OnlyFile(fixture.folder).path;
  const std::string whole = ReadBytes(path);
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string flipped = whole;
    const size_t at = random() % flipped.size();
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (random() % 8)));
    WriteBytes(path, flipped);
    CAPTURE(at);
    auto file = SqliteFile::Open(OnlyFile(fixture.folder));
    if (!file.ok() || !(i % 2 == 0 ? file.value().Verify() : file.value().VerifyAsRead()).ok()) continue;
    auto streams = file.value().Streams();
    if (!streams.ok()) continue;
    REQUIRE(streams.value().size() == 1);
    std::vector<OwnedEvent> events;
    const Status visited = file.value().Visit(streams.value()[0], 0, 0, [&events](const SpilledEvent& spilled) {
      events.push_back(OwnedRow(spilled).event);
      return true;
    });
    if (visited.ok()) REQUIRE(events == Bounties(40));
  }
}

TEST_CASE("a missing row, a foreign row and a missing stream are noticed") {
  Fixture fixture;
  std::vector<OwnedEvent> events = Bounties(10);
  events.push_back({"other", {"event_id", "x"}, {}});
  fixture.SpillAndSeal(events);
  const auto change =
      GENERATE(as<std::string>{}, "DELETE FROM \"bounty-stream\" WHERE _ticket = 4",
               "DELETE FROM \"bounty-stream\" WHERE _ticket = 10", "DELETE FROM \"bounty-stream\"",
               "INSERT INTO \"bounty-stream\" (_ticket, _event_id, _received_ms, _checksum) VALUES (99, 'x', 1, 0)",
               "DELETE FROM _streams WHERE name = CAST('other' AS BLOB)", "DROP TABLE other", "DELETE FROM _file",
               "DROP TABLE _streams");
  CAPTURE(change);
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute(change));
  }
  auto file = SqliteFile::Open(OnlyFile(fixture.folder));
  const Status verified = file.ok() ? file.value().Verify() : Status(file.error());
  REQUIRE_FALSE(verified.ok());
  CHECK(verified.error().code == ErrorCode::kCorrupt);
}

TEST_CASE("a drain that reads a file once notices a missing and a foreign row at the end of their stream") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(10));
  const auto change = GENERATE(as<std::string>{}, "DELETE FROM \"bounty-stream\" WHERE _ticket = 4",
                               "DELETE FROM \"bounty-stream\" WHERE _ticket = 10", "DELETE FROM \"bounty-stream\"",
                               "UPDATE \"bounty-stream\" SET _ticket = 99 WHERE _ticket = 10", "");
  const int64_t rows_a_visit = GENERATE(1, 3, 100);
  const bool another_begins = GENERATE(false, true);  // reads the first rows a second time: no sum without gaps
  CAPTURE(change, rows_a_visit, another_begins);
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute(change));
  }
  SqliteFile file = Must(SqliteFile::Open(OnlyFile(fixture.folder)));
  Must(file.VerifyAsRead());
  const SpilledStream stream = Must(file.Streams()).at(0);
  const auto visit = [&](int64_t after, int64_t* last) {
    int64_t rows = 0;
    return file.Visit(stream, after, 0, [&](const SpilledEvent& spilled) {
      *last = spilled.ticket;
      return ++rows < rows_a_visit;
    });
  };
  int64_t last = 0;
  Status visited = visit(0, &last);
  if (another_begins && visited.ok()) visited = visit(0, &last);
  for (int64_t after = -1; visited.ok() && after != last;) {
    after = last;
    visited = visit(after, &last);
  }
  REQUIRE(visited.ok() == change.empty());
  if (!visited.ok()) CHECK(visited.error().code == ErrorCode::kCorrupt);
}

TEST_CASE("an active file with a bad row is quarantined, not sealed as if it were good") {
  Fixture fixture;
  fixture.Writer();
  {
    auto writer = fixture.Writer(2);
    Spill(*writer, Bounties(5));
  }
  {
    auto file = Must(SqliteFile::Open(Must(fixture.folder.List()).at(1)));
    Must(file.Close());
    Database::Options options;
    options.application_id = kSpillApplicationId;
    options.user_version = kJournalFormatVersion;
    Database raw = Must(Database::Open(Must(fixture.folder.List()).at(1).path, options));
    Must(raw.Execute("UPDATE \"bounty-stream\" SET amount = '151' WHERE _ticket = 3"));
  }
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.sealed == 0);
  CHECK(report.quarantined.size() == 1);
  const SpillFileInfo info = OnlyFile(fixture.folder);  // the empty one is gone
  CHECK(info.number == 2);
  CHECK(info.quarantined);
  SqliteFile salvage = Must(SqliteFile::Open(info));
  int good = 0;
  int bad = 0;
  Must(salvage.Visit(
      Must(salvage.Streams()).at(0), 0, 0,
      [&good](const SpilledEvent&) {
        ++good;
        return true;
      },
      [&bad](int64_t, std::string_view) { ++bad; }));
  CHECK(good == 4);
  CHECK(bad == 1);
}
