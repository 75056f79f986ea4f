// What STATUS and INFO say, from what is known at the moment. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "shared/base/moment.h"
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

/// SPROCKETS STATUS. `described`: when `spill` was, if ever.
std::string StatusJson(const Router& router, const RedisFacts& redis, const SpillReport& spill,
                       std::optional<WallTime> described, WallTime now);

/// The section of INFO that is ours.
std::string InfoSection(const Router& router, int64_t active_rows);

}  // namespace sprockets
