// What STATUS and INFO say, from what is known at the moment. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "shared/base/moment.h"
#include "shared/spill/skipped_key.h"
#include "sidecar/delivery/facts.h"
#include "sidecar/disk/spill_report.h"

namespace sprockets {

struct RelayFacts {
  size_t connections = 0;  // of clients, at the moment
  uint64_t commands = 0;   // sent on them
};

/// What was skipped while Redis was away, and is not restored yet.
struct SkipFacts {
  std::span<const SkippedKey> keys;  // the first one skipped comes first
  std::string error;                 // why the list could not be read; empty: it could
};

/// SPROCKETS STATUS. `described`: when `spill` was, if ever.
std::string StatusJson(const DeliveryFacts& delivery, const RelayFacts& relay, const SpillReport& spill,
                       const SkipFacts& skips, std::optional<WallTime> described, WallTime now);

/// The section of INFO that is ours.
std::string InfoSection(const DeliveryFacts& delivery, int64_t active_rows, size_t skipped_keys);

}  // namespace sprockets
