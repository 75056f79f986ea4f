// What Redis has of many keys, asked for in one pipeline instead of key by key. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/redis/pipeline.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/source.h"
#include "shared/base/result.h"

namespace sprockets {

/// Does Redis lack every key of a structure of many? Then there is nothing to compare, and PostgreSQL is asked for the
/// keys alone, which costs a fraction of all rows in their order. False also where that does not show. The source's
/// errors are as Source says.
Result<bool> LacksEveryKey(Source& source, const Structure& structure, RedisClient& redis);

/// How many elements each of the keys has, of whatever type (1 for one that Redis's modules bring); 0: there is none.
Result<std::vector<uint64_t>> CountsOfAnyKind(RedisClient& redis, std::span<const std::string_view> keys);

}  // namespace sprockets
