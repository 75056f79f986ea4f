// The SQL with which a writer makes a spill file and the table of a stream, and fills it. Whichever thread owns the
// file.
#pragma once

#include <optional>
#include <string>

#include "shared/base/result.h"
#include "shared/spill/file.h"
#include "shared/spill/layout.h"
#include "shared/spill/sqlite.h"

namespace sprockets {

/// The fixed tables, and what holds for the whole file.
Status InitializeFile(Database& database, const SpillWriterOptions& options);

std::string CreateTableSql(const std::string& table, const std::optional<FieldLayout>& layout, bool names_entries);

/// The rows that a BatchTable shows, into the table of a stream: those whose fields are columns, and the others.
std::string InsertFieldsSql(const std::string& table, const FieldLayout& layout, bool names_entries);
std::string InsertRawSql(const std::string& table, bool names_entries);

}  // namespace sprockets
