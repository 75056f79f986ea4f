// One look at Redis, as the sidecar would use it: for --check-config --probe. Changes nothing there.
#pragma once

#include <cstdint>
#include <string>

#include "shared/redis/url.h"
#include "sidecar/core/handshake.h"

namespace sprockets {

struct ProbedRedis {
  enum class Verdict {
    kUsable,
    kUnreachable,  // nobody answers within `timeout_ms`
    kRefused,      // it answers, and cannot be used: the login, the database, a replica, a cluster
  };
  Verdict verdict = Verdict::kUnreachable;
  std::string why;   // it cannot be used
  Handshake server;  // what it says of itself
  // with `for_journal`:
  bool may_xrange = true;
  bool may_guard = true;  // the key that tells when the dataset was replaced
};

/// Runs a loop of its own until it knows. `for_journal`: whether --ack disk can use it.
ProbedRedis ProbeRedis(const RedisUrl& url, int64_t timeout_ms, bool for_journal);

}  // namespace sprockets
