// A connection to a Redis that is a master, which knows who it is and can fence others.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replayer/redis/client.h"
#include "shared/base/result.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/fence.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

class Server {
 public:
  /// Connects, logs in and finds out whom it talks to. kBusy where Redis is still loading; kRefused where it is no
  /// master, is in cluster mode or does not take the login.
  static Result<Server> Connect(const RedisUrl& url, int64_t deadline_ms, const Dial& dial = DialSocket);

  RedisClient& client() { return client_; }
  /// This connection. Its run_id is empty where INFO is not allowed: then nobody's life is known, and no fence is
  /// complete.
  const ConnectionId& self() const { return self_; }
  /// When the connection answered, by the steady clock.
  int64_t answered_ms() const { return answered_ms_; }
  /// Is it known that this is the server that had `run_id`?
  bool IsSameLife(const std::string& run_id) const { return !run_id.empty() && run_id == self_.run_id; }

  /// Kills each of `listed` that a fence from this connection is aimed at.
  Result<Fence> Kill(const std::vector<ConnectionId>& listed);

  /// The last id of each stream that this connection has seen.
  std::map<std::string, StreamId, std::less<>>& last_seen() { return last_seen_; }

 private:
  explicit Server(RedisClient client) : client_(std::move(client)) {}
  Status Identify();
  Status ReadInfo(std::string_view info);
  Status ReadHello();

  RedisClient client_;
  ConnectionId self_;
  int64_t answered_ms_ = 0;
  std::map<std::string, StreamId, std::less<>> last_seen_;
};

/// Do two addresses lead to the same place, as far as this machine can tell? Names are resolved.
bool IsSameAddress(const RedisUrl& one, const RedisUrl& other);

}  // namespace sprockets
