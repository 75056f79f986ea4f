// The tables of the archive itself, which `migrate` makes before those of a set.
#pragma once

#include <string_view>
#include <vector>

#include "replayer/schema_set/schema_set.h"

namespace sprockets {

/// Under which they are written down in sprockets.migrations. No set may have this name.
inline constexpr std::string_view kOwnSetName = "sprockets";

/// schema/archive/, in order.
std::vector<Migration> OwnMigrations();

}  // namespace sprockets
