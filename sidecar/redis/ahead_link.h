// The connection of `--ack disk`: connects, again and again, carries what the forwarder sends and brings back the
// answers. It decides nothing. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>

#include <uv.h>

#include "shared/ahead/forwarder.h"
#include "shared/base/backoff.h"
#include "shared/redis/url.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/pipeline.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class AheadLink : public ForwarderLink, private RedisPipelineEvents {
 public:
  AheadLink(uv_loop_t* loop, const LoopClock* clock, RedisUrl url, int64_t timeout_ms);

  /// `on_unusable`: the server can never be used, and why; not said any more once it could be. `on_lost`: a connection
  /// that stood has gone.
  void Start(Forwarder* forwarder, std::function<void(const std::string&)> on_unusable, std::function<void()> on_lost);
  /// No new connection from now on; the standing one goes on.
  void Stop();
  /// Once a turn of the loop.
  void Flush() { pipeline_.Flush(); }

  /// Where it is connected to, once the forwarder has greeted the server; empty: it is not.
  const std::string& address() const { return forwarder_->ready() ? pipeline_.address() : none_; }
  /// Why there is no connection; empty: there is one, or was none yet.
  const std::string& last_failure() const { return last_failure_; }
  /// When Redis last answered anything, on the loop's clock; 0: it never has.
  int64_t answered_ms() const { return pipeline_.answered_ms(); }
  /// So many connections that stood have gone.
  uint64_t times_lost() const { return times_lost_; }
  /// When a connection was last lost or found.
  WallTime changed_at() const { return changed_at_; }
  const RedisUrl& url() const { return url_; }

  // ForwarderLink
  void Send(std::string_view commands, size_t answers) override { pipeline_.Append(commands, answers); }
  void Disconnect(std::string_view why) override;
  void Unusable(std::string_view why) override;
  void Greeted() override;

 private:
  // RedisPipelineEvents
  void OnConnected() override;
  void OnReply(const redisReply& reply) override;
  void OnClosed(const std::string& why, bool by_server) override;

  void Lost(std::string_view why);

  const LoopClock* const clock_;
  const RedisUrl url_;
  Forwarder* forwarder_ = nullptr;
  std::function<void(const std::string&)> on_unusable_;
  std::function<void()> on_lost_;
  UvTimer retry_timer_;
  Backoff backoff_{100, 5'000};
  std::minstd_rand random_;
  RedisPipeline pipeline_;
  bool stopping_ = false;
  bool greeted_ = false;
  bool was_greeted_ = false;  // ever
  std::string unusable_;      // told at the end of the connection
  std::string last_failure_;
  uint64_t times_lost_ = 0;
  WallTime changed_at_;
  const std::string none_;
};

}  // namespace sprockets
