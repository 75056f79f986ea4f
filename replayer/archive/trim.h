// Entries that are archived, and that nobody needs any more, out of their stream.
#pragma once

#include <cstdint>
#include <string>

#include "replayer/archive/batch_writer.h"
#include "replayer/redis/client.h"
#include "shared/base/result.h"

namespace sprockets {

/// Trims the stream below what every group of it has read and acknowledged, and below the first entry that is neither
/// in the log nor among the dead letters. Each entry is looked up before it goes. Returns how many were removed;
/// kRefused where Redis has removed another number than that. The stream must have a group.
Result<uint64_t> TrimArchived(RedisClient& redis, BatchWriter& writer, const std::string& stream,
                              const std::string& event_id_field);

}  // namespace sprockets
