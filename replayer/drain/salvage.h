// Takes what is good out of a quarantined spill file into a new one, all of it in doubt, so that repeating a salvage
// that was interrupted does no harm. One thread.
#pragma once

#include "replayer/drain/report.h"
#include "shared/base/result.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// The good rows become a new sealed file; the bad ones are named in the log; the original moves to drained/, where
/// --keep does not remove it. kRefused if the file is not quarantined, kBusy while a sidecar runs (a new file number is
/// the sidecar's to take), kCorrupt if nothing in it can be read.
Status Salvage(const SpillFolder& folder, const SpillFileInfo& info, DrainReport& report);

}  // namespace sprockets
