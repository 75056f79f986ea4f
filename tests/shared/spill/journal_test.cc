// Journals, the spill files of --ack disk: each row names the entry that its event becomes.
#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "shared/spill/file.h"
#include "tests/shared/spill/file_fixture.h"

using namespace sprockets;
using namespace sprockets::testing;
using State = SpillFileInfo::State;
using Move = SpillFile::Move;

namespace {

struct JournalFixture : Fixture {
  std::unique_ptr<SpillWriter> Journal(int64_t number = 1) const {
    return Must(folder.CreateActive(JournalOptions(number)));
  }
};

std::vector<std::string> TablesOf(Database& raw) {
  std::vector<std::string> names;
  Statement row = Must(raw.Prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"));
  while (Must(row.Step())) names.emplace_back(row.Bytes(0));
  return names;
}

std::string SqlOf(Database& raw, const std::string& table) {
  Statement row = Must(raw.Prepare("SELECT sql FROM sqlite_schema WHERE name = ?"));
  row.BindBytes(1, table);
  REQUIRE(Must(row.Step()));
  return std::string(row.Bytes(0));
}

}  // namespace

TEST_CASE("the rows of a journal come back with their names, whatever the stream and its fields are called") {
  const std::string binary("\0\x01\xff'\"\r\n", 7);
  std::vector<OwnedEvent> events = {
      Bounty(1),
      {"it's a \"stream\"", {"a\"b", "1", "c'd", binary, "[e]", "", "event_id", "1"}, {"MAXLEN", "~", "10"}},
      {"it's a \"stream\"", {"event_id", binary, "another", "layout"}, {}},
      {binary, {binary, binary, "event_id", "1"}, {"MINID", "5-0"}},
      {"_moves", {"_id", "1", "_origin", "2", "event_id", "prod-9"}, {}},
      {"_id", {"_ticket", "1", "event_id", "1"}, {}},
      {"", {"event_id", "1"}, {}},
  };
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, events);
  const StreamId highest{UINT64_MAX, UINT64_MAX};
  const StreamId lowest{0, 1};
  Must(writer->Begin());
  Must(writer->Append(100, 1000, events[1].View(), std::nullopt, {}, highest, 2));
  Must(writer->Append(101, 1000, events[2].View(), std::nullopt, {}, lowest));
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));

  SqliteFile file = fixture.OnlyFileOpened();
  CHECK(file.names_entries());
  Must(file.Verify());
  std::vector<OwnedRow> rows = ReadAll(file);
  std::sort(rows.begin(), rows.end(), [](const OwnedRow& a, const OwnedRow& b) { return a.ticket < b.ticket; });
  REQUIRE(rows.size() == events.size() + 2);
  for (size_t i = 0; i < events.size(); ++i) {
    CHECK(rows[i].event == events[i]);
    CHECK(rows[i].id == EntryOf(rows[i].ticket));
    CHECK(rows[i].origin == 0);
  }
  CHECK(rows[7].event == events[1]);
  CHECK(rows[7].id == highest);
  CHECK(rows[7].origin == 2);
  CHECK(rows[8].id == lowest);
  CHECK(Must(file.Moves()) == std::vector<Move>{{2, 100, 2}});
}

TEST_CASE("a journal is read from its end with the same names") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, Bounties(5));
  Must(writer->Begin());
  AppendMoved(*writer, Bounty(2), 6, 2);
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));
  SqliteFile file = fixture.OnlyFileOpened();
  int64_t expected = 6;
  Must(file.VisitNewestFirst(Must(file.Streams()).at(0), 0, 0, [&](const SpilledEvent& row) {
    CHECK(row.ticket == expected);
    CHECK(row.id == EntryOf(expected));
    CHECK(row.origin == (expected == 6 ? 2 : 0));
    --expected;
    return true;
  }));
  CHECK(expected == 0);
}

