// state.sqlite. The thread that holds the folder's lock.
//
// A full disk must not keep a new connection from being written down. So the file is made with free pages for a full
// list, and its WAL, once that long, is never truncated but written again from its beginning: the commits here need no
// new blocks, as far as the file system overwrites in place (a copy-on-write one does not; then a connection that
// cannot be written down carries no events, and they are spilled).
#pragma once

#include <filesystem>
#include <memory>

#include "shared/spill/state_file.h"

namespace sprockets {

/// Creates it where missing, and sets an unreadable one aside.
Result<std::unique_ptr<StateStore>> OpenSqliteState(const std::filesystem::path& path, const FoundInFolder& found);
Result<std::unique_ptr<StateStore>> OpenExistingSqliteState(const std::filesystem::path& path);

}  // namespace sprockets
