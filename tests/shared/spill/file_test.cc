#include "shared/spill/file.h"

#include <random>
#include <sys/mount.h>

#include <catch2/catch.hpp>

#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;
using State = SpillFileInfo::State;

namespace {

struct Fixture {
  TemporaryFolder temporary;
  SpillFolder folder = Must(SpillFolder::Open(temporary.path() / "spill"));

  std::unique_ptr<SpillWriter> Writer(int64_t number = 1) const {
    return Must(SpillWriter::Create(folder, WriterOptions(number)));
  }
  void SpillAndSeal(const std::vector<OwnedEvent>& events) const {
    auto writer = Writer();
    Spill(*writer, events);
    Must(writer->Seal(folder));
  }
  SpillFile OnlyFileOpened() const { return Must(SpillFile::Open(OnlyFile(folder))); }
};

/// Opens a spill file past all of its guards.
Database OpenRaw(const SpillFolder& folder) {
  Database::Options options;
  options.application_id = kSpillApplicationId;
  options.user_version = kSpillFormatVersion;
  return Must(Database::Open(OnlyFile(folder).path, options));
}

std::vector<OwnedEvent> Bounties(int count) {
  std::vector<OwnedEvent> events;
  for (int i = 1; i <= count; ++i) events.push_back(Bounty(i));
  return events;
}

void CheckRoundTrip(const std::vector<OwnedEvent>& events) {
  Fixture fixture;
  fixture.SpillAndSeal(events);
  SpillFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  const std::vector<OwnedRow> rows = ReadAll(file);
  REQUIRE(rows.size() == events.size());
  for (const OwnedRow& row : rows) {
    const OwnedEvent& event = events.at(static_cast<size_t>(row.ticket - 1));
    CHECK(row.event == event);
    CHECK(row.event_id_at == event.View().event_id_at);
  }
}

}  // namespace

// --- Damage is noticed -----------------------------------------------------------------------------------------------

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
  SpillFile file = fixture.OnlyFileOpened();
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
    auto file = SpillFile::Open(OnlyFile(fixture.folder));
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
  auto file = SpillFile::Open(OnlyFile(fixture.folder));
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
  SpillFile file = Must(SpillFile::Open(OnlyFile(fixture.folder)));
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
    auto file = Must(SpillFile::Open(Must(fixture.folder.List()).at(1)));
    Must(file.Close());
    Database::Options options;
    options.application_id = kSpillApplicationId;
    options.user_version = kSpillFormatVersion;
    Database raw = Must(Database::Open(Must(fixture.folder.List()).at(1).path, options));
    Must(raw.Execute("UPDATE \"bounty-stream\" SET amount = '151' WHERE _ticket = 3"));
  }
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.sealed == 0);
  CHECK(report.quarantined.size() == 1);
  const SpillFileInfo info = OnlyFile(fixture.folder);  // the empty one is gone
  CHECK(info.number == 2);
  CHECK(info.quarantined);
  SpillFile salvage = Must(SpillFile::Open(info));
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

// --- Nothing is lost when the process dies ---------------------------------------------------------------------------

TEST_CASE("a kill in the middle of a transaction keeps every committed row and none of the others") {
  Fixture fixture;
  REQUIRE(RunAndKill([&fixture] {
    auto writer = fixture.Writer();
    Spill(*writer, Bounties(100));
    Spill(*writer, Bounties(50), 101);
    Must(writer->Begin());
    for (int i = 0; i < 20'000; ++i) {  // more than the cache holds: rows of the open transaction reach the WAL
      Must(writer->Append(1000 + i, 1000, Bounty(i).View(), std::nullopt, {}));
    }
  }));
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.sealed == 1);
  CHECK(report.rows == 150);
  CHECK(OnlyFile(fixture.folder).state == State::kSealed);
  SpillFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(ReadAll(file).size() == 150);
}

