// Redis as the router knows it: carries its requests to the link, and what the link tells back to it. Knows what is
// owed when a connection comes or goes: that it is written down, how long a fence is waited for. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <uv.h>

#include "sidecar/core/router.h"
#include "sidecar/core/traffic.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/link.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class Upstream : public RedisSink, private RedisLinkEvents {
 public:
  struct Options {
    RedisUrl url;
    int64_t timeout_ms = 250;
    int64_t fence_wait_ms = 0;  // so long may what an earlier connection has sent be on its way, where no fence is
  };
  /// `earlier` and `earlier_lost` as RedisLink takes them.
  Upstream(uv_loop_t* loop, const LoopClock* clock, Options options, std::vector<ConnectionId> earlier,
           bool earlier_lost);

  /// `on_unusable`: the server can never be used, and why.
  /// `on_lost`: a connection that stood has gone.
  void Start(Router* router, ConnectionBook* book, std::function<void(const std::string&)> on_unusable,
             std::function<void()> on_lost);
  /// No new connection from now on; the standing one goes on until it ends.
  void Stop();
  /// Once a turn of the loop.
  void Flush() { link_.Flush(); }
  void OnRecorded(const Recorded& recorded) { link_.OnRecorded(recorded); }

  bool connected() const { return link_.state() == RedisLink::State::kReady; }
  /// Since when events go there, on the loop's clock; 0: they do not.
  int64_t healthy_since_ms() const { return router_->breaker().closed() ? link_.ready_since_ms() : 0; }
  /// When a connection was last lost or found.
  WallTime changed_at() const { return changed_at_; }
  /// What it refused, or why there is no connection.
  const std::string& last_error() const { return connected() ? router_->last_refusal() : link_.last_failure(); }
  const RedisLink& link() const { return link_; }

  // RedisSink
  void Send(const PendingEvent& event) override { link_.Send(event.wire); }
  void ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) override {
    link_.ReadTail(stream, before, count);
  }
  void ProbeRedis(std::string_view why) override;

 private:
  // RedisLinkEvents
  void RecordConnection(RecordJob job) override { book_->Record(std::move(job)); }
  void OnLinkReady(const ConnectionId& connection, bool earlier_fenced) override;
  void OnLinkLost() override;
  void OnProbe(bool passed) override { passed ? router_->OnProbePassed() : router_->OnProbeFailed(); }
  void OnLanded(std::string_view id) override;
  void OnNil() override { router_->OnNil(); }
  void OnXaddError(std::string_view error) override { router_->OnError(error, clock_->Now()); }
  void OnTail(StreamState& stream, const std::vector<TailEntry>& entries, bool more) override {
    router_->OnTail(stream, entries, more, clock_->Now());
  }
  void OnTailError(StreamState& stream, std::string_view error) override {
    router_->OnTailError(stream, error, clock_->Now());
  }
  void OnUnusable(const std::string& why) override { on_unusable_(why); }

  const LoopClock* const clock_;
  const int64_t fence_wait_ms_;
  Router* router_ = nullptr;
  ConnectionBook* book_ = nullptr;
  std::function<void(const std::string&)> on_unusable_;
  std::function<void()> on_lost_;
  UvTimer fence_wait_;
  RedisLink link_;
  WallTime changed_at_;
  bool refuses_ = false;  // and the log has said so
  bool stopping_ = false;
};

}  // namespace sprockets
