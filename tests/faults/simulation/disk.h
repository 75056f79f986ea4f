// The folder of spill files in the world's memory: it keeps rows, loses what was not committed, and fails when it is
// told to. The rules over it are the product's.
#pragma once

#include <filesystem>

#include "shared/spill/folder.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

class SimulatedFolder final : public SpillFolder {
 public:
  explicit SimulatedFolder(World* world) : SpillFolder("sim"), world_(world) {}

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
  Status KeepReserve() const override { return {}; }
  Status SpendReserve() const override { return {}; }
  Result<int64_t> TotalBytes() const override { return 0; }
  Result<int64_t> FreeBytes() const override { return int64_t{1} << 40; }
  Status MarkSuspect(int64_t number) const override;
  Status MarkQuarantined(int64_t number) const override;
  Status MarkOffered(int64_t number) const override;
  Status ClearOffered(int64_t number) const override;
  Status Move(int64_t number, SpillFileInfo::State from, SpillFileInfo::State to) const override;
  Status Remove(const SpillFileInfo& file) const override;

 private:
  World* const world_;
};

}  // namespace sprockets::sim
