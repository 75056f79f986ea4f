// How whoever writes into a spill folder begins: the folder is locked, and what a killed sidecar left is recovered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/spill/folder.h"
#include "shared/spill/state_file.h"

namespace sprockets {

struct OpenedFolder {
  FileLock lock;
  std::optional<StateFile> state;
  std::vector<SpillFileInfo> files;  // all of the folder, by number
};

/// Waits up to 30 s for the lock (a drain may be at work), or as long as it is told. kBusy: another program has it.
/// kForeign: a file is of a newer version.
Result<OpenedFolder> OpenSpillFolder(const SpillFolder& folder, int64_t lock_wait_ms = 30'000);

}  // namespace sprockets
