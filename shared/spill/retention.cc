#include "shared/spill/retention.h"

#include "shared/spill/file.h"

namespace sprockets {

bool IsExpendable(const SpillFolder& folder, const SpillFileInfo& info, int64_t drained_before_ms) {
  if (info.state != SpillFileInfo::State::kDrained) return false;
  const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(info);
  if (!file.ok()) return false;
  const Result<std::vector<SpillFile::Rejected>> rejected = file.value()->RejectedRows();
  const int64_t drained_ms = file.value()->drained_ms();
  if (!file.value()->Close().ok()) return false;
  return rejected.ok() && rejected.value().empty() && drained_ms != 0 && drained_ms <= drained_before_ms;
}

}  // namespace sprockets
