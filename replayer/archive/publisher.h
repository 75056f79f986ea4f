// Scores from the outbox into Redis: by one at a time, who holds the lock of `rebuild`. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "replayer/postgres/postgres.h"
#include "replayer/redis/client.h"
#include "replayer/redis/lock.h"
#include "replayer/redis/target.h"
#include "shared/base/result.h"

namespace sprockets {

/// Scores are absolute, so to write one twice does nothing, and a crash between the two stores heals when the next one
/// publishes. What was written is deleted by key, member and version: a score that came meanwhile has another version.
class Publisher {
 public:
  Publisher(RedisTarget redis, PostgresTarget postgres) : redis_(std::move(redis)), postgres_(std::move(postgres)) {}

  struct Published {
    uint64_t scores = 0;
    std::optional<std::string> left;  // why some stay in the outbox
  };
  /// Writes what the outbox has, until it has nothing or `stop` says true. A key of another type stays, and the others
  /// go on. kBusy: a rebuild is at work; kUnreachable.
  Result<Published> PublishAll(const std::function<bool()>& stop);

 private:
  struct Score {
    std::string key;
    std::string member;
    std::string score;
    std::string expire_at_ms;  // empty: none
    bool has_expired = false;
    std::string version;
  };
  Result<std::vector<Score>> ReadPage();
  Status WritePage(const std::vector<Score>& page);
  Status DeletePage(const std::vector<Score>& page);
  Result<Published> PublishPages(const RedisLock& lock, const std::function<bool()>& stop);

  const RedisTarget redis_;
  const PostgresTarget postgres_;
  std::optional<Postgres> outbox_;
  std::optional<RedisClient> boards_;
  std::set<std::string, std::less<>> refused_;  // keys that Redis does not take, of this run of PublishAll
  std::string why_refused_;
};

}  // namespace sprockets
