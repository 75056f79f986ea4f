// The spill folder: which files lie in it, what state each is in, who may touch it. Names only; what is inside a file
// is file.h's business.
//
//   lock, drain.lock                          flock'ed, see Lock
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
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

/// An exclusive flock on a file, held until destruction. The kernel drops it when the process dies.
class FileLock {
 public:
  FileLock() = default;
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();
  bool held() const { return fd_ >= 0; }

 private:
  friend class SpillFolder;
  explicit FileLock(int fd) : fd_(fd) {}
  static Result<FileLock> Take(const std::filesystem::path& path, int64_t wait_ms);
  int fd_ = -1;
};

struct SpillFileInfo {
  enum class State { kActive, kSealed, kDrained };

  int64_t number = 0;
  State state = State::kActive;
  bool suspect = false;      // a COMMIT or fsync on it failed: every row is in doubt
  bool quarantined = false;  // it cannot be read: passed over until `drain --salvage`
  bool offered = false;      // drained, and `drain --file` offers it again, but has not come to its end
  std::filesystem::path path;
  int64_t bytes = 0;  // with its -wal and -journal
};

class SpillFolder {
 public:
  /// Creates the folder (mode 0700; its parent must exist) and drained/ where missing. kIo names what cannot be used
  /// and why. The path may lead through symbolic links: path() is the real one.
  static Result<SpillFolder> Open(const std::filesystem::path& path);
  /// Of an existing folder, for reading only; kNotFound with the way out if there is none.
  static Result<SpillFolder> OpenExisting(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path StatePath() const { return path_ / "state.sqlite"; }
  std::filesystem::path PathOf(int64_t number, SpillFileInfo::State state) const;

  /// "lock": held by the sidecar, or by a drainer that seals in its absence. Waits up to `wait_ms`; kBusy after that.
  Result<FileLock> LockForWriting(int64_t wait_ms) const;
  /// "drain.lock": excludes a second drainer.
  Result<FileLock> LockForDraining(int64_t wait_ms) const;

  /// Every spill file, by number. A number that stands there in two states is kCorrupt: states change by rename, so
  /// that is no crash of ours. Names that are not ours are passed over. Files may move on meanwhile; each is listed
  /// once.
  Result<std::vector<SpillFileInfo>> List() const;
  /// Those whose number is `wanted`: the others cost no more than their names. For whoever lists again and again.
  Result<std::vector<SpillFileInfo>> List(const std::function<bool(int64_t number)>& wanted) const;
  /// Does this file still stand there? Somebody may have deleted it while it was open.
  bool Has(int64_t number, SpillFileInfo::State state) const;
  /// The smallest number above every file (and marker) in the folder, at least 1.
  Result<int64_t> NextNumber() const;
  /// Lays aside some room (16 MiB, less on a small disk) that nothing is ever spilled into, so that recovery and drain
  /// have what they need on a disk that others have filled. kFull where there is none to lay aside.
  Status KeepReserve() const;
  /// Frees it if the disk is nearly full. Before recovering or draining.
  Status SpendReserve() const;
  /// All bytes of spill files, drained ones included.
  Result<int64_t> TotalBytes() const;
  /// Bytes that the file system still gives to us (f_bavail).
  Result<int64_t> FreeBytes() const;

  /// Creates the empty marker and syncs the folder.
  Status MarkSuspect(int64_t number) const;
  Status MarkQuarantined(int64_t number) const;
  Status MarkOffered(int64_t number) const;
  Status ClearOffered(int64_t number) const;

  /// Syncs a file, renames it from one state to another and syncs the folders. kBusy while a -wal or -journal with
  /// bytes in it lies beside it: all that is in there would be lost. Never replaces a file. Markers of a drained file
  /// are removed.
  Status Move(int64_t number, SpillFileInfo::State from, SpillFileInfo::State to) const;
  /// Syncs the folder itself, so that a file just created is still there after a power loss.
  Status Sync() const;
  /// Deletes a file with its -wal, -journal and markers.
  Status Remove(const SpillFileInfo& file) const;

 private:
  explicit SpillFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace sprockets
