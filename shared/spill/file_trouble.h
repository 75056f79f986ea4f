// Spill files that cannot be opened or read, and what to do about them.
#pragma once

#include <memory>

#include "shared/base/result.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// What an error of a spill file means to whoever reads a folder.
enum class FileTrouble {
  kGone,        // drained, and kept long enough
  kLater,       // no room for its checkpoint, no descriptor left, no right to open it, or a drain is at work on it
  kUnreadable,  // damaged
  kFatal,
};
FileTrouble TroubleOf(const Error& error);

/// A drain may run meanwhile: a file that waited when the folder was listed may lie in drained/ now.
Result<std::unique_ptr<SpillFile>> OpenWaitingOrDrained(const SpillFolder& folder, const SpillFileInfo& listed);

/// One bad file must not keep the sidecar from starting: it is set aside where it stands, for `drain --salvage`.
Status Quarantine(const SpillFolder& folder, const SpillFileInfo& info, const Error& error);

}  // namespace sprockets
