// Spill files on a full disk.
#include <sys/mount.h>

#include <catch2/catch.hpp>

#include "shared/spill/file.h"
#include "tests/shared/spill/file_fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

TEST_CASE("a batch that does not fit is not stored at all; what was before is, and can be sealed") {
  Fixture fixture;
  SpillWriter::Options options = WriterOptions();
  options.max_bytes = 256 * 1024;
  auto writer = Must(fixture.folder.CreateActive(options));
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
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  CHECK(ReadAll(file).size() == 12);
}

TEST_CASE("a file that has no room for its own schema is not begun, and leaves nothing") {
  Fixture fixture;
  SpillWriter::Options options = WriterOptions();
  options.max_bytes = 8192;
  const auto writer = fixture.folder.CreateActive(options);
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
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  auto writer = Must(folder.CreateActive(WriterOptions()));
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
  if (auto file = SqliteFile::Open(OnlyFile(folder)); !file.ok()) CHECK(file.error().code == ErrorCode::kFull);
  REQUIRE(mount("tmpfs", temporary.path().c_str(), "tmpfs", MS_REMOUNT, "size=4m") == 0);
  SqliteFile file = Must(SqliteFile::Open(OnlyFile(folder)));
  CHECK(ReadAll(file).size() == 10);
}
