// Which finished spill files may be removed: the one rule for the drain, which keeps them for a while, and for the
// sidecar, which takes their room when the disk or the quota is full. Any thread.
#pragma once

#include <cstdint>

#include "shared/base/result.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// Every row of the file is in Redis, and has been since `drained_before_ms` (milliseconds since 1970). False for one
/// that holds the only copy of something: rows that Redis would not take, what --salvage could not read, a file that
/// cannot be opened or is offered again.
bool IsExpendable(const SpillFolder& folder, const SpillFileInfo& file, int64_t drained_before_ms);

}  // namespace sprockets
