// One rebuild at a time in a Redis, whichever database it comes from: a key that its owner keeps alive.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "replayer/redis/client.h"
#include "shared/base/result.h"

namespace sprockets {

/// Held by a thread with a connection of its own, so that nothing else has to hurry. It passes kLifeMs after its owner
/// was killed.
class RedisLock {
 public:
  static constexpr int64_t kLifeMs = 3'000;

  /// Waits for longer than a killed owner's takes to pass, or until a stop is requested. kBusy: somebody else has it.
  static Result<std::unique_ptr<RedisLock>> Take(const RedisUrl& url, int64_t deadline_ms);
  /// Lets it go.
  ~RedisLock();
  RedisLock(const RedisLock&) = delete;
  RedisLock& operator=(const RedisLock&) = delete;

  /// kBusy: somebody else has it by now, or may have: Redis has not answered for as long as it lives. Nothing may be
  /// changed then. Any thread.
  Status Check() const;

 private:
  RedisLock(RedisClient redis, std::string token);
  Result<bool> Renew();
  void Keep(const std::stop_token& stop);

  RedisClient redis_;
  const std::string token_;
  std::atomic<bool> lost_ = false;
  std::atomic<int64_t> held_ms_ = 0;  // when it was asked for last with success, by the steady clock
  std::jthread keeper_;
};

}  // namespace sprockets
