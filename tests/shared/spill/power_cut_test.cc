// A power cut leaves only what was synced. SQLite works through a layer of ours here that keeps a second image of every
// file, into which writes come only with the sync behind them.
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite_file.h"
#include "shared/spill/state_file.h"
#include "tests/shared/spill/fixture.h"

namespace sprockets::testing {
namespace {

/// While it lives, SQLite's files go through it. One at a time.
class PowerCutDisk {
 public:
  PowerCutDisk() {
    the_disk = this;
    unix_ = sqlite3_vfs_find(nullptr);
    vfs_ = *unix_;
    vfs_.zName = "power-cut";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + unix_->szOsFile;
    vfs_.xOpen = Open;
    vfs_.xDelete = Delete;
    REQUIRE(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK);
  }
  PowerCutDisk(const PowerCutDisk&) = delete;
  PowerCutDisk& operator=(const PowerCutDisk&) = delete;
  ~PowerCutDisk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(unix_, 1);
  }

  /// What a power cut now would leave of `folder`, put into `after`. What SpillFolder renames and removes, it syncs.
  void CutPower(const std::filesystem::path& folder, const std::filesystem::path& after) const {
    for (const auto& [path, bytes] : synced_) {
      const auto name = std::filesystem::path(path).lexically_relative(folder);
      const bool is_there = std::filesystem::exists(path) || deletion_not_synced_.contains(path);
      if (*name.begin() != ".." && is_there) WriteBytes(after / name, bytes);
    }
  }

 private:
  /// What SQLite holds of an open file; the real one lies behind it.
  struct File {
    sqlite3_file base;
    std::string* path;     // null: a temporary file
    std::string* current;  // its bytes, synced or not
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File* From(sqlite3_file* file) { return reinterpret_cast<File*>(file); }

  static int Open(sqlite3_vfs*, const char* name, sqlite3_file* opened, int flags, int* flags_out) {
    File* file = From(opened);
    sqlite3_vfs* unix_vfs = the_disk->unix_;
    const int result = unix_vfs->xOpen(unix_vfs, name, file->real(), flags, flags_out);
    file->base.pMethods = nullptr;
    if (result != SQLITE_OK) return result;
    file->path = name == nullptr ? nullptr : new std::string(name);
    file->current = new std::string(name == nullptr ? std::string() : ReadBytes(name));
    static const sqlite3_io_methods kMethods = Methods();
    file->base.pMethods = &kMethods;
    return SQLITE_OK;
  }
  static int Delete(sqlite3_vfs*, const char* name, int sync_folder) {
    // Without a sync of the folder the file comes back: for a journal that means that its commit is undone.
    if (sync_folder == 0) the_disk->deletion_not_synced_.insert(name);
    return the_disk->unix_->xDelete(the_disk->unix_, name, sync_folder);
  }

  /// Version 1: without shared memory, which files of one process do without.
  static sqlite3_io_methods Methods() {
    sqlite3_io_methods methods{};
    methods.iVersion = 1;
    methods.xClose = [](sqlite3_file* opened) {
      File* file = From(opened);
      delete file->path;
      delete file->current;
      return file->real()->pMethods->xClose(file->real());
    };
    methods.xWrite = [](sqlite3_file* opened, const void* data, int size, sqlite3_int64 at) {
      File* file = From(opened);
      const size_t begin = static_cast<size_t>(at);
      const size_t bytes = static_cast<size_t>(size);
      if (file->current->size() < begin + bytes) file->current->resize(begin + bytes);
      file->current->replace(begin, bytes, static_cast<const char*>(data), bytes);
      return file->real()->pMethods->xWrite(file->real(), data, size, at);
    };
    methods.xTruncate = [](sqlite3_file* opened, sqlite3_int64 size) {
      From(opened)->current->resize(static_cast<size_t>(size));
      return From(opened)->real()->pMethods->xTruncate(From(opened)->real(), size);
    };
    methods.xSync = [](sqlite3_file* opened, int flags) {
      File* file = From(opened);
      if (file->path != nullptr) {
        the_disk->synced_[*file->path] = *file->current;
        the_disk->deletion_not_synced_.erase(*file->path);
      }
      return file->real()->pMethods->xSync(file->real(), flags);
    };
    methods.xRead = [](sqlite3_file* opened, void* data, int size, sqlite3_int64 at) {
      return From(opened)->real()->pMethods->xRead(From(opened)->real(), data, size, at);
    };
    methods.xFileSize = [](sqlite3_file* opened, sqlite3_int64* size) {
      return From(opened)->real()->pMethods->xFileSize(From(opened)->real(), size);
    };
    methods.xLock = [](sqlite3_file* opened, int kind) {
      return From(opened)->real()->pMethods->xLock(From(opened)->real(), kind);
    };
    methods.xUnlock = [](sqlite3_file* opened, int kind) {
      return From(opened)->real()->pMethods->xUnlock(From(opened)->real(), kind);
    };
    methods.xCheckReservedLock = [](sqlite3_file* opened, int* reserved) {
      return From(opened)->real()->pMethods->xCheckReservedLock(From(opened)->real(), reserved);
    };
    methods.xFileControl = [](sqlite3_file* opened, int operation, void* argument) {
      return From(opened)->real()->pMethods->xFileControl(From(opened)->real(), operation, argument);
    };
    methods.xSectorSize = [](sqlite3_file* opened) {
      return From(opened)->real()->pMethods->xSectorSize(From(opened)->real());
    };
    methods.xDeviceCharacteristics = [](sqlite3_file*) { return 0; };  // nothing is promised: no safe append, for one
    return methods;
  }

