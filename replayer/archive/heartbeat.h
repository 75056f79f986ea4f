// Keeps others from claiming what this consumer is working on, however long a batch takes. A thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "replayer/archive/group_reader.h"
#include "replayer/redis/client.h"
#include "replayer/redis/target.h"

namespace sprockets {

class Heartbeat {
 public:
  /// `streams` says of which streams, each time anew, on the heartbeat's thread. Entries are never idle for much longer
  /// than half of `claim_idle_ms`.
  Heartbeat(RedisTarget redis, GroupReader& reader, int64_t claim_idle_ms,
            std::function<std::vector<std::string>()> streams);

  void Start();
  void Finish();

 private:
  void Loop(const std::stop_token& stop);
  Status Beat();

  const RedisTarget redis_;
  GroupReader& reader_;
  const int64_t every_ms_;
  const std::function<std::vector<std::string>()> streams_;
  std::optional<RedisClient> connection_;  // of the thread, as is told_
  bool told_ = false;

  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread thread_;  // the last: it ends before what it uses
};

}  // namespace sprockets
