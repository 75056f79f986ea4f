// When the active spill file is handed to the drain. Pure.
#pragma once

#include <cstdint>

namespace sprockets {

struct SealFacts {
  int64_t now_ms = 0;
  int64_t rows = 0;              // in the active file
  int64_t healthy_since_ms = 0;  // since when Redis takes events; 0: it does not
  int64_t first_spill_ms = 0;    // when the active file got its first event
  int64_t last_spill_ms = 0;
};

/// Redis has been back for `seal_after_ms` and nothing has been spilled for as long: a flapping Redis does not make a
/// file a flap. A stream that goes on being refused alone gets a file every now and then all the same.
inline bool ShouldSeal(const SealFacts& facts, int64_t seal_after_ms) {
  if (facts.rows == 0 || facts.healthy_since_ms == 0 || facts.now_ms - facts.healthy_since_ms < seal_after_ms)
    return false;
  return facts.now_ms - facts.last_spill_ms >= seal_after_ms ||
         facts.now_ms - facts.first_spill_ms >= 12 * seal_after_ms;
}

}  // namespace sprockets
