// How far the archive's group is behind its streams, asked of Redis on a connection of its own. One thread asks; any
// thread reads what was found.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "replayer/redis/client.h"
#include "replayer/redis/target.h"
#include "shared/base/result.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

/// Of a stream and its group, all consumers together.
struct StreamLag {
  std::optional<uint64_t> unread;  // entries that nobody has read; none: Redis cannot say it
  uint64_t pending = 0;            // read, and not acknowledged
  std::optional<StreamId> oldest;  // of all of these; none: nothing waits
  int64_t oldest_wall_ms = 0;      // when this was first seen to be the oldest one
  int64_t oldest_steady_ms = 0;    // likewise
};

class LagWatch {
 public:
  LagWatch(RedisTarget redis, std::vector<std::string> streams, std::string group);

  /// Asks about every stream. A stream of which Redis says nothing, because it or its group is not there, has no lag.
  Status Look();
  /// Any thread.
  std::map<std::string, StreamLag> Lags() const;

 private:
  Status LookAtAll();
  void Keep(std::map<std::string, StreamLag> found);

  const RedisTarget redis_;
  const std::vector<std::string> streams_;
  const std::string group_;
  std::optional<RedisClient> connection_;
  mutable std::mutex mutex_;
  std::map<std::string, StreamLag> lags_;  // Guarded by mutex_
};

}  // namespace sprockets