TEST_CASE("what a power cut leaves of commits that were not synced one by one is an end, and otherwise it is damage") {
  const bool late = GENERATE(true, false);
  JournalFixture fixture;
  SpillWriterOptions options = JournalOptions(1);
  options.sync_commits = !late;
  {
    auto writer = Must(fixture.folder.CreateActive(options));
    for (int64_t n = 1; n <= 10; ++n) {
      Must(writer->Begin());
      Must(writer->Append(n, 1000, Bounty(static_cast<int>(n)).View(), std::nullopt, {}, EntryOf(n)));
      Must(writer->Commit());
      Must(writer->Sync());
    }
    writer->Abandon();
  }
  const std::string wal_path = fixture.folder.PathOf(1, State::kActive).native() + "-wal";
  std::string wal = ReadBytes(wal_path);
  wal[wal.size() / 2] ^= 1;
  WriteBytes(wal_path, wal);
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.quarantined.size() == (late ? 0 : 1));
  if (!late) return;
  CHECK(report.rows > 0);
  CHECK(report.rows < 10);
  SqliteFile file = fixture.OnlyFileOpened();
  CHECK(file.names_entries());
  Must(file.Verify());
  CHECK(ReadAll(file).size() == static_cast<size_t>(report.rows));
}

TEST_CASE("people can read a journal's entry ids beside the fields") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, {Bounty(1)});
  Must(writer->Seal(fixture.folder));
  Database raw = OpenRaw(fixture.folder);
  Statement row = Must(raw.Prepare("SELECT _id, typeof(_id), _origin, github_id FROM \"bounty-stream\""));
  REQUIRE(Must(row.Step()));
  CHECK(row.Bytes(0) == ToString(EntryOf(1)));
  CHECK(row.Bytes(1) == "text");
  CHECK(row.IsNull(2));
  CHECK(row.Bytes(3) == "1");
  row.Reset();
  CHECK(SqlOf(raw, "bounty-stream")
            .starts_with("CREATE TABLE \"bounty-stream\" (_ticket INTEGER PRIMARY KEY, _id TEXT NOT NULL, _origin "
                         "INTEGER, _event_id "));
}

TEST_CASE("a journal is of format 2, every other file has the tables and the format that programs of before know") {
  Fixture fixture;
  fixture.SpillAndSeal({Bounty(1)});
  {
    Database raw = OpenRaw(fixture.folder);
    CHECK(Must(raw.QueryInteger("PRAGMA user_version")) == kSpillFormatVersion);
    CHECK(TablesOf(raw) ==
          std::vector<std::string>{"_connections", "_file", "_redis", "_rejected", "_streams", "bounty-stream"});
    CHECK(SqlOf(raw, "bounty-stream") ==
          "CREATE TABLE \"bounty-stream\" (_ticket INTEGER PRIMARY KEY, _event_id ANY NOT NULL, _received_ms INTEGER "
          "NOT NULL, _anchor TEXT, _conn INTEGER, _options BLOB, _checksum INTEGER NOT NULL, _raw BLOB, \"github_id\" "
          "ANY, \"amount\" ANY) STRICT");
  }
  {
    SqliteFile file = fixture.OnlyFileOpened();
    CHECK_FALSE(file.names_entries());
    CHECK(Must(file.Moves()).empty());
    CHECK_FALSE(ReadAll(file).at(0).id);
  }

  JournalFixture journal;
  auto writer = journal.Journal();
  SpillNamed(*writer, {Bounty(1)});
  Must(writer->Seal(journal.folder));
  Database raw = OpenRaw(journal.folder);
  CHECK(Must(raw.QueryInteger("PRAGMA user_version")) == kJournalFormatVersion);
  CHECK(TablesOf(raw) == std::vector<std::string>{"_connections", "_file", "_moves", "_redis", "_rejected", "_streams",
                                                  "bounty-stream"});
}

TEST_CASE("a program that knows only format 1 refuses a journal, and leaves it as it is") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, {Bounty(1)});
  Must(writer->Seal(fixture.folder));
  const auto path = OnlyFile(fixture.folder).path;
  const std::string before = ReadBytes(path);
  Database::Options options;
  options.application_id = kSpillApplicationId;
  options.user_version = kSpillFormatVersion;
  const auto opened = Database::Open(path, options);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == ErrorCode::kForeign);
  CHECK(ReadBytes(path) == before);
}

