// The spill folder: which files lie in it, what state each is in, who may touch it. Names only; what is inside a file
// is file.h's business.
//
//   lock, drain.lock                          flock'ed, see LockForWriting
//   state.sqlite                              state_file.h
//   spill-000007.active.sqlite                being written (or left by a killed sidecar, or suspect)
//   spill-000007.sealed.sqlite                complete, waiting for the drain
//   drained/spill-000007.sqlite               in Redis; kept for a while
//   reserve                                   room for recovery and drain on a full disk
//   spill-000007.suspect, .quarantined        empty markers beside a file that keeps its name
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

class SpillFile;
class SpillWriter;
class StateStore;
struct FoundInFolder;
struct SpillWriterOptions;

/// An exclusive lock, held until destruction, or until the process dies.
class FileLock {
 public:
  /// Its destruction lets go of the lock.
  struct Hold {
    virtual ~Hold() = default;
  };

  FileLock() = default;
  explicit FileLock(std::unique_ptr<Hold> hold) : hold_(std::move(hold)) {}
  bool held() const { return hold_ != nullptr; }

 private:
  std::unique_ptr<Hold> hold_;
};

struct SpillFileInfo {
  enum class State { kActive, kSealed, kDrained };

  int64_t number = 0;
  State state = State::kActive;
  bool suspect = false;      // a COMMIT or fsync on it failed: every row is in doubt
  bool quarantined = false;  // it cannot be read: passed over until `drain --salvage`
  bool offered = false;      // drained, and `drain --file` offers it again, but has not come to its end
  std::filesystem::path path;
  int64_t bytes = 0;       // with its -wal and -journal
  int64_t changed_ms = 0;  // when it was last written to, or touched (NoteTime), by the wall clock; 0: nobody knows
};

/// The disk, as far as spill files are concerned: what the sidecar and the drain know of it. DiskFolder is the real
/// one; the simulation brings one that keeps everything in memory.
class SpillFolder {
 public:
  virtual ~SpillFolder() = default;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path StatePath() const { return path_ / "state.sqlite"; }
  std::filesystem::path PathOf(int64_t number, SpillFileInfo::State state) const;

  /// "lock": held by the sidecar, or by a drainer that seals in its absence. Waits up to `wait_ms`; kBusy after that.
  virtual Result<FileLock> LockForWriting(int64_t wait_ms) const = 0;
  /// "drain.lock": excludes a second drainer.
  virtual Result<FileLock> LockForDraining(int64_t wait_ms) const = 0;

  /// Creates the next active file; it must not exist. On failure nothing is left behind.
  virtual Result<std::unique_ptr<SpillWriter>> CreateActive(SpillWriterOptions options) const = 0;
  /// Opens a file that no SpillWriter has open, in whatever state: an active file (left behind, or suspect) is
  /// recovered: its WAL is checkpointed, synced, and left (rollback journal), so that its rows count. kForeign,
  /// kCorrupt, kBusy as they come. Whoever lists the folder while a sidecar runs (the lock is held) passes over an
  /// active file without a marker: it is the sidecar's, and opening it would wait 30 s for the sidecar's lock and end
  /// in kBusy.
  virtual Result<std::unique_ptr<SpillFile>> OpenFile(const SpillFileInfo& file) const = 0;
  /// What StateFile::Open and StateFile::OpenExisting stand on.
  virtual Result<std::unique_ptr<StateStore>> OpenState(const FoundInFolder& found) const = 0;
  virtual Result<std::unique_ptr<StateStore>> OpenExistingState() const = 0;

  /// Every spill file, by number. A number that stands there in two states is kCorrupt: states change by rename, so
  /// that is no crash of ours. Names that are not ours are passed over. Files may move on meanwhile; each is listed
  /// once.
  Result<std::vector<SpillFileInfo>> List() const;
  /// Those whose number is `wanted`: the others cost no more than their names. For whoever lists again and again.
  virtual Result<std::vector<SpillFileInfo>> List(const std::function<bool(int64_t number)>& wanted) const = 0;
  /// Does this file still stand there? Somebody may have deleted it while it was open.
  virtual bool Has(int64_t number, SpillFileInfo::State state) const = 0;
  /// Nothing was ever committed to it: a process was killed while it created the file. A file that cannot be asked may
  /// have some.
  virtual bool HasNoBytes(const SpillFileInfo& file) const = 0;
  /// The smallest number above every file (and marker) in the folder, at least 1.
  virtual Result<int64_t> NextNumber() const = 0;
  /// Lays aside some room (16 MiB, less on a small disk) that nothing is ever spilled into, so that recovery and drain
  /// have what they need on a disk that others have filled. kFull where there is none to lay aside.
  virtual Status KeepReserve() const = 0;
  /// Frees it if the disk is nearly full. Before recovering or draining.
  virtual Status SpendReserve() const = 0;
  /// All bytes of spill files, drained ones included.
  virtual Result<int64_t> TotalBytes() const = 0;
  /// Bytes that the file system still gives to us (f_bavail).
  virtual Result<int64_t> FreeBytes() const = 0;
  /// Writes a few bytes and syncs them: the disk takes something now. They stand in a file of their own, "probe". A
  /// folder that is no real disk has nothing to prove.
  virtual Status ProveWritable() const { return {}; }

  /// Creates the empty marker and syncs the folder.
  virtual Status MarkSuspect(int64_t number) const = 0;
  virtual Status MarkQuarantined(int64_t number) const = 0;
  virtual Status MarkOffered(int64_t number) const = 0;
  virtual Status ClearOffered(int64_t number) const = 0;

  /// Syncs a file, renames it from one state to another and syncs the folders. kBusy while a -wal or -journal with
  /// bytes in it lies beside it: all that is in there would be lost. Never replaces a file. Markers of a drained file
  /// are removed.
  virtual Status Move(int64_t number, SpillFileInfo::State from, SpillFileInfo::State to) const = 0;
  /// From now on `changed_ms` of the file is this. Best effort.
  virtual void NoteTime(const SpillFileInfo&, int64_t /*wall_ms*/) const {}
  /// Deletes a file with its -wal, -journal and markers.
  virtual Status Remove(const SpillFileInfo& file) const = 0;

 protected:
  /// `path` is the real one, without symbolic links.
  explicit SpillFolder(std::filesystem::path path) : path_(std::move(path)) {}
  SpillFolder(const SpillFolder&) = default;
  SpillFolder(SpillFolder&&) = default;
  SpillFolder& operator=(const SpillFolder&) = default;
  SpillFolder& operator=(SpillFolder&&) = default;

 private:
  std::filesystem::path path_;
};

}  // namespace sprockets
