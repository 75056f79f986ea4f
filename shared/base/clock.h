// The two clocks: wall time for people and rows, steady time for deadlines.
#pragma once

#include <cstdint>

namespace sprockets {

/// Milliseconds since 1970, UTC. May jump.
int64_t WallClockMs();

/// Milliseconds since some moment. Never goes back.
int64_t SteadyClockMs();

}  // namespace sprockets
