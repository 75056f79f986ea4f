#include "shared/spill/state_file.h"

#include <functional>

#include <catch2/catch.hpp>

#include "shared/spill/disk_folder.h"
#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

namespace {

struct StateFixture {
  TemporaryFolder temporary;
  DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));

  Result<Database> Raw(int32_t version = 2) const {
    Database::Options options;
    options.journal = Database::Journal::kWal;
    options.application_id = 0x53505253;
    options.user_version = version;
    return Database::Open(folder.StatePath(), options);
  }
};

LandedMark MarkOf(const std::string& stream, int64_t ticket) {
  const auto number = static_cast<uint64_t>(ticket);
  return {stream, {1'700'000'000'000, number << 16}, {1'700'000'000'001, number}, "run-a", "replid-a"};
}

}  // namespace

TEST_CASE("tickets begin at 1 and never restart, however the process ends") {
  StateFixture fixture;
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    CHECK(Must(state.NextTicket()) == 1);
    CHECK(Must(state.NextTicket()) == 2);
    Must(state.Close());
  }
  int64_t above = 2;
  for (int life = 0; life < 3; ++life) {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    const int64_t ticket = Must(state.NextTicket());
    CHECK(ticket > above);
    above = ticket;
  }
  CHECK(RunAndKill([&fixture] {
    auto state = StateFile::Open(fixture.folder, {});
    for (int i = 0; i < 25'000; ++i) {
      if (!state.value().NextTicket().ok()) _exit(1);
    }
  }));
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  CHECK(Must(state.NextTicket()) > above + 25'000);
}

TEST_CASE("after a lost state file tickets go on above those of the folder, and connections are lost") {
  StateFixture fixture;
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    Must(state.Record(kFirst, {}));
    CHECK_FALSE(state.connections_lost());
  }
  std::filesystem::remove(fixture.folder.StatePath());
  std::filesystem::remove(fixture.folder.StatePath().native() + "-wal");
  StateFile state = Must(StateFile::Open(fixture.folder, {.folder_has_files = true, .highest_ticket = 77}));
  CHECK(Must(state.NextTicket()) == 78);
  CHECK(state.connections().empty());
  CHECK(state.connections_lost());
}

TEST_CASE("a folder's ticket above the reserved ones wins") {
  StateFixture fixture;
  Must(Must(StateFile::Open(fixture.folder, {})).NextTicket());
  StateFile state = Must(StateFile::Open(fixture.folder, {.folder_has_files = true, .highest_ticket = 1'000'000}));
  CHECK(Must(state.NextTicket()) == 1'000'001);
}

TEST_CASE("an unreadable state file is set aside, none before it replaced") {
  StateFixture fixture;
  const std::string broken = fixture.folder.StatePath().native() + ".broken-";
  for (int n = 1; n <= 2; ++n) {
    WriteBytes(fixture.folder.StatePath(), "garbage " + std::to_string(n) + std::string(5000, 'g'));
    StateFile state = Must(StateFile::Open(fixture.folder, {.folder_has_files = true, .highest_ticket = 5}));
    CHECK(state.connections_lost());
    CHECK(Must(state.NextTicket()) == 6);
    CHECK(ReadBytes(broken + std::to_string(n)).starts_with("garbage " + std::to_string(n)));
  }
}

TEST_CASE("an unreadable state file is a lost one, also where there are no spill files") {
  StateFixture fixture;
  WriteBytes(fixture.folder.StatePath(), std::string(5000, 'g'));
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  CHECK(state.connections_lost());
  CHECK_FALSE(state.nothing_was_in_flight());
  CHECK(state.redis_first_until_ms() == StateFile::kStillGoingOn);
}

