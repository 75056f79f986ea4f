#include "sidecar/redis/upstream.h"

#include <utility>

#include "shared/base/log.h"

namespace sprockets {

Upstream::Upstream(uv_loop_t* loop, const LoopClock* clock, Options options, std::vector<ConnectionId> earlier,
                   bool earlier_lost)
    : clock_(clock),
      fence_wait_ms_(options.fence_wait_ms),
      fence_wait_(loop, [this] { router_->OnEarlierFenced(); }),
      link_(loop, RedisLink::Options{std::move(options.url), options.timeout_ms}, std::move(earlier), earlier_lost,
            static_cast<RedisLinkEvents*>(this)),
      changed_at_(clock->Wall()) {}

void Upstream::Start(Router* router, ConnectionBook* book, std::function<void(const std::string&)> on_unusable,
                     std::function<void()> on_lost) {
  router_ = router;
  book_ = book;
  on_unusable_ = std::move(on_unusable);
  on_lost_ = std::move(on_lost);
  link_.Start();
}

void Upstream::Stop() {
  stopping_ = true;
  link_.Stop(/*abandon=*/false);
}

void Upstream::ProbeRedis(std::string_view why) {
  if (!std::exchange(refuses_, true)) LogWarning("redis-refuses", {{"server", link_.url().ForLogs()}, {"why", why}});
  link_.ProbeLater();
}

void Upstream::OnLinkReady(const ConnectionId& connection, bool earlier_fenced) {
  changed_at_ = clock_->Wall();
  router_->OnConnectionReady(connection, earlier_fenced);
  if (!earlier_fenced) fence_wait_.Start(fence_wait_ms_);
  if (stopping_) link_.Stop(/*abandon=*/true);
}

void Upstream::OnLinkLost() {
  changed_at_ = clock_->Wall();
  fence_wait_.Stop();
  book_->NoneIsLive();
  const uint64_t doubts = router_->events_in_flight();
  router_->OnConnectionLost();
  if (doubts > 0) LogWarning("events-in-doubt", {{"events", doubts}});
  on_lost_();
}

void Upstream::OnLanded(std::string_view id) {
  router_->OnLanded(id);
  // A server that answers a probe may still refuse to write: only an entry says that it does not.
  if (std::exchange(refuses_, false)) LogInfo("redis-accepts-again", {{"server", link_.url().ForLogs()}});
}

}  // namespace sprockets
