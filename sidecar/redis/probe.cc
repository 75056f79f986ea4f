#include "sidecar/redis/probe.h"

#include <optional>
#include <utility>

#include <uv.h>

#include "shared/ahead/greeting.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/error.h"
#include "shared/redis/login.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/link.h"
#include "sidecar/redis/pipeline.h"
#include "sidecar/redis/replies.h"
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

/// Transactions and the guard, as --ack disk needs them. The guard is set only where it stands already, to what it is.
class TransactionProbe : private RedisPipelineEvents {
 public:
  TransactionProbe(uv_loop_t* loop, const RedisUrl& url, int64_t timeout_ms)
      : loop_(loop), pipeline_(loop, url, timeout_ms, this) {
    if (std::string auth = AuthCommand(url); !auth.empty()) Add(Ask::kLogin, std::move(auth));
    if (url.database != 0) Add(Ask::kLogin, MakeCommand({"SELECT", std::to_string(url.database)}));
    Add(Ask::kTransaction, MakeCommand({"MULTI"}));
    Add(Ask::kTransaction, MakeCommand({"EXEC"}));
    Add(Ask::kRange, MakeCommand({"XRANGE", "sprockets:probe", "-", "+", "COUNT", "1"}));
    Add(Ask::kGuard, MakeCommand({"SET", kGuardKey, "1", "XX"}));
    Add(Ask::kGuard, MakeCommand({"WATCH", kGuardKey}));
    // It is queued, and the connection ends without an EXEC.
    Add(Ask::kTransaction, MakeCommand({"MULTI"}));
    Add(Ask::kAdd, MakeCommand({"XADD", "sprockets:probe", "NOMKSTREAM", "*", "f", "v"}));
    pipeline_.Connect();
  }
  /// Why it cannot be used; empty: it can.
  const std::string& why() const { return why_; }
  bool refused() const { return refused_; }
  bool may_guard() const { return may_guard_; }
  bool may_range() const { return may_range_; }

 private:
  enum class Ask { kLogin, kTransaction, kAdd, kRange, kGuard };

  void Add(Ask ask, std::string command) {
    asked_.push_back(ask);
    commands_ += command;
  }
  void End(std::string why, bool refused) {
    why_ = std::move(why);
    refused_ = refused;
    uv_stop(loop_);
  }

  // RedisPipelineEvents
  void OnConnected() override {
    pipeline_.Append(commands_, asked_.size());
    pipeline_.Flush();
  }
  void OnReply(const redisReply& reply) override {
    const RedisAnswer answer = WholeAnswer(reply);
    const Ask ask = asked_[answered_++];
    if (ask == Ask::kGuard && IsDenied(answer)) may_guard_ = false;
    if (ask == Ask::kRange && IsDenied(answer)) may_range_ = false;
    if (why_.empty() && ask == Ask::kTransaction && answer.is_error())
      End(std::string(IsDenied(answer) ? kNeedsTransactions : answer.text), /*refused=*/true);
    // The right to the key of the probe says nothing of the right to streams.
    if (why_.empty() && ask == Ask::kAdd && IsDenied(answer) && answer.text.find("command") != std::string_view::npos)
      End("Redis does not let this user send XADD: give the sidecar's user +xadd", /*refused=*/true);
    if (answered_ == asked_.size()) uv_stop(loop_);
  }
  void OnClosed(const std::string& why, bool) override { End(why, /*refused=*/false); }

  uv_loop_t* const loop_;
  std::vector<Ask> asked_;
  std::string commands_;
  size_t answered_ = 0;
  std::string why_;
  bool refused_ = false;
  bool may_guard_ = true;
  bool may_range_ = true;
  RedisPipeline pipeline_;
};

void ProbeTransactions(uv_loop_t* loop, const RedisUrl& url, int64_t timeout_ms, ProbedRedis* probed) {
  const TransactionProbe probe(loop, url, timeout_ms);
  uv_run(loop, UV_RUN_DEFAULT);
  probed->why = probe.why();
  probed->may_guard = probe.may_guard();
  probed->may_xrange = probe.may_range();
  if (probed->why.empty()) return;
  probed->verdict = probe.refused() ? ProbedRedis::Verdict::kRefused : ProbedRedis::Verdict::kUnreachable;
}

}  // namespace

ProbedRedis ProbeRedis(const RedisUrl& url, int64_t timeout_ms, bool for_journal) {
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
    if (for_journal && probed.why.empty() && probed.server.run_id.empty()) {
      probed.verdict = Verdict::kRefused;
      probed.why = "--ack disk needs INFO, to tell one life of the server from the next: give the sidecar's user +info";
    }
  }
  if (for_journal && probed.why.empty()) {
    uv_run(&loop, UV_RUN_DEFAULT);  // the first connection ends
    ProbeTransactions(&loop, url, timeout_ms, &probed);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  SPROCKETS_ASSERT(uv_loop_close(&loop) == 0);
  return probed;
}

}  // namespace sprockets
