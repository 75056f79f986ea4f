// How far the groups of a stream are. One thread.
#pragma once

#include <string>
#include <vector>

#include "replayer/redis/client.h"
#include "shared/base/result.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

struct GroupPosition {
  std::string group;
  StreamId done;  // the group has nothing more to do at or below it
};

/// None where there is no such stream.
Result<std::vector<GroupPosition>> PositionsOfGroups(RedisClient& redis, const std::string& stream);

/// The last id that the stream has given; 0-0: there is no such stream.
Result<StreamId> LastIdOf(RedisClient& redis, const std::string& stream);

}  // namespace sprockets
