// Spill files: nothing is lost when the process dies, and what it left is put in order.
#include <catch2/catch.hpp>

#include "shared/spill/file.h"
#include "tests/shared/spill/file_fixture.h"

using namespace sprockets;
using namespace sprockets::testing;
using State = SpillFileInfo::State;

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
  SqliteFile file = fixture.OnlyFileOpened();
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

/// What a killed writer leaves that had checkpointed `counted` rows and then committed `later` ones.
void LeaveBehind(const Fixture& fixture, int counted, int later) {
  auto writer = fixture.Writer();
  Spill(*writer, Bounties(counted));
  Must(writer->CheckpointIfDue(/*force=*/true));
  Spill(*writer, Bounties(later), counted + 1);
  writer->Abandon();
}

TEST_CASE("a recovery goes on from what the killed writer had counted, and the whole file is vouched for") {
  Fixture fixture;
  LeaveBehind(fixture, 100, 10);
  CHECK(Must(RecoverLeftBehind(fixture.folder)).rows == 110);
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  const SpilledStream stream = Must(file.Streams()).at(0);
  CHECK(stream.rows == 110);
  CHECK(stream.last_ticket == 110);
  CHECK(ReadAll(file).size() == 110);
}

TEST_CASE("a row that a killed writer had counted is not read again, and its loss is found by whoever reads the file") {
  Fixture fixture;
  LeaveBehind(fixture, 100, 10);
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute("DELETE FROM \"bounty-stream\" WHERE _ticket = 4"));
  }
  CHECK(Must(RecoverLeftBehind(fixture.folder)).rows == 110);
  const Status verified = fixture.OnlyFileOpened().Verify();
  REQUIRE_FALSE(verified.ok());
  CHECK(verified.error().code == ErrorCode::kCorrupt);
}

TEST_CASE("a left-behind file with a bad row that nobody had counted, or with impossible counts, is quarantined") {
  Fixture fixture;
  LeaveBehind(fixture, 100, 10);
  const auto change =
      GENERATE(as<std::string>{}, "UPDATE \"bounty-stream\" SET amount = '151' WHERE _ticket = 104",
               "UPDATE _streams SET rows = 0", "UPDATE _streams SET rows = -1", "UPDATE _streams SET last_ticket = 0",
               "UPDATE _streams SET last_ticket = 9223372036854775807", "UPDATE _streams SET rows = 1 << 62",
               "DELETE FROM \"bounty-stream\"");
  CAPTURE(change);
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute(change));
  }
  const RecoveryReport report = Must(RecoverLeftBehind(fixture.folder));
  CHECK(report.sealed == 0);
  CHECK(report.quarantined.size() == 1);
  CHECK(OnlyFile(fixture.folder).quarantined);
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
  SqliteFile file = fixture.OnlyFileOpened();
  CHECK(file.info().suspect);
  Must(file.Verify());
  CHECK(ReadAll(file).size() == 2);
}

TEST_CASE("a file of a newer version or of another program is an error and stays byte for byte as it is") {
  Fixture fixture;
  fixture.SpillAndSeal(Bounties(3));
  const auto change = GENERATE(as<std::string>{}, "PRAGMA user_version = 4", "PRAGMA application_id = 1");
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
          options.user_version = kJournalFormatVersion;
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
  CHECK_FALSE(fixture.folder.CreateActive(WriterOptions()).ok());
  CHECK(writer->rows() == 1);
  CHECK(OnlyFile(fixture.folder).state == State::kActive);
}
