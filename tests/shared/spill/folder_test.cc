#include <sys/mount.h>

#include <catch2/catch.hpp>

#include "shared/base/clock.h"
#include "shared/spill/disk_folder.h"
#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;
using State = SpillFileInfo::State;

namespace {

void Touch(const SpillFolder& folder, int64_t number, State state, std::string_view bytes = "x") {
  WriteBytes(folder.PathOf(number, state), bytes);
}

}  // namespace

TEST_CASE("a folder whose parent is missing, or that is a file, cannot be used") {
  TemporaryFolder temporary;
  CHECK_FALSE(DiskFolder::Open(temporary.path() / "a" / "b").ok());
  WriteBytes(temporary.path() / "file", "x");
  CHECK_FALSE(DiskFolder::Open(temporary.path() / "file").ok());
  const auto missing = DiskFolder::OpenExisting(temporary.path() / "a");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == ErrorCode::kNotFound);
}

TEST_CASE("a new folder is nobody else's to read") {
  TemporaryFolder temporary;
  Must(DiskFolder::Open(temporary.path() / "spill"));
  CHECK(std::filesystem::status(temporary.path() / "spill").permissions() == std::filesystem::perms(0700));
  CHECK(std::filesystem::status(temporary.path() / "spill" / "drained").permissions() == std::filesystem::perms(0700));
}

TEST_CASE("a folder behind a symbolic link holds files that can be opened") {
  TemporaryFolder temporary;
  std::filesystem::create_directory(temporary.path() / "real");
  std::filesystem::create_symlink(temporary.path() / "real", temporary.path() / "link");
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "link" / "spill"));
  CHECK(folder.path() == temporary.path() / "real" / "spill");
  CHECK(folder.CreateActive(WriterOptions()).ok());
}

TEST_CASE("a lock excludes another process until it is gone, killed or not") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  const auto try_lock = [&folder] { return folder.LockForWriting(0).ok() ? 0 : 1; };
  {
    const FileLock lock = Must(folder.LockForWriting(0));
    CHECK(RunApart(try_lock) == 1);
    CHECK(RunApart([&folder] { return folder.LockForDraining(0).ok() ? 0 : 1; }) == 0);
  }
  CHECK(RunApart(try_lock) == 0);
  CHECK(RunAndKill([&folder] {
    static Result<FileLock> lock = folder.LockForWriting(0);
    if (!lock.ok()) _exit(1);
  }));
  CHECK(RunApart(try_lock) == 0);
  CHECK(std::filesystem::status(folder.path() / "lock").permissions() == std::filesystem::perms(0600));
}

TEST_CASE("a lock that is not given up is waited for, and no longer than asked") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  const FileLock lock = Must(folder.LockForWriting(0));
  CHECK(RunApart([&folder] {
          const int64_t begin_ms = SteadyClockMs();
          const auto second = folder.LockForWriting(150);
          const int64_t waited_ms = SteadyClockMs() - begin_ms;
          return !second.ok() && second.error().code == ErrorCode::kBusy && waited_ms >= 150 && waited_ms < 5000 ? 0
                                                                                                                 : 1;
        }) == 0);
}

TEST_CASE("a moved lock is given up once, by its last owner") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  FileLock lock = Must(folder.LockForWriting(0));
  FileLock other = std::move(lock);
  CHECK(other.held());
  lock = std::move(other);
  CHECK(lock.held());
  CHECK_FALSE(folder.LockForWriting(0).ok());
}

TEST_CASE("files are listed by number with their markers; names that are not ours are passed over") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  Touch(folder, 12, State::kActive, "1234");
  Touch(folder, 3, State::kSealed);
  Touch(folder, 2, State::kDrained);
  Touch(folder, 1'234'567, State::kSealed);
  WriteBytes(folder.PathOf(12, State::kActive).native() + "-wal", "123");
  Must(folder.MarkSuspect(12));
  Must(folder.MarkQuarantined(3));
  for (const char* name : {"spill-7.active.sqlite", "spill-000008.sealed.sqlite.bak", "spill-000000.sealed.sqlite",
                           "spill-00000x.sealed.sqlite", "notes.txt", "spill--00001.sealed.sqlite"}) {
    WriteBytes(folder.path() / name, "x");
  }
  const std::vector<SpillFileInfo> files = Must(folder.List());
  REQUIRE(files.size() == 4);
  CHECK(files[0].number == 2);
  CHECK(files[0].state == State::kDrained);
  CHECK(files[1].number == 3);
  CHECK(files[1].quarantined);
  CHECK_FALSE(files[1].suspect);
  CHECK(files[2].number == 12);
  CHECK(files[2].suspect);
  CHECK(files[2].bytes == 7);
  CHECK(files[3].number == 1'234'567);
}