  static inline PowerCutDisk* the_disk = nullptr;
  sqlite3_vfs* unix_ = nullptr;
  sqlite3_vfs vfs_{};
  std::map<std::string, std::string> synced_;  // by path
  std::set<std::string> deletion_not_synced_;
};

/// The rows that the next start finds after a power cut now.
size_t RowsAfterPowerCut(const PowerCutDisk& disk, const SpillFolder& folder) {
  const TemporaryFolder temporary;
  const DiskFolder after = Must(DiskFolder::Open(temporary.path() / "spill"));
  disk.CutPower(folder.path(), after.path());
  const RecoveryReport report = Must(RecoverLeftBehind(after));
  CHECK(report.quarantined.empty());
  size_t rows = 0;
  for (const SpillFileInfo& info : Must(after.List())) {
    SqliteFile file = Must(SqliteFile::Open(info));
    Must(file.Verify());
    rows += ReadAll(file).size();
  }
  return rows;
}

TEST_CASE("what was committed is there after a power cut, at every stage of a file's life") {
  const PowerCutDisk disk;
  const TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  auto writer = Must(folder.CreateActive(WriterOptions()));
  int64_t committed = 0;
  for (int batch = 0; batch < 5; ++batch) {
    INFO("batch " << batch);
    Spill(*writer, {Bounty(2 * batch), Bounty(2 * batch + 1)}, committed + 1);
    committed += 2;
    CHECK(RowsAfterPowerCut(disk, folder) == static_cast<size_t>(committed));
    if (batch == 2) {
      Must(writer->CheckpointIfDue(true));
      CHECK(RowsAfterPowerCut(disk, folder) == static_cast<size_t>(committed));
    }
  }
}

TEST_CASE("what the drainer committed is there after a power cut") {  // a journal that came back undid its last commit
  const PowerCutDisk disk;
  const TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  auto writer = Must(folder.CreateActive(WriterOptions()));
  Spill(*writer, {Bounty(1), Bounty(2)});
  Must(writer->Seal(folder));
  SqliteFile file = Must(SqliteFile::Open(OnlyFile(folder)));
  const ConnectionId connection{"run", 7};
  Must(file.AddConnection(connection));
  Cursor cursor;
  cursor.open = {.last_ticket = 2, .target = "bounty-stream", .anchor = {5, 1}, .run_id = "run"};
  Must(file.SaveCursor(1, cursor));

  const TemporaryFolder other;
  const DiskFolder after = Must(DiskFolder::Open(other.path() / "spill"));
  disk.CutPower(folder.path(), after.path());
  SqliteFile again = Must(SqliteFile::Open(OnlyFile(after)));
  CHECK(Must(again.Connections()) == std::vector<ConnectionId>{connection});
  CHECK(Must(again.Streams()).at(0).cursor.open.has_value());
}

TEST_CASE("a connection that was written down and tickets that were given are known after a power cut") {
  const PowerCutDisk disk;
  const TemporaryFolder temporary;
  const DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));
  StateFile state = Must(StateFile::Open(folder, {}));
  const ConnectionId connection{"run", 7};
  Must(state.Record(connection, {}));
  const int64_t ticket = Must(state.NextTicket());

  const TemporaryFolder other;
  const DiskFolder after = Must(DiskFolder::Open(other.path() / "spill"));
  disk.CutPower(folder.path(), after.path());
  StateFile again = Must(StateFile::OpenExisting(after));
  CHECK(again.connections() == std::vector<ConnectionId>{connection});
  CHECK(Must(again.NextTicket()) > ticket);
}

}  // namespace
}  // namespace sprockets::testing
