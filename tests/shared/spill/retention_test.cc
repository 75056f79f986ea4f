#include "shared/spill/retention.h"

#include <limits>

#include <catch2/catch.hpp>

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite_file.h"
#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

namespace {

constexpr int64_t kEver = std::numeric_limits<int64_t>::max();

/// A drained file with two rows; `change` is done to it before it counts as drained.
struct Drained {
  TemporaryFolder temporary;
  DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));

  explicit Drained(const std::function<void(SpillFile&)>& change) {
    auto writer = Must(folder.CreateActive(WriterOptions()));
    Spill(*writer, {Bounty(1), Bounty(2)});
    Must(writer->Seal(folder));
    {
      SqliteFile file = Must(SqliteFile::Open(OnlyFile(folder)));
      change(file);
      Must(file.Close());
    }
    Must(folder.Move(1, SpillFileInfo::State::kSealed, SpillFileInfo::State::kDrained));
  }
};

}  // namespace

TEST_CASE("a drained file may go once it is old enough, and never while it holds an only copy") {
  const Drained whole([](SpillFile& file) { Must(file.MarkDrained(1000)); });
  CHECK(IsExpendable(whole.folder, OnlyFile(whole.folder), 1000));
  CHECK_FALSE(IsExpendable(whole.folder, OnlyFile(whole.folder), 999));

  const Drained rejected([](SpillFile& file) {
    Must(file.Reject(1, 1, "Redis breaks over it", Cursor{1, std::nullopt}));
    Must(file.MarkDrained(1000));
  });
  CHECK_FALSE(IsExpendable(rejected.folder, OnlyFile(rejected.folder), kEver));

  const Drained set_aside([](SpillFile&) {});  // as --salvage leaves the original
  CHECK_FALSE(IsExpendable(set_aside.folder, OnlyFile(set_aside.folder), kEver));

  const Drained damaged([](SpillFile& file) { Must(file.MarkDrained(1000)); });
  WriteBytes(OnlyFile(damaged.folder).path, "no database");
  CHECK_FALSE(IsExpendable(damaged.folder, OnlyFile(damaged.folder), kEver));
}

TEST_CASE("a file that waits may not go") {
  TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  auto writer = Must(folder.CreateActive(WriterOptions()));
  Spill(*writer, {Bounty(1)});
  Must(writer->Seal(folder));
  CHECK_FALSE(IsExpendable(folder, OnlyFile(folder), kEver));
}