TEST_CASE("which life put events straight into Redis, and until when, outlives a kill") {
  StateFixture fixture;
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    CHECK(state.redis_first_until_ms() == 0);
    Must(state.NoteDiskFirst(5));
    CHECK(state.redis_first_until_ms() == 0);  // there was none
    Must(state.Record({"run", 1}, {}));
  }
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    CHECK(state.redis_first_until_ms() == StateFile::kStillGoingOn);
    Must(state.NoteDiskFirst(1'000));
    Must(state.NoteDiskFirst(2'000));  // it has ended already
  }
  CHECK(Must(StateFile::Open(fixture.folder, {})).redis_first_until_ms() == 1'000);
}

TEST_CASE("a state file of a newer version stays untouched") {
  StateFixture fixture;
  Database::Options options;
  options.application_id = 0x53505253;
  options.user_version = 99;
  options.initialize = [](Database& database) { return database.Execute("CREATE TABLE t (a ANY) STRICT"); };
  Must(Database::Open(fixture.folder.StatePath(), options));
  const std::string before = ReadBytes(fixture.folder.StatePath());
  const auto state = StateFile::Open(fixture.folder, {});
  REQUIRE_FALSE(state.ok());
  CHECK(state.error().code == ErrorCode::kForeign);
  CHECK(ReadBytes(fixture.folder.StatePath()) == before);
}

TEST_CASE("a drainer does not make a state file where there is none") {
  StateFixture fixture;
  const auto state = StateFile::OpenExisting(fixture.folder);
  REQUIRE_FALSE(state.ok());
  CHECK(state.error().code == ErrorCode::kNotFound);
  CHECK_FALSE(std::filesystem::exists(fixture.folder.StatePath()));
}

TEST_CASE("a recorded connection survives a kill, and goes only when it is struck off") {
  StateFixture fixture;
  CHECK(RunAndKill([&fixture] {
    auto state = StateFile::Open(fixture.folder, {});
    if (!state.value().Record(kFirst, {}).ok() || !state.value().Record(kSecond, {}).ok()) _exit(1);
  }));
  {
    StateFile state = Must(StateFile::OpenExisting(fixture.folder));
    CHECK(state.connections() == std::vector<ConnectionId>{kFirst, kSecond});
    Must(state.Record(kOtherLife, std::vector<ConnectionId>{kFirst}));
    CHECK(state.connections() == std::vector<ConnectionId>{kSecond, kOtherLife});
    Must(state.Record(kOtherLife, {}));
    Must(state.Strike(std::vector<ConnectionId>{kSecond, kFirst}));
    Must(state.Close());
  }
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  CHECK(state.connections() == std::vector<ConnectionId>{kOtherLife});
}

TEST_CASE("lost connections stay lost until the server's life is another one") {
  StateFixture fixture;
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {.folder_has_files = true, .highest_ticket = 0}));
    Must(state.Record(kFirst, {}));
    Must(state.Record(kSecond, {}));
    CHECK(state.connections_lost());
  }
  StateFile state = Must(StateFile::Open(fixture.folder, {.folder_has_files = true, .highest_ticket = 0}));
  CHECK(state.connections_lost());
  Must(state.Record(kOtherLife, {}));
  CHECK_FALSE(state.connections_lost());
}

TEST_CASE("the 4097th connection pushes out the oldest, and that is not hidden") {
  StateFixture fixture;
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  // Many at once cannot be recorded, so the list is filled behind the file's back.
  Must(state.Close());
  {
    Database::Options options;
    options.journal = Database::Journal::kWal;
    options.application_id = 0x53505253;
    options.user_version = 1;
    Database database = Must(Database::Open(fixture.folder.StatePath(), options));
    Must(
        database.Execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4096) "
                         "INSERT INTO connections (run_id, client_id) SELECT 'run-a', i FROM n"));
  }
  state = Must(StateFile::Open(fixture.folder, {}));
  REQUIRE(state.connections().size() == 4096);
  Must(state.Record({"run-a", 5000}, {}));
  CHECK(state.connections().size() == 4096);
  CHECK(state.connections().front() == ConnectionId{"run-a", 2});
  CHECK(state.connections().back() == ConnectionId{"run-a", 5000});
  CHECK(state.connections_lost());
}

