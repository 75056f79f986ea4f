// The files of archive/: each one statement over the view `batch`, and for which streams it is. Reading and checking;
// nothing here knows a server.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

struct ArchiveHandler {
  std::string name;  // of the file, with .sql
  std::filesystem::path file;
  std::string streams;                   // a glob
  bool returns_scores = false;           // key, member, score[, expire_at]
  std::optional<std::string> if_table;   // of PostgreSQL: where it is missing, the file is passed over
  std::vector<std::string> json_fields;  // of an entry: each has to hold JSON, where the entry has it
  std::string sql;                       // without a semicolon at its end
};

/// From the text of a file, for errors named `file`. Directives are comment lines at its head, up to the first empty
/// line behind `-- archive:`.
Result<ArchiveHandler> ParseArchiveHandler(const std::filesystem::path& file, std::string_view text);

/// Those of the set in `folder`, in the order of the files' names; none where it has no folder archive. kNotFound:
/// there is no such set. kRefused names file and line.
Result<std::vector<ArchiveHandler>> ReadArchiveHandlers(const std::filesystem::path& folder);

}  // namespace sprockets
