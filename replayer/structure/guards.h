// What a rebuild and a repair do not do by themselves: take from Redis what PostgreSQL may have lost, or never had.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/redis/client.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/compare.h"
#include "shared/base/result.h"

namespace sprockets {

/// What is told with each refusal: how to do it in spite of the guard.
constexpr std::string_view kForceWayOut = "; rebuild --force does it all the same";

/// Would a key that holds `live` elements be left with less than half of them?
inline bool LosesTooMuch(uint64_t live, uint64_t left) {
  return left * 2 < live;
}

/// A structure as it is in Redis, against the source.
struct LiveState {
  bool differs = false;
  std::set<std::string> whole_keys;         // of bounds: that are missing, of another type, or end at another time
  std::vector<std::string> gone;            // keys that the source does not give any more
  std::optional<std::string> extra_entry;   // of a stream: one that the source lacks
  std::optional<std::string> lost_field;    // of a stream's entry: one that the source does not give it
  std::map<std::string, uint64_t> lowered;  // by key: members whose value would be less than it is
  std::vector<ComparedKey> keys;  // that the source gives; where it gives one only, and that is no stream, none
};

/// kWouldLose: a stream has an entry that the source lacks, or an entry a field. kRefused: the source has nothing for a
/// key of Redis's.
Status GuardLive(const LiveState& live);

/// A field that the entry of `live` has and that of `source` has not, both as Difference shows them: one of its own, or
/// a member of a JSON object that is the value of one.
std::optional<std::string> LostField(std::string_view source, std::string_view live);

/// Is it a difference of one member, and the source has a smaller number for it than Redis?
bool IsLowered(const Difference& difference);

/// kRefused: more than half of a key's members would get a smaller value.
Status GuardValues(RedisClient& redis, RedisKind kind, const std::map<std::string, uint64_t>& lowered);

struct KeyRows {
  std::string_view key;
  uint64_t rows = 0;  // that the source has for it
};

/// kRefused: for one of the keys, the first of them, Redis has more than twice as many elements as the source has rows.
Status GuardRows(RedisClient& redis, const std::vector<KeyRows>& keys);

}  // namespace sprockets