TEST_CASE("a number in two states is corrupt") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  Touch(folder, 1, State::kSealed);
  Touch(folder, 1, State::kDrained);
  const auto files = folder.List();
  REQUIRE_FALSE(files.ok());
  CHECK(files.error().code == ErrorCode::kCorrupt);
}

TEST_CASE("the next number is above everything that was ever named, orphans and markers too") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  CHECK(Must(folder.NextNumber()) == 1);
  Touch(folder, 4, State::kDrained);
  CHECK(Must(folder.NextNumber()) == 5);
  Must(folder.MarkSuspect(6));
  CHECK(Must(folder.NextNumber()) == 7);
  WriteBytes(folder.path() / "spill-000009.active.sqlite-wal", "orphan");
  CHECK(Must(folder.NextNumber()) == 10);
  CHECK(Must(folder.List()).size() == 1);
}

TEST_CASE("a database is not renamed away from a journal that holds a part of it") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  for (const char* suffix : {"-wal", "-journal"}) {
    Touch(folder, 1, State::kActive);
    WriteBytes(folder.PathOf(1, State::kActive).native() + suffix, "rows");
    const Status moved = folder.Move(1, State::kActive, State::kSealed);
    REQUIRE_FALSE(moved.ok());
    CHECK(moved.error().code == ErrorCode::kBusy);
    CHECK(std::filesystem::exists(folder.PathOf(1, State::kActive)));
    std::filesystem::remove(folder.PathOf(1, State::kActive).native() + suffix);
  }
  WriteBytes(folder.PathOf(1, State::kActive).native() + "-wal", "");
  CHECK(folder.Move(1, State::kActive, State::kSealed).ok());
  CHECK_FALSE(std::filesystem::exists(folder.PathOf(1, State::kActive).native() + "-wal"));
}

TEST_CASE("a move never replaces a file") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  Touch(folder, 1, State::kActive, "active");
  Touch(folder, 1, State::kSealed, "sealed");
  CHECK_FALSE(folder.Move(1, State::kActive, State::kSealed).ok());
  CHECK(ReadBytes(folder.PathOf(1, State::kSealed)) == "sealed");
}

TEST_CASE("markers go when a file is drained or removed") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  Touch(folder, 1, State::kActive);
  Must(folder.MarkSuspect(1));
  Must(folder.Move(1, State::kActive, State::kDrained));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "spill-000001.suspect"));
  Touch(folder, 2, State::kActive);
  WriteBytes(folder.PathOf(2, State::kActive).native() + "-wal", "x");
  Must(folder.MarkQuarantined(2));
  for (const SpillFileInfo& file : Must(folder.List())) Must(folder.Remove(file));
  CHECK(Must(folder.TotalBytes()) == 0);
  CHECK(Must(folder.NextNumber()) == 1);
}

TEST_CASE("a full disk still has the reserve") {
  TemporaryFolder temporary;
  if (mount("tmpfs", temporary.path().c_str(), "tmpfs", 0, "size=32m") != 0) {
    WARN("not permitted to mount a tmpfs: skipped");
    return;
  }
  {
    const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
    Must(folder.KeepReserve());
    CHECK(Must(folder.TotalBytes()) == 0);
    Must(folder.SpendReserve());  // there is room left: nothing is spent
    CHECK(std::filesystem::file_size(folder.path() / "reserve") == 2 * 1024 * 1024);
    WriteBytes(temporary.path() / "other", std::string(40 * 1024 * 1024, 'x'));
    REQUIRE(Must(folder.FreeBytes()) == 0);
    Must(folder.SpendReserve());
    CHECK(Must(folder.FreeBytes()) == 2 * 1024 * 1024);
    CHECK_FALSE(folder.KeepReserve().ok());
  }
  umount2(temporary.path().c_str(), MNT_DETACH);
}

TEST_CASE("all bytes of spill files count") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  Touch(folder, 1, State::kDrained, "12345");
  Touch(folder, 2, State::kActive, "123");
  WriteBytes(folder.StatePath(), "1");
  CHECK(Must(folder.TotalBytes()) == 8);  // the state file is none of them
  CHECK(Must(folder.FreeBytes()) > 0);
}
