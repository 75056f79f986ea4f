// The two clocks: wall time for people and rows, steady time for deadlines.
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

/// Milliseconds since 1970, UTC. May jump.
int64_t WallClockMs();

/// Milliseconds since some moment. Never goes back.
int64_t SteadyClockMs();

}  // namespace sprockets
