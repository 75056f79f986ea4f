#include "sidecar/redis/ahead_link.h"

#include <utility>

#include "shared/base/log.h"
#include "sidecar/redis/replies.h"

namespace sprockets {

AheadLink::AheadLink(uv_loop_t* loop, const LoopClock* clock, RedisUrl url, int64_t timeout_ms)
    : clock_(clock),
      url_(std::move(url)),
      retry_timer_(loop, [this] { pipeline_.Connect(); }),
      random_(std::random_device{}()),
      pipeline_(loop, url_, timeout_ms, this),
      changed_at_(clock->Wall()) {}

void AheadLink::Start(Forwarder* forwarder, std::function<void(const std::string&)> on_unusable,
                      std::function<void()> on_lost) {
  forwarder_ = forwarder;
  on_unusable_ = std::move(on_unusable);
  on_lost_ = std::move(on_lost);
  pipeline_.Connect();
}

void AheadLink::Stop() {
  stopping_ = true;
  retry_timer_.Stop();
  if (!greeted_) pipeline_.Close();
}

void AheadLink::OnConnected() {
  forwarder_->OnConnected();
}

void AheadLink::OnReply(const redisReply& reply) {
  forwarder_->OnAnswer(WholeAnswer(reply), clock_->Now());
}

void AheadLink::Greeted() {
  greeted_ = true;
  was_greeted_ = true;
  backoff_.Reset();
  last_failure_.clear();
  changed_at_ = clock_->Wall();
}

void AheadLink::OnClosed(const std::string& why, bool by_server) {
  forwarder_->OnDisconnected(by_server);
  Lost(why);
}

// The forwarder knows.
void AheadLink::Disconnect(std::string_view why) {
  pipeline_.Close();
  Lost(why);
}

void AheadLink::Unusable(std::string_view why) {
  unusable_ = why;
}

void AheadLink::Lost(std::string_view why) {
  const bool was_ready = std::exchange(greeted_, false);
  if (was_ready || last_failure_ != why)
    LogWarning(was_ready ? "redis-lost" : "redis-not-ready", {{"server", url_.ForLogs()}, {"why", why}});
  last_failure_ = why;
  if (!stopping_) retry_timer_.Start(backoff_.NextMs(random_()));
  if (was_ready) {
    changed_at_ = clock_->Wall();
    ++times_lost_;
    on_lost_();
  }
  // Once it could be used: rights that were taken may come back, and until then events wait in the journal.
  if (const std::string unusable = std::exchange(unusable_, {}); !unusable.empty() && !was_greeted_)
    on_unusable_(unusable);
}

}  // namespace sprockets