TEST_CASE("a change to the name of a row, or to what it was before, is noticed and the row is named") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, Bounties(3));
  Must(writer->Begin());
  AppendMoved(*writer, Bounty(2), 4, 2);
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));
  const auto change =
      GENERATE(as<std::string>{}, "_id = '1700000000000-1' WHERE _ticket = 3", "_id = '0-0' WHERE _ticket = 3",
               "_id = '' WHERE _ticket = 3", "_id = '1700000000000' WHERE _ticket = 3",
               "_id = _id || ' ' WHERE _ticket = 3", "_origin = 1 WHERE _ticket = 3", "_origin = 3 WHERE _ticket = 3",
               "_origin = 0 WHERE _ticket = 3", "_origin = -1 WHERE _ticket = 3",
               "_id = (SELECT _id FROM \"bounty-stream\" WHERE _ticket = 2) WHERE _ticket = 3");
  CAPTURE(change);
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute("UPDATE \"bounty-stream\" SET " + change));
  }
  SqliteFile file = fixture.OnlyFileOpened();
  const SpilledStream stream = Must(file.Streams()).at(0);
  const Status visited = file.Visit(stream, 0, 0, [](const SpilledEvent&) { return true; });
  REQUIRE_FALSE(visited.ok());
  CHECK(visited.error().code == ErrorCode::kCorrupt);
  CHECK_THAT(visited.error().message, Catch::Contains("row 3"));
  std::vector<int64_t> bad;
  Must(file.Visit(
      stream, 0, 0, [](const SpilledEvent&) { return true; },
      [&bad](int64_t ticket, std::string_view) { bad.push_back(ticket); }));
  CHECK(bad == std::vector<int64_t>{3});
}

TEST_CASE("a list of moves that does not say what the rows say is noticed") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, Bounties(3));
  Must(writer->Begin());
  AppendMoved(*writer, Bounty(2), 4, 2);
  AppendMoved(*writer, Bounty(3), 5, 3);
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));
  const auto change = GENERATE(
      as<std::string>{}, "DELETE FROM _moves WHERE ticket = 5", "UPDATE _moves SET origin = 1 WHERE ticket = 5",
      "UPDATE _moves SET ticket = 3 WHERE ticket = 5", "UPDATE _moves SET stream_id = 2 WHERE ticket = 5",
      "INSERT INTO _moves VALUES (1, 3, 1)", "UPDATE \"bounty-stream\" SET _origin = NULL WHERE _ticket = 5");
  CAPTURE(change);
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute(change));
  }
  {
    const Status verified = fixture.OnlyFileOpened().Verify();
    REQUIRE_FALSE(verified.ok());
    CHECK(verified.error().code == ErrorCode::kCorrupt);
  }
  SqliteFile file = fixture.OnlyFileOpened();
  Status read = file.VerifyAsRead();
  if (read.ok()) {
    read = file.Visit(Must(file.Streams()).at(0), 0, 0, [](const SpilledEvent&) { return true; });
  }
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().code == ErrorCode::kCorrupt);
}

TEST_CASE("a good journal is found whole by whoever reads it only once") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, Bounties(3));
  Must(writer->Begin());
  AppendMoved(*writer, Bounty(2), 4, 2);
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.VerifyAsRead());
  Must(file.Visit(Must(file.Streams()).at(0), 0, 0, [](const SpilledEvent&) { return true; }));
}

TEST_CASE("a kill in the middle of a transaction leaves a journal's moves and its rows as they were committed") {
  JournalFixture fixture;
  REQUIRE(RunAndKill([&fixture] {
    auto writer = fixture.Journal();
    SpillNamed(*writer, Bounties(100));
    Must(writer->Begin());
    AppendMoved(*writer, Bounty(7), 101, 7);
    AppendMoved(*writer, Bounty(8), 102, 8);
    Must(writer->Commit());
    Must(writer->Begin());
    for (int i = 0; i < 20'000; ++i) {  // more than the cache holds: rows of the open transaction reach the WAL
      AppendMoved(*writer, Bounty(i), 1000 + i, 9);
    }
  }));
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.sealed == 1);
  CHECK(report.rows == 102);
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(file.names_entries());
  CHECK(Must(file.Moves()) == std::vector<Move>{{1, 101, 7}, {1, 102, 8}});
  const std::vector<OwnedRow> rows = ReadAll(file);
  REQUIRE(rows.size() == 102);
  CHECK(rows[101].origin == 8);
}

