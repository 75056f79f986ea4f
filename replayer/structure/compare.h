// Redis against the source, by value: both sides are read as streams, side by side. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/redis/client.h"
#include "replayer/structure/difference.h"
#include "replayer/structure/source.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

struct Compared {
  uint64_t keys = 0;  // that the source gives
  uint64_t rows = 0;
  uint64_t differences = 0;
};

/// A key that the source gives, as it was compared.
struct ComparedKey {
  std::string key;
  uint64_t rows = 0;    // of the source
  StreamId last_entry;  // of a stream: Redis's last one that was looked at
};

/// Compares one structure; keys that the query names but that Redis has besides are found by `-- keys:`. The key `k` of
/// the source is `prefix` + k in Redis. Each key is added to `keys` if asked for. Redis's errors are kRefused or
/// kUnreachable, the source's as Source says.
Result<Compared> Compare(Source& source, const Structure& structure, RedisClient& redis, const std::string& prefix,
                         const OnDifference& on_difference, std::vector<ComparedKey>* keys = nullptr);

/// The structure without the keys that need not be there (`-- unused-keys:`): those without members, as long as Redis
/// has another one of the structure. Where Redis has none at all, all are asked for.
Result<Structure> OnlyUsedKeys(const Structure& structure, RedisClient& redis);

/// The structure with these of its keys alone, and no look for others.
Structure OnlyKeys(Structure structure, const std::set<std::string>& keys);

/// How many keys Redis has that match, as SCAN finds them.
Result<std::vector<std::string>> ScanKeys(RedisClient& redis, std::string_view glob);

/// ZCARD, XLEN, HLEN, SCARD, or whether there is one; 0 where there is no such key, or it is of another type.
Result<uint64_t> CountOf(RedisClient& redis, RedisKind kind, std::string_view key);

}  // namespace sprockets
