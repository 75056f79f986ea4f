// Reads the ends of streams for `--ack disk` after a life with `--ack redis`, on a connection of its own, which stands
// only as long as something is asked. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include <uv.h>

#include "shared/base/moment.h"
#include "shared/redis/url.h"
#include "sidecar/core/acceptor.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/pipeline.h"

namespace sprockets {

class TailReader : public TailSource, private RedisPipelineEvents {
 public:
  TailReader(uv_loop_t* loop, const LoopClock* clock, RedisUrl url, int64_t timeout_ms);

  void Start(Acceptor* acceptor) { acceptor_ = acceptor; }
  /// Once a turn of the loop.
  void EndTurn();
  void Stop() { pipeline_.Close(); }

  // TailSource
  bool ReadTail(const std::string& stream, std::optional<StreamId> before, int64_t count) override;

 private:
  struct Asked {
    std::string stream;
    int64_t count = 0;
  };

  // RedisPipelineEvents
  void OnConnected() override;
  void OnReply(const redisReply& reply) override;
  void OnClosed(const std::string& why, bool) override { Fail(why); }

  void TakeEntries(const Asked& asked, const redisReply& reply);
  void Fail(std::string_view why);

  const LoopClock* const clock_;
  const RedisUrl url_;
  Acceptor* acceptor_ = nullptr;
  RedisPipeline pipeline_;
  bool connected_ = false;
  size_t logins_owed_ = 0;   // answers to them
  std::string unsent_;       // until it is connected
  std::deque<Asked> asked_;  // in the order of their answers
  bool failed_ = false;      // the acceptor hears of it at the end of the turn
  LoopTime retry_at_;        // until then Redis counts as away
  std::string last_failure_;
};

}  // namespace sprockets
