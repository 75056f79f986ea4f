#include "sidecar/redis/probe.h"

#include <optional>
#include <utility>

#include <uv.h>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "sidecar/redis/link.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

namespace {

constexpr int64_t kMostTimeouts = 10;  // of --redis-timeout, for all answers together

/// A link with nothing behind it: what it wants written down is said to be, for it carries no event.
class Probe : private RedisLinkEvents {
 public:
  Probe(uv_loop_t* loop, const RedisUrl& url, int64_t timeout_ms)
      : loop_(loop),
        link_(loop, {url, timeout_ms}, {}, /*earlier_lost=*/false, this),
        end_of_turn_(new uv_prepare_t),
        patience_(loop, [this] { uv_stop(loop_); }) {
    uv_prepare_init(loop, end_of_turn_.get());
    end_of_turn_->data = this;
    uv_prepare_start(end_of_turn_.get(), [](uv_prepare_t* prepare) { static_cast<Probe*>(prepare->data)->EndTurn(); });
    patience_.Start(kMostTimeouts * timeout_ms);
    link_.Start();
  }
  bool answered() const { return link_.state() == RedisLink::State::kReady || !link_.last_failure().empty(); }
  const RedisLink& link() const { return link_; }

 private:
  void EndTurn() {
    if (const std::optional<RecordJob> job = std::exchange(recorded_, std::nullopt))
      link_.OnRecorded({.ok = true, .why = {}, .connections = {job->live}, .connections_lost = false});
    link_.Flush();
    const bool failed = link_.state() == RedisLink::State::kWaiting && !link_.last_failure().empty();
    if (failed || link_.state() == RedisLink::State::kReady) uv_stop(loop_);
  }

  // RedisLinkEvents
  void RecordConnection(RecordJob job) override { recorded_ = std::move(job); }
  void OnLinkReady(const ConnectionId&, bool) override {}
  void OnLinkLost() override {}
  void OnProbe(bool) override {}
  void OnLanded(std::string_view) override {}
  void OnNil() override {}
  void OnXaddError(std::string_view) override {}
  void OnTail(StreamState&, const std::vector<TailEntry>&, bool) override {}
  void OnTailError(StreamState&, std::string_view) override {}
  void OnUnusable(const std::string&) override {}

  uv_loop_t* const loop_;
  RedisLink link_;
  UvHandle<uv_prepare_t> end_of_turn_;
  UvTimer patience_;
  std::optional<RecordJob> recorded_;
};

}  // namespace

ProbedRedis ProbeRedis(const RedisUrl& url, int64_t timeout_ms) {
  InitLog(LogFormat::kText, LogLevel::kNone);  // what it would say is the caller's to say
  uv_loop_t loop;
  SPROCKETS_ASSERT(uv_loop_init(&loop) == 0);
  ProbedRedis probed;
  {
    const Probe probe(&loop, url, timeout_ms);
    uv_run(&loop, UV_RUN_DEFAULT);
    using Verdict = ProbedRedis::Verdict;
    probed.server = probe.link().server();
    probed.why = probe.answered() ? probe.link().last_failure()
                                  : "not all of it was answered within " + FormatDuration(kMostTimeouts * timeout_ms);
    const bool refused = !probed.server.refusal.empty();
    probed.verdict = probed.why.empty() ? Verdict::kUsable : refused ? Verdict::kRefused : Verdict::kUnreachable;
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  SPROCKETS_ASSERT(uv_loop_close(&loop) == 0);
  return probed;
}

}  // namespace sprockets
