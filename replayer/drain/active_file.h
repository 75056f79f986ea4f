// What waits in the active file of a running sidecar: no other process may open it, so the sidecar is asked. One
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "replayer/redis/wire.h"
#include "shared/base/result.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// What a running sidecar says of itself (SPROCKETS STATUS).
struct SidecarView {
  std::string answer;  // the JSON as it came
  std::string run_id;  // of the Redis that it is connected to; empty: it is not
  std::optional<int> database;
  std::string why;  // what keeps it from Redis, in words; empty: nothing
  int64_t since_ms = 0;
  /// With --ack disk, which forwards its journals itself: is everything in Redis that they hold? Nothing: --ack redis.
  std::optional<bool> all_landed;
  std::string refused;  // a stream of them that Redis refuses, and why; empty: none
  std::optional<int64_t> RowsOf(const std::string& file) const;
  std::optional<int64_t> OldestOf(const std::string& file) const;
};
Result<SidecarView> AskSidecar(const std::string& socket_path, const Dial& dial = DialSocket);

/// What cannot be read of the folder because a sidecar writes it.
struct ActiveFile {
  std::string name;
  std::optional<int64_t> rows;  // nothing: nobody could be asked
  int64_t oldest_ms = 0;        // 0: not known
  bool is_journal = false;      // its sidecar forwards it
};
/// Nothing where no file is active, nor where it is a journal all of which has landed. `socket_path` may be empty.
Result<std::optional<ActiveFile>> FindActiveFile(const SpillFolder& folder, const std::string& socket_path);

}  // namespace sprockets
