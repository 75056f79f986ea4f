// Fields that a handler wants to be JSON are looked at before SQL: thousands that are none would each cost a savepoint.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "replayer/archive/entry_rows.h"
#include "replayer/schema_set/archive_handlers.h"

namespace sprockets {

/// The first field of an entry that is not what one of `handlers` wants; none: all are. A field that is missing is the
/// handler's own business.
std::optional<BrokenField> FindBrokenJson(std::span<const std::string_view> fields,
                                          std::span<const ArchiveHandler* const> handlers);

}  // namespace sprockets