TEST_CASE("what is rolled back of a journal leaves neither rows nor moves, and the file goes on") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, Bounties(2));
  Must(writer->Begin());
  AppendMoved(*writer, Bounty(1), 3, 1);
  Must(writer->Append(4, 1000, OwnedEvent{"new", {"event_id", "x"}, {}}.View(), std::nullopt, {}, EntryOf(4)));
  writer->Rollback();
  Must(writer->Begin());
  AppendMoved(*writer, Bounty(2), 3, 2);
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(Must(file.Moves()) == std::vector<Move>{{1, 3, 2}});
  CHECK(ReadAll(file).size() == 3);
}

TEST_CASE("a left-behind journal whose list of moves lacks one is quarantined") {
  JournalFixture fixture;
  const bool counted = GENERATE(false, true);  // by its writer, before it was killed
  {
    auto writer = fixture.Journal();
    SpillNamed(*writer, Bounties(3));
    Must(writer->CheckpointIfDue(/*force=*/true));
    Must(writer->Begin());
    AppendMoved(*writer, Bounty(1), 4, 1);
    Must(writer->Commit());
    if (counted) {
      Must(writer->CheckpointIfDue(/*force=*/true));
      SpillNamed(*writer, {Bounty(5)}, 5);
    }
    writer->Abandon();
  }
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute(counted ? "UPDATE _moves SET origin = 2" : "DELETE FROM _moves"));
  }
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.sealed == 0);
  CHECK(OnlyFile(fixture.folder).quarantined);
}

TEST_CASE("rows above a ticket are counted without those that are named") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, Bounties(10));
  Must(writer->Seal(fixture.folder));
  SqliteFile file = fixture.OnlyFileOpened();
  const SpilledStream stream = Must(file.Streams()).at(0);
  CHECK(Must(file.CountAfter(stream, 0)) == 10);
  CHECK(Must(file.CountAfter(stream, 4)) == 6);
  CHECK(Must(file.CountAfter(stream, 10)) == 0);
  CHECK(Must(file.CountAfter(stream, 4, std::vector<int64_t>{2, 4, 5, 9, 77})) == 4);
}

TEST_CASE("journals and other files stand side by side in a folder, and each is read as what it is") {
  JournalFixture fixture;
  auto plain = fixture.Writer(1);
  Spill(*plain, Bounties(2));
  Must(plain->Seal(fixture.folder));
  auto journal = fixture.Journal(2);
  SpillNamed(*journal, Bounties(2), 3);
  Must(journal->Seal(fixture.folder));
  const auto files = Must(fixture.folder.List());
  REQUIRE(files.size() == 2);
  SqliteFile first = Must(SqliteFile::Open(files[0]));
  SqliteFile second = Must(SqliteFile::Open(files[1]));
  Must(first.Verify());
  Must(second.Verify());
  CHECK_FALSE(ReadAll(first).at(0).id);
  CHECK(ReadAll(second).at(0).id == EntryOf(3));
}

TEST_CASE("a flipped byte anywhere in a journal is noticed, or changes nothing that is read") {
  JournalFixture fixture;
  auto writer = fixture.Journal();
  SpillNamed(*writer, Bounties(40));
  Must(writer->Begin());
  AppendMoved(*writer, Bounty(3), 41, 3);
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));
  const auto path = OnlyFile(fixture.folder).path;
  const std::string whole = ReadBytes(path);
  std::mt19937 random(11);
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
    std::vector<OwnedRow> rows;
    const Status visited = file.value().Visit(streams.value()[0], 0, 0, [&rows](const SpilledEvent& spilled) {
      rows.emplace_back(spilled);
      return true;
    });
    if (!visited.ok()) continue;
    REQUIRE(rows.size() == 41);
    for (const OwnedRow& row : rows) {
      REQUIRE(row.event == Bounty(row.ticket == 41 ? 3 : static_cast<int>(row.ticket)));
      REQUIRE(row.id == EntryOf(row.ticket));
      REQUIRE(row.origin == (row.ticket == 41 ? 3 : 0));
    }
    auto moves = file.value().Moves();
    if (moves.ok()) REQUIRE(moves.value() == std::vector<Move>{{1, 41, 3}});
  }
}
