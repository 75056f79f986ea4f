// Moments on two clocks, as values: whoever decides by time is given it. Pure; who reads a clock is clock.h.
#pragma once

#include <compare>
#include <cstdint>

namespace sprockets {

// Two types, so that nobody compares a moment of one clock with one of the other.

/// Milliseconds since 1970, UTC. May jump.
struct WallTime {
  int64_t ms = 0;
  auto operator<=>(const WallTime&) const = default;
};

/// Milliseconds on the loop's clock. Never goes back.
struct LoopTime {
  int64_t ms = 0;
  auto operator<=>(const LoopTime&) const = default;
};

}  // namespace sprockets
