// The files of boards/: each a leaderboard that is served by HTTP. The file says under which keys Redis has its boards,
// and has the query that gives them where Redis is away. Reading and checking; nothing here knows a server.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

struct Timeframe {
  std::string name;  // as it is asked for: "weekly"
  std::string text;  // in keys, as strftime takes it, in UTC: "weekly:%G-W%V"
};

struct Leaderboard {
  std::string name;  // of the file, without .sql
  std::filesystem::path file;
  std::vector<Timeframe> timeframes;  // the first one is meant where none is asked for
  std::vector<std::string> keys;      // of the board of everything, {timeframe} in them; the first that exists counts
  std::vector<std::string> scoped_keys;  // of a part, {scope} in them, too; none: there are no parts
  bool ids_are_numbers = false;          // of users and parts: of 64 bits, above 0
  std::string query;                     // member and score; $1 is the timeframe's name, $2 the part or NULL
};

/// From the text of a file, for errors named `file`. Directives are comment lines at its head, up to the first empty
/// one.
Result<Leaderboard> ParseLeaderboard(const std::filesystem::path& file, std::string_view text);

/// Those of the set in `folder`; none where it has no folder boards. kNotFound: there is no such set. kRefused names
/// file and line.
Result<std::vector<Leaderboard>> ReadLeaderboards(const std::filesystem::path& folder);

/// The keys that the board may have in Redis at this time.
std::vector<std::string> KeysOf(const Leaderboard& board, const Timeframe& timeframe,
                                const std::optional<std::string>& scope, int64_t wall_ms);

}  // namespace sprockets
