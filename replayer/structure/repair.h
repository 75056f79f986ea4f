// Differences repaired in place, member by member, and what the guards keep from that. One thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "replayer/redis/pipeline.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/difference.h"
#include "shared/base/result.h"

namespace sprockets {

/// Mends one member in place. What needs the whole key (a stream, a wrong type, a missing key) is noted for a rebuild.
class Repairer {
 public:
  /// `to_rebuild`: names of structures. All outlive this.
  Repairer(RedisClient& redis, std::set<std::string>* to_rebuild) : pipeline_(redis), to_rebuild_(to_rebuild) {}

  /// Changes nothing if Redis no longer holds what the difference says.
  Status Mend(const Structure& structure, const Difference& difference);
  /// Everything is in Redis when it returns.
  Status Finish() { return pipeline_.Finish(); }

 private:
  Status MendExpiry(const Difference& difference);

  Pipeline pipeline_;
  std::set<std::string>* to_rebuild_;
};

/// What rebuild's guards refuse is not done member by member either; a key that they protect does not keep others
/// from being mended.
class KeyGuards {
 public:
  /// Both outlive this.
  KeyGuards(RedisClient& redis, const Structure& structure) : redis_(redis), structure_(structure) {}

  /// Which keys may not lose the members that `confirmed` takes from them.
  Result<std::set<std::string>> Protected(const std::vector<Difference>& confirmed);
  /// Ok: no key had to be protected so far.
  const Status& refusal() const { return refusal_; }

 private:
  RedisClient& redis_;
  const Structure& structure_;
  Status refusal_;
};

}  // namespace sprockets
