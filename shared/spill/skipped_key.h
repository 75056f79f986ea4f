// A key to which writes were skipped while Redis was away. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace sprockets {

struct SkippedKey {
  std::string key;
  int64_t writes = 0;    // at least 1
  int64_t first_ms = 0;  // when, as Unix time
  int64_t last_ms = 0;
  std::string command;  // the last one, in lower case
};

/// "leaderboard-sset: 7 writes skipped, the first 12m 05s ago".
std::string Describe(const SkippedKey& skipped, int64_t now_ms);

}  // namespace sprockets
