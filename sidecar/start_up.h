// What happens before the door opens: the folder is locked, what a killed sidecar left is recovered, and the window is
// filled from the spill files.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "shared/event.h"
#include "shared/result.h"
#include "shared/spill_folder.h"
#include "shared/state_file.h"
#include "sidecar/spill_store.h"
#include "sidecar/window.h"

namespace sprockets {

struct OpenedFolder {
  SpillFolder folder;
  FileLock lock;
  std::optional<StateFile> state;
  std::map<int64_t, SpillReport::File> files;  // not drained
  int64_t highest_ticket = 0;
};

/// Waits up to 30 s for the lock (a drain may be sealing). kBusy: another sidecar has it. kForeign: a file is of a
/// newer version.
Result<OpenedFolder> OpenSpillFolder(const std::string& path);

struct WindowSources {
  const IdentityHasher& hasher;
  int64_t max_inflight_bytes = 0;
};

/// Enters what the folder's files hold, newest first, as far as it finds a place; rows of suspect files as unknown.
/// A file that cannot be read is quarantined and passed over. False: one could not be read now (a full disk, a drain at
/// work), or holds more unknown rows than are kept, so the window does not know all that it should.
Result<bool> FillWindow(const SpillFolder& folder, const WindowSources& sources, Window* window);

}  // namespace sprockets
