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
  CHECK_FALSE(fixture.folder.CreateActive(WriterOptions()).ok());
  CHECK(writer->rows() == 1);
  CHECK(OnlyFile(fixture.folder).state == State::kActive);
}
