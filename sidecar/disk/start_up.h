// What happens before anything else: the folder is locked, and what a killed sidecar left is recovered.
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

/// Waits up to 30 s for the lock (a drain may be sealing). kBusy: another sidecar has it. kForeign: a file is of a
/// newer version.
Result<OpenedFolder> OpenSpillFolder(const SpillFolder& folder);

}  // namespace sprockets
