// Rows of journals that Redis would not take: they stay in their files, which say so until Redis has them after all. No
// file may be written meanwhile. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// Each journal that can be opened and that no writer has open, one after the other, until `visit` returns false.
Status VisitJournals(const SpillFolder& folder, const std::function<Result<bool>(SpillFile&)>& visit);

/// The row of a ticket, if the file holds it.
Status VisitRow(SpillFile& file, const SpilledStream& stream, int64_t ticket,
                const std::function<void(const SpilledEvent&)>& visit);

/// Writes down that Redis will not take the row, in the journal that holds it. Its number; 0: none does.
Result<int64_t> KeepAside(const SpillFolder& folder, const std::string& stream, int64_t ticket, std::string_view why);

}  // namespace sprockets
