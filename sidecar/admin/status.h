// What STATUS and INFO say, from what is known at the moment. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "shared/base/moment.h"
#include "shared/spill/skipped_key.h"
#include "sidecar/core/handshake.h"
#include "sidecar/core/router.h"
#include "sidecar/disk/spill_report.h"

namespace sprockets {

struct RedisFacts {
  bool connected = false;
  std::string run_id;
  std::string replication_id;
  int database = 0;
  WallTime since;  // when a connection was last lost or found
  Durability durability = Durability::kUnknown;
  size_t relay_connections = 0;   // of clients, at the moment
  uint64_t relayed_commands = 0;  // sent on them
  std::string last_error;         // what Redis refused, or why there is no connection
};

/// What was skipped while Redis was away, and is not restored yet.
struct SkipFacts {
  std::span<const SkippedKey> keys;  // the first one skipped comes first
  std::string error;                 // why the list could not be read; empty: it could
};

/// SPROCKETS STATUS. `described`: when `spill` was, if ever.
std::string StatusJson(const Router& router, const RedisFacts& redis, const SpillReport& spill, const SkipFacts& skips,
                       std::optional<WallTime> described, WallTime now);

/// The section of INFO that is ours.
std::string InfoSection(const Router& router, int64_t active_rows, size_t skipped_keys);

}  // namespace sprockets