TEST_CASE("recording connections and reserving tickets takes no new space on the disk") {
  StateFixture fixture;
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  const int64_t bytes = Must(fixture.folder.TotalBytes());
  for (int64_t client = 1; client <= 300; ++client) Must(state.Record({std::string(40, 'r'), client}, {}));
  for (int i = 0; i < 20'001; ++i) Must(state.NextTicket());
  CHECK(Must(fixture.folder.TotalBytes()) == bytes);
  Must(state.Close());
  state = Must(StateFile::Open(fixture.folder, {}));
  CHECK(Must(fixture.folder.TotalBytes()) == bytes);
}

TEST_CASE("that nothing was in flight is known only until a connection is written down") {
  StateFixture fixture;
  const auto live = [&](const std::function<void(StateFile&)>& life) {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    const bool nothing_was_in_flight = state.nothing_was_in_flight();
    life(state);
    return nothing_was_in_flight;
  };
  CHECK(live([](StateFile& state) { Must(state.Record(kFirst, {})); }));  // there was no life before
  // This one reached nobody, so what the first one had in flight is not settled by its end.
  CHECK_FALSE(live([](StateFile& state) { Must(state.NoteNothingInFlight()); }));
  CHECK_FALSE(live([](StateFile& state) {
    Must(state.Record(kSecond, {}));
    Must(state.NoteNothingInFlight());
  }));
  CHECK(live([](StateFile& state) { Must(state.NextTicket()); }));
  CHECK(live([](StateFile& state) {
    Must(state.Record(kSecond, {}));
    Must(state.NoteNothingInFlight());
    Must(state.Record(kOtherLife, {}));
    Must(state.Close());
  }));
  CHECK_FALSE(live([](StateFile&) {}));
}

TEST_CASE("a state file that is lost, or of before, may have left something in flight") {
  StateFixture fixture;
  SECTION("lost") {
    StateFile state = Must(StateFile::Open(fixture.folder, {.folder_has_files = true}));
    CHECK_FALSE(state.nothing_was_in_flight());
  }
  SECTION("of before") {
    Must(Must(StateFile::Open(fixture.folder, {})).Close());
    {
      Database::Options options;
      options.journal = Database::Journal::kWal;
      options.application_id = 0x53505253;
      options.user_version = 1;
      Must(Must(Database::Open(fixture.folder.StatePath(), options)).Execute("DROP TABLE nothing_in_flight"));
    }
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    CHECK_FALSE(state.nothing_was_in_flight());
    Must(state.Record(kFirst, {}));
    Must(state.NoteNothingInFlight());
    Must(state.Close());
    CHECK(Must(StateFile::Open(fixture.folder, {})).nothing_was_in_flight());
  }
}

TEST_CASE("a connection that INFO did not name counts as lost until the server's life is another one") {
  StateFixture fixture;
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  Must(state.Record({"", 5}, {}));
  Must(state.Record(kFirst, {}));
  CHECK(state.connections() == std::vector{kFirst});
  CHECK(state.connections_lost());
  Must(state.Record(kSecond, std::vector{kFirst}));
  CHECK(state.connections_lost());
  Must(state.Record(kOtherLife, std::vector{kSecond}));
  CHECK_FALSE(state.connections_lost());
  Must(state.Close());
  CHECK(Must(StateFile::Open(fixture.folder, {})).connections() == std::vector{kOtherLife});
}

TEST_CASE("tags and landed marks outlive a kill, whatever their streams are called") {
  StateFixture fixture;
  const std::string binary("\0\xff'\"", 4);
  CHECK(RunAndKill([&] {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    Must(state.AddTag(2'097'151));
    Must(state.AddTag(7));
    Must(state.AddTag(2'097'151));
    Must(state.NoteLanded(std::vector{MarkOf("s", 1), MarkOf(binary, 2), MarkOf("", 3)}));
    Must(state.NoteLanded(std::vector{MarkOf("s", 9)}));
  }));
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  CHECK(state.tags() == std::vector<uint32_t>{2'097'151, 7});
  CHECK((state.landed() == LandedMarks{{"s", MarkOf("s", 9)}, {binary, MarkOf(binary, 2)}, {"", MarkOf("", 3)}}));
  Must(state.AddTag(8));
  Must(state.Record(kFirst, {}));
  Must(state.NextTicket());
  const LandedMarks before = state.landed();
  Must(state.Close());
  state = Must(StateFile::OpenExisting(fixture.folder));
  CHECK(state.tags() == std::vector<uint32_t>{2'097'151, 7, 8});
  CHECK((state.landed() == before));
  CHECK(state.connections() == std::vector{kFirst});
}

TEST_CASE("a mark without an id, and one of the highest id, come back as they are") {
  StateFixture fixture;
  const LandedMark nothing{"a", {}, {}, "", ""};
  const LandedMark most{"b", {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, "r", "p"};
  Must(Must(StateFile::Open(fixture.folder, {})).NoteLanded(std::vector{nothing, most}));
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  CHECK((state.landed() == LandedMarks{{"a", nothing}, {"b", most}}));
}

TEST_CASE("a state file without a tag is one that programs of before open, one with a tag they refuse") {
  StateFixture fixture;
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    Must(state.Record(kFirst, {}));
    Must(state.NextTicket());
    Must(state.Close());
  }
  {
    Database raw = Must(fixture.Raw(1));
    CHECK(Must(raw.QueryInteger("PRAGMA user_version")) == 1);
    CHECK(Must(raw.QueryInteger("SELECT count(*) FROM sqlite_schema WHERE name IN ('tags', 'landed')")) == 0);
  }
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    CHECK(state.tags().empty());
    CHECK(state.landed().empty());
    CHECK(state.connections() == std::vector{kFirst});
    Must(state.AddTag(5));
  }
  const auto refused = fixture.Raw(1);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kForeign);
  CHECK(Must(StateFile::Open(fixture.folder, {})).connections() == std::vector{kFirst});
}

