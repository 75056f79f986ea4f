#include "replayer/structure/guards.h"

#include "shared/base/text.h"

namespace sprockets {

/// What Redis has and the source has not must not go by itself.
Status GuardLive(const LiveState& live) {
  if (live.extra_entry) {
    return Error{ErrorCode::kWouldLose, "the live stream holds an entry that the source lacks, " +
                                            Escape(*live.extra_entry) + ": let it reach PostgreSQL first" +
                                            std::string(kForceWayOut)};
  }
  if (live.gone.empty()) return {};
  return Error{ErrorCode::kRefused, "the source has nothing for key " + Escape(live.gone.front()) +
                                        ", which is not empty in Redis" + std::string(kForceWayOut)};
}

/// A source that has lost its rows must not take Redis's away.
Status GuardRows(RedisClient& redis, const std::string& key, uint64_t rows) {
  ASSIGN_OR_RETURN(const uint64_t count, CountOfAnyKind(redis, key));
  if (!LosesTooMuch(count, rows)) return {};
  return Error{ErrorCode::kRefused, "the source has " + FormatCount(rows) + " rows for key " + Escape(key) +
                                        ", Redis has " + FormatCount(count) + std::string(kForceWayOut)};
}

}  // namespace sprockets