TEST_CASE("a kill right after the file was created leaves nothing behind but an empty folder") {
  Fixture fixture;
  REQUIRE(RunAndKill([&fixture] {
    static auto writer = fixture.Writer();
    (void)writer->Begin().ok();
  }));
  CHECK(OnlyFile(fixture.folder).state == State::kActive);
  CHECK(Must(RecoverLeftBehind(fixture.folder)).sealed == 0);
  CHECK(Must(fixture.folder.List()).empty());
}

TEST_CASE("a kill between leaving the WAL and the rename is made good") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(3));
  std::filesystem::rename(fixture.folder.PathOf(1, State::kSealed), fixture.folder.PathOf(1, State::kActive));
  CHECK(Must(RecoverLeftBehind(fixture.folder)).rows == 3);
  CHECK(OnlyFile(fixture.folder).state == State::kSealed);
}

TEST_CASE("left-behind files that hold nothing are removed, unreadable ones quarantined, and the good one sealed") {
  Fixture fixture;
  const auto active = [&fixture](int64_t number) { return fixture.folder.PathOf(number, State::kActive); };
  WriteBytes(active(1), "");
  WriteBytes(active(2), std::string(5000, 'g'));
  WriteBytes(active(3), "");
  WriteBytes(active(3).native() + "-wal", std::string(5000, 'w'));
  WriteBytes(active(4).native() + "-wal", "beside nothing");
  {
    auto writer = fixture.Writer(5);
    Spill(*writer, Bounties(2));
  }
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.sealed == 1);
  CHECK(report.rows == 2);
  CHECK(report.quarantined.size() == 2);
  const std::vector<SpillFileInfo> files = Must(fixture.folder.List());
  REQUIRE(files.size() == 3);
  CHECK(files[0].number == 2);
  CHECK(files[0].quarantined);
  CHECK(files[1].number == 3);
  CHECK(files[1].quarantined);
  CHECK(files[2].state == State::kSealed);
  CHECK(ReadBytes(active(4).native() + "-wal") == "beside nothing");
}

TEST_CASE("suspect files keep their name and are left alone") {
  Fixture fixture;
  {
    auto writer = fixture.Writer();
    Spill(*writer, Bounties(2));
    writer->Abandon();
    Must(fixture.folder.MarkSuspect(writer->number()));
  }
  CHECK(Must(RecoverLeftBehind(fixture.folder)).sealed == 0);
  SpillFile file = fixture.OnlyFileOpened();
  CHECK(file.info().suspect);
  Must(file.Verify());
  CHECK(ReadAll(file).size() == 2);
}

TEST_CASE("a file of a newer version or of another program is an error and stays byte for byte as it is") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(3));
  const auto change = GENERATE(as<std::string>{}, "PRAGMA user_version = 2", "PRAGMA application_id = 1");
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute(change));
  }
  std::filesystem::rename(fixture.folder.PathOf(1, State::kSealed), fixture.folder.PathOf(1, State::kActive));
  const std::string before = ReadBytes(OnlyFile(fixture.folder).path);
  const auto recovered = RecoverLeftBehind(fixture.folder);
  REQUIRE_FALSE(recovered.ok());
  CHECK(recovered.error().code == ErrorCode::kForeign);
  CHECK(ReadBytes(OnlyFile(fixture.folder).path) == before);
}

TEST_CASE("the sidecar's active file is busy for everybody else") {
  Fixture fixture;
  auto writer = fixture.Writer();
  Spill(*writer, Bounties(1));
  CHECK(RunApart([&fixture] {
          Database::Options options;
          options.application_id = kSpillApplicationId;
          options.user_version = kSpillFormatVersion;
          options.busy_timeout_ms = 50;
          auto other = Database::Open(OnlyFile(fixture.folder).path, options);
          return !other.ok() && other.error().code == ErrorCode::kBusy ? 0 : 1;
        }) == 0);
  Spill(*writer, Bounties(1), 2);
  Must(writer->Seal(fixture.folder));
}