TEST_CASE("a state file whose marks cannot be read is set aside") {
  StateFixture fixture;
  const auto change = GENERATE(as<std::string>{}, "UPDATE tags SET tag = -1", "UPDATE tags SET tag = 1 << 32",
                               "UPDATE landed SET landed = 'x'", "UPDATE landed SET top = '1'", "DROP TABLE landed");
  CAPTURE(change);
  {
    StateFile state = Must(StateFile::Open(fixture.folder, {}));
    Must(state.AddTag(5));
    Must(state.NoteLanded(std::vector{MarkOf("s", 1)}));
    Must(state.Close());
  }
  {
    Database raw = Must(fixture.Raw());
    Must(raw.Execute(change));
  }
  StateFile state = Must(StateFile::Open(fixture.folder, {.folder_has_files = true}));
  CHECK(state.tags().empty());
  CHECK(state.landed().empty());
  CHECK(std::filesystem::exists(fixture.folder.StatePath().native() + ".broken-1"));
}

TEST_CASE("a mark of one stream among a thousand is noted without the others, and the WAL stays in its room") {
  StateFixture fixture;
  StateFile state = Must(StateFile::Open(fixture.folder, {}));
  Must(state.AddTag(5));
  std::vector<LandedMark> marks;
  for (int i = 0; i < 1024; ++i) marks.push_back(MarkOf("stream-" + std::to_string(i), 1));
  Must(state.NoteLanded(marks));
  const auto bytes = [&] {
    return std::filesystem::file_size(fixture.folder.StatePath()) +
           std::filesystem::file_size(fixture.folder.StatePath().native() + "-wal");
  };
  const auto before = bytes();
  for (int64_t ticket = 2; ticket < 500; ++ticket) Must(state.NoteLanded(std::vector{MarkOf("stream-512", ticket)}));
  CHECK(bytes() == before);
  Must(state.Close());
  state = Must(StateFile::Open(fixture.folder, {}));
  CHECK(state.landed().size() == 1024);
  CHECK(state.landed().at("stream-512") == MarkOf("stream-512", 499));
  CHECK(state.landed().at("stream-511") == MarkOf("stream-511", 1));
}
