// Which Redis a command speaks to, and how patient it is.
#pragma once

#include <cstdint>

#include "shared/redis/url.h"

namespace sprockets {

struct RedisTarget {
  RedisUrl url;
  int64_t deadline_ms = 5'000;  // without a byte moving
};

/// Where commands take in whole keys, however large: Redis may be at work on one of them for seconds.
inline constexpr int64_t kWholeKeyDeadlineMs = 30'000;

}  // namespace sprockets
