// What a live stream may lack at its head because somebody has trimmed it (`-- trimmed: allowed`).
#pragma once

#include <cstdint>
#include <string_view>

#include "replayer/redis/client.h"
#include "shared/base/result.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

/// Entries below `first` may be missing, and no more of them than `entries`: as many as were added and are not there.
/// So a stream that began anew after a loss is not taken for one that was trimmed.
struct TrimmedHead {
  StreamId first;
  uint64_t entries = 0;
};

/// Of the stream `name`, which is there.
Result<TrimmedHead> LookAtHead(RedisClient& redis, std::string_view name);

}  // namespace sprockets
