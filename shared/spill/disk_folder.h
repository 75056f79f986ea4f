// The spill folder on a file system, with its files in SQLite. Any thread: nothing is kept in memory but the path.
#pragma once

#include "shared/spill/folder.h"

namespace sprockets {

class DiskFolder final : public SpillFolder {
 public:
  /// Creates the folder (mode 0700; its parent must exist) and drained/ where missing. kIo names what cannot be used
  /// and why. The path may lead through symbolic links: path() is the real one.
  static Result<DiskFolder> Open(const std::filesystem::path& path);
  /// Of an existing folder, for reading only; kNotFound with the way out if there is none.
  static Result<DiskFolder> OpenExisting(const std::filesystem::path& path);

  using SpillFolder::List;
  Result<FileLock> LockForWriting(int64_t wait_ms) const override;
  Result<FileLock> LockForDraining(int64_t wait_ms) const override;
  Result<std::unique_ptr<SpillWriter>> CreateActive(SpillWriterOptions options) const override;
  Result<std::unique_ptr<SpillFile>> OpenFile(const SpillFileInfo& file) const override;
  Result<std::unique_ptr<StateStore>> OpenState(const FoundInFolder& found) const override;
  Result<std::unique_ptr<StateStore>> OpenExistingState() const override;
  Result<std::vector<SpillFileInfo>> List(const std::function<bool(int64_t number)>& wanted) const override;
  bool Has(int64_t number, SpillFileInfo::State state) const override;
  bool HasNoBytes(const SpillFileInfo& file) const override;
  Result<int64_t> NextNumber() const override;
  Status KeepReserve() const override;
  Status SpendReserve() const override;
  Result<int64_t> TotalBytes() const override;
  Result<int64_t> FreeBytes() const override;
  Status ProveWritable() const override;
  Status MarkSuspect(int64_t number) const override;
  Status MarkQuarantined(int64_t number) const override;
  Status MarkOffered(int64_t number) const override;
  Status ClearOffered(int64_t number) const override;
  Status Move(int64_t number, SpillFileInfo::State from, SpillFileInfo::State to) const override;
  void NoteTime(const SpillFileInfo& file, int64_t wall_ms) const override;
  Status Remove(const SpillFileInfo& file) const override;
  /// Syncs the folder itself, so that a file just created is still there after a power loss.
  Status Sync() const;

 private:
  using SpillFolder::SpillFolder;
};

}  // namespace sprockets
