// Spill files: what goes in comes out.
#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "shared/spill/file.h"
#include "tests/shared/spill/file_fixture.h"

using namespace sprockets;
using namespace sprockets::testing;
using State = SpillFileInfo::State;

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

  SqliteFile file = fixture.OnlyFileOpened();
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

TEST_CASE("one call takes events of several streams and layouts, in doubt or not, and gives each its own row") {
  Fixture fixture;
  const Doubt doubt{{1700, 3}, ConnectionId{"run", 8}};
  const std::vector<OwnedEvent> events = {
      Bounty(1),
      {"other", {"event_id", "o1", "x", "1"}, {"MAXLEN", "~", "10"}},
      {"bounty-stream", {"amount", "3", "event_id", "another layout"}, {}},
      Bounty(4),
      {"other", {"event_id", "o5", "x", std::string("\0\xff", 2)}, {}},
      {"_own", {"event_id", "6"}, {"MINID", "5"}},
  };
  std::vector<EventView> views;
  for (const OwnedEvent& event : events) views.push_back(event.View());
  std::vector<SpillRow> rows;
  for (size_t i = 0; i < views.size(); ++i)
    rows.push_back({static_cast<int64_t>(i) + 1, 100, &views[i], i % 2 == 1 ? &doubt : nullptr, {}});
  auto writer = fixture.Writer();
  Must(writer->Begin());
  Must(writer->AppendAll(rows));
  Must(writer->Commit());
  CHECK(writer->rows() == 6);
  Must(writer->Seal(fixture.folder));
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  std::vector<OwnedRow> stored = ReadAll(file);
  REQUIRE(stored.size() == events.size());
  std::sort(stored.begin(), stored.end(), [](const auto& a, const auto& b) { return a.ticket < b.ticket; });
  for (size_t i = 0; i < events.size(); ++i) {
    CHECK(stored[i].event == events[i]);
    CHECK(stored[i].doubt.has_value() == (i % 2 == 1));
  }
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
  SqliteFile file = fixture.OnlyFileOpened();
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
  SqliteFile file = fixture.OnlyFileOpened();
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
