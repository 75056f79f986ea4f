// How often this process has asked for memory so far: malloc and its kin, `new` included. Any thread.
#pragma once

#include <cstdint>

namespace sprockets::bench {

uint64_t AllocationsSoFar();

}  // namespace sprockets::bench