TEST_CASE("a file that exists is not begun again") {
  Fixture fixture;
  auto writer = fixture.Writer();
  Spill(*writer, Bounties(1));
  CHECK_FALSE(SpillWriter::Create(fixture.folder, WriterOptions()).ok());
  CHECK(writer->rows() == 1);
  CHECK(OnlyFile(fixture.folder).state == State::kActive);
}

// --- Full
// --------------------------------------------------------------------------------------------------------------

TEST_CASE("a batch that does not fit is not stored at all; what was before is, and can be sealed") {
  Fixture fixture;
  SpillWriter::Options options = WriterOptions();
  options.max_bytes = 256 * 1024;
  auto writer = Must(SpillWriter::Create(fixture.folder, options));
  Spill(*writer, Bounties(10));
  OwnedEvent large{"late-stream", {"body", std::string(100'000, 'b'), "event_id", "x"}, {}};
  Must(writer->Begin());
  Status status;
  int64_t ticket = 11;
  while (status.ok()) status = writer->Append(ticket++, 1000, large.View(), std::nullopt, {});
  CHECK(status.error().code == ErrorCode::kFull);
  writer->Rollback();
  CHECK(writer->rows() == 10);
  Spill(*writer, {Bounty(11), {"late-stream", {"event_id", "y"}, {}}}, 100);
  Must(writer->Seal(fixture.folder));
  SpillFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(ReadAll(file).size() == 12);
}

TEST_CASE("a file that has no room for its own schema is not begun, and leaves nothing") {
  Fixture fixture;
  SpillWriter::Options options = WriterOptions();
  options.max_bytes = 8192;
  const auto writer = SpillWriter::Create(fixture.folder, options);
  REQUIRE_FALSE(writer.ok());
  CHECK(writer.error().code == ErrorCode::kFull);
  CHECK(Must(fixture.folder.NextNumber()) == 1);
}

TEST_CASE("a full disk refuses the batch and keeps what was committed") {
  TemporaryFolder temporary;
  if (mount("tmpfs", temporary.path().c_str(), "tmpfs", 0, "size=256k") != 0) {
    WARN("not allowed to mount a file system: a really full disk was not tried");
    return;
  }
  const auto unmount = [](const std::filesystem::path* path) { umount2(path->c_str(), MNT_DETACH); };
  const std::unique_ptr<const std::filesystem::path, decltype(unmount)> mounted(&temporary.path(), unmount);
  const SpillFolder folder = Must(SpillFolder::Open(temporary.path() / "spill"));
  auto writer = Must(SpillWriter::Create(folder, WriterOptions()));
  Spill(*writer, Bounties(10));
  const OwnedEvent large{"bounty-stream", {"body", std::string(300'000, 'b'), "event_id", "x"}, {}};
  Must(writer->Begin());
  Status status = writer->Append(11, 1000, large.View(), std::nullopt, {});
  if (status.ok()) status = writer->Commit();
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code == ErrorCode::kFull);
  writer->Abandon();
  Must(folder.MarkSuspect(1));
  // The rows are in the WAL, and moving them into the database takes space.
  if (auto file = SpillFile::Open(OnlyFile(folder)); !file.ok()) CHECK(file.error().code == ErrorCode::kFull);
  REQUIRE(mount("tmpfs", temporary.path().c_str(), "tmpfs", MS_REMOUNT, "size=4m") == 0);
  SpillFile file = Must(SpillFile::Open(OnlyFile(folder)));
  CHECK(ReadAll(file).size() == 10);
}

// --- What goes in comes out
// --------------------------------------------------------------------------------------------

TEST_CASE("streams that SQLite would take for one table, or not at all, keep their own rows") {
  std::vector<OwnedEvent> events;
  for (const std::string& name : {std::string("Bounty"),
                                  std::string("bounty"),
                                  std::string("BOUNTY"),
                                  std::string("sqlite_x"),
                                  std::string("SQLITE_master"),
                                  std::string("_file"),
                                  std::string("_streams"),
                                  std::string("_stream-2"),
                                  std::string("stream-2"),
                                  std::string(""),
                                  std::string(" "),
                                  std::string("a\"b"),
                                  std::string("a'b"),
                                  std::string("a]b`c"),
                                  std::string("line\nbreak"),
                                  std::string("nul\0inside", 10),
                                  std::string("\xff\xfe"),
                                  std::string("select"),
                                  std::string(500, 'n'),
                                  std::string("Ä"),
                                  std::string("ä"),
                                  std::string("pragma_table_info"),
                                  std::string("sqlite_schema"),
                                  std::string("--"),
                                  std::string("?1")}) {
    events.push_back({name, {"name", name, "event_id", "1"}, {}});
    events.push_back({name, {"event_id", "1", "name", name}, {}});
  }
  CheckRoundTrip(events);
}

TEST_CASE("the table of a stream shows its fields to people") {
  Fixture fixture;
  fixture.SpillAndSeal({Bounty(1)});
  Database raw = OpenRaw(fixture.folder);
  Statement row = Must(raw.Prepare("SELECT github_id, amount, _event_id, typeof(github_id) FROM \"bounty-stream\""));
  REQUIRE(Must(row.Step()));
  CHECK(row.Bytes(0) == "1");
  CHECK(row.Bytes(1) == "150");
  CHECK(row.Bytes(2) == "e-1");
  CHECK(row.Bytes(3) == "text");
}

TEST_CASE("fields of every kind come back in their order, the event id in its place") {
  const std::string binary("\0\x01\xff\r\n", 5);
  OwnedEvent wide{"wide", {"event_id", "1"}, {}};
  for (int i = 0; i < 1000; ++i) wide.fields.insert(wide.fields.end(), {"f" + std::to_string(i), std::to_string(i)});
  CheckRoundTrip({
      {"first", {"event_id", "1", "a", "x", "b", "y"}, {}},
      {"middle", {"a", "x", "event_id", "1", "b", "y"}, {}},
      {"last", {"a", "x", "b", "y", "event_id", "1"}, {}},
      {"alone", {"event_id", "1"}, {}},
      {"own", {"a", "x", "event_id", "prod-1"}, {}},
      {"first", {"a", "x", "event_id", "1", "b", "y"}, {}},
      {"repeated", {"a", "1", "a", "2", "event_id", "1", "a", "1"}, {}},
      {"two ids", {"event_id", "1", "a", "x", "event_id", "2"}, {}},
      {"case", {"a", "1", "A", "2", "event_id", "1"}, {}},
      {"own names", {"_ticket", "1", "_raw", "2", "rowid", "3", "event_id", "1"}, {}},
      {"rowid", {"rowid", "1", "oid", "2", "event_id", "1"}, {}},
      {"empty", {"", "", "a", "", "event_id", "1"}, {}},
      {"empty value", {"a", "", "event_id", "1"}, {}},
      {"binary", {"a", binary, "event_id", binary}, {}},
      {"binary name", {binary, "a", "event_id", "1"}, {}},
      {"quotes", {"a\"b", "1", "c'd", "2", "[e]", "3", "`f`", "4", "g;--", "5", "event_id", "1"}, {}},
      {"words", {"primary key", "1", "select", "2", "generated always", "3", "event_id", "1"}, {}},
      {"numbers", {"a", "007", "b", "1e5", "c", "9223372036854775808", "event_id", "42"}, {}},
      {"large", {"a", std::string(1024 * 1024, 'x'), "event_id", "1"}, {}},
      {"options", {"a", "1", "event_id", "1"}, {"MAXLEN", "~", "1000", "LIMIT", "0"}},
      {"options", {"a", "1", "event_id", "2"}, {"MINID", "=", "5-0"}},
      {"options", {"a", "1", "event_id", "3"}, {}},
      wide,
      wide,
  });
}

TEST_CASE("random events come back byte for byte") {
  std::mt19937 random(20260301);
  const auto pick = [&random](size_t below) { return static_cast<size_t>(random() % below); };
  const std::vector<std::string> names = {"a", "A", "b",   "amount", "Amount",   "_x",
                                          "",  "Ä", "x y", "\xff",   "event_id", "q\"q"};
  const auto value = [&] {
    std::string bytes(pick(40), ' ');
    const bool is_text = pick(3) > 0;
    for (char& byte : bytes) byte = static_cast<char>(is_text ? 'a' + pick(26) : pick(256));
    return bytes;
  };
  for (int round = 0; round < 10; ++round) {
    std::vector<OwnedEvent> events;
    for (int i = 0; i < 200; ++i) {
      OwnedEvent event;
      event.stream = names[pick(names.size())];
      const size_t fields = pick(6);
      const size_t event_id_before = pick(fields + 1);
      for (size_t at = 0; at <= fields; ++at) {
        if (at == event_id_before) event.fields.insert(event.fields.end(), {"event_id", "e" + value()});
        if (at < fields) event.fields.insert(event.fields.end(), {names[pick(names.size())], value()});
      }
      if (pick(4) == 0) event.options = {"MAXLEN", std::to_string(pick(1000))};
      events.push_back(std::move(event));
    }
    CheckRoundTrip(events);
  }
}

TEST_CASE("doubt comes back with its anchor and connection, the sidecar's own ids are known") {
  Fixture fixture;
  const Doubt with_connection{{1700, 3}, ConnectionId{"run", 8}};
  const Doubt without_connection{{0, 0}, std::nullopt};
  auto writer = fixture.Writer();
  Must(writer->Begin());
  Must(writer->AddConnections(std::vector<ConnectionId>{{"run", 7}, {"run", 8}, {"run", 7}}));
  Must(writer->Append(1, 10, Bounty(1).View(), std::nullopt, {55, 1}));
  Must(writer->Append(2, 20, Bounty(2).View(), with_connection, {66, 1}));
  Must(writer->Append(3, 30,
                      OwnedEvent{"bounty-stream", {"github_id", "3", "amount", "1", "event_id", "prod-9"}, {}}.View(),
                      without_connection, {77, 1}));
  Must(writer->Commit());
  CHECK(writer->oldest_received_ms() == 10);
  Must(writer->Seal(fixture.folder));

  SpillFile file = fixture.OnlyFileOpened();
  CHECK(file.producer() == "prod");
  CHECK(file.event_id_field() == "event_id");
  CHECK(file.begun_ms() == 1'700'000'000'000);
  CHECK(Must(file.Connections()) == std::vector<ConnectionId>{{"run", 7}, {"run", 8}});
  CHECK(Must(file.Streams()).at(0).tail == StreamId{55, 1});
  const std::vector<OwnedRow> rows = ReadAll(file);
  REQUIRE(rows.size() == 3);
  CHECK_FALSE(rows[0].doubt);
  REQUIRE(rows[1].doubt);
  CHECK(rows[1].doubt->anchor == StreamId{1700, 3});
  CHECK(rows[1].doubt->connection == ConnectionId{"run", 8});
  REQUIRE(rows[2].doubt);
  CHECK_FALSE(rows[2].doubt->connection);
  CHECK(rows[2].received_ms == 30);
  CHECK_FALSE(rows[1].own_id);
  CHECK(rows[2].own_id);
}

TEST_CASE("what was rolled back leaves no stream and no connection, and both can come again") {
  Fixture fixture;
  auto writer = fixture.Writer();
  const Doubt doubt{{1, 1}, ConnectionId{"run", 1}};
  for (int i = 0; i < 2; ++i) {
    Must(writer->Begin());
    Must(writer->Append(1, 5, OwnedEvent{"Twin", {"event_id", "1"}, {}}.View(), doubt, {}));
    writer->Rollback();
  }
  CHECK(writer->rows() == 0);
  CHECK(writer->oldest_received_ms() == 0);
  Must(writer->Begin());
  Must(writer->Append(2, 7, OwnedEvent{"twin", {"event_id", "1"}, {}}.View(), doubt, {}));
  Must(writer->Commit());
  Must(writer->Seal(fixture.folder));
  SpillFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  REQUIRE(Must(file.Streams()).size() == 1);
  CHECK(Must(file.Streams())[0].table == "twin");
  CHECK(ReadAll(file)[0].doubt->connection == ConnectionId{"run", 1});
}

TEST_CASE("a refused row spoils its transaction only") {
  Fixture fixture;
  auto writer = fixture.Writer();
  Spill(*writer, Bounties(2));
  Must(writer->Begin());
  Must(writer->Append(3, 1000, Bounty(3).View(), std::nullopt, {}));
  CHECK_FALSE(writer->Append(1, 1000, Bounty(4).View(), std::nullopt, {}).ok());
  writer->Rollback();
  Spill(*writer, Bounties(1), 4);
  Must(writer->Seal(fixture.folder));
  SpillFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(ReadAll(file).size() == 3);
}

TEST_CASE("sealing a file without rows removes it") {
  Fixture fixture;
  auto writer = fixture.Writer();
  Must(writer->Seal(fixture.folder));
  CHECK(Must(fixture.folder.TotalBytes()) == 0);
}

TEST_CASE("a long WAL is moved into the database, and nothing is left beside a sealed file") {
  Fixture fixture;
  auto writer = fixture.Writer();
  OwnedEvent large{"large", {"body", std::string(1024 * 1024, 'b'), "event_id", "x"}, {}};
  for (int i = 1; i <= 20; ++i) {
    Spill(*writer, {large}, i);
    Must(writer->CheckpointIfDue());
    CHECK(std::filesystem::file_size(fixture.folder.PathOf(1, State::kActive).native() + "-wal") < 10 * 1024 * 1024);
  }
  Must(writer->CheckpointIfDue(true));
  CHECK(std::filesystem::file_size(fixture.folder.PathOf(1, State::kActive).native() + "-wal") == 0);
  Must(writer->Seal(fixture.folder));
  CHECK(writer->rows() == 20);
  const SpillFileInfo info = OnlyFile(fixture.folder);
  CHECK(info.bytes == Must(fixture.folder.TotalBytes()));
}

// --- The drainer's side
// --------------------------------------------------------------------------------------------------

TEST_CASE("rows are visited in ticket order within the bounds, newest first on demand, and no further than asked") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(10));
  SpillFile file = fixture.OnlyFileOpened();
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
  Must(file.VisitNewestFirst(stream, visitor));
  CHECK(seen == std::vector<int64_t>{10, 9, 8, 7});
}

TEST_CASE("a cursor survives, with what it left open") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(10));
  Cursor cursor;
  cursor.done_ticket = 4;
  cursor.open = Cursor::OpenRange{8, std::string("to\0here", 7), {17, 2}, "run", 2};
  {
    SpillFile file = fixture.OnlyFileOpened();
    const int64_t stream = Must(file.Streams()).at(0).id;
    Must(file.AddConnection({"run", 5}));
    Must(file.AddConnection({"run", 5}));
    Must(file.SaveCursor(stream, cursor));
    CHECK_FALSE(file.SaveCursor(99, cursor).ok());
    Must(file.Close());
  }
  SpillFile file = fixture.OnlyFileOpened();
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
  SpillFile file = fixture.OnlyFileOpened();
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
  SpillFile again = fixture.OnlyFileOpened();
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
  SpillFile file = fixture.OnlyFileOpened();
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
      auto file = SpillFile::Open(OnlyFile(fixture.folder));
      if (!file.ok() || !file.value().Verify().ok() || ReadAll(file.value()).size() != 500) _exit(1);
    }
    _exit(0);
  }
  {
    SpillFile file = fixture.OnlyFileOpened();
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
  SpillFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(Must(file.Streams()).at(0).cursor.done_ticket == 0);
  Must(file.Close());
  Must(fixture.folder.Move(1, State::kSealed, State::kDrained));
}
