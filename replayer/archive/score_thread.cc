#include "replayer/archive/score_thread.h"

#include <chrono>

#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

namespace sprockets {
namespace {

constexpr auto kTryAgain = std::chrono::milliseconds(500);
constexpr int kLastTries = 10;  // a rebuild that is at work may end soon
// A rebuild asks for the lock ten times a second, and for four seconds: it gets its turn. The scores of a busy stream
// come together meanwhile, and each is written once.
constexpr int64_t kTurnMs = 1'000;
constexpr auto kPause = std::chrono::milliseconds(150);

}  // namespace

void ScoreThread::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

void ScoreThread::Wake() {
  const std::lock_guard lock(mutex_);
  has_scores_ = true;
  woken_.notify_all();
}

ScoreThread::Summary ScoreThread::Finish() {
  if (!thread_.joinable()) return {};
  thread_.request_stop();
  thread_.join();
  for (int tried = 1; !PublishOnce([] { return false; }) && tried < kLastTries; ++tried) {
    if (!SleepUnlessStopped(kTryAgain.count())) break;
  }
  return Current();
}

void ScoreThread::Loop(const std::stop_token& stop) {
  bool failed = false;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      if (!failed) woken_.wait(lock, stop, [this] { return has_scores_; });
      has_scores_ = false;
    }
    const int64_t begun_ms = SteadyClockMs();
    const auto is_over = [&] { return stop.stop_requested() || SteadyClockMs() - begun_ms > kTurnMs; };
    if (!stop.stop_requested()) failed = !PublishOnce(is_over);
    std::unique_lock lock(mutex_);
    has_scores_ = has_scores_ || is_over();
    woken_.wait_for(lock, stop, failed ? kTryAgain : kPause, [] { return false; });
  }
}

bool ScoreThread::PublishOnce(const std::function<bool()>& is_over) {
  const auto published = publisher_.PublishAll(is_over);
  const std::string left = published.ok() ? published.value().left.value_or("") : published.error().message;
  {
    const std::lock_guard lock(mutex_);
    result_.published += published.ok() ? published.value().scores : 0;
    result_.left = left;
  }
  if (left.empty()) {
    told_ = false;
    return true;
  }
  if (!told_) LogWarning("scores-wait", {{"why", left}, {"next", "tried again"}});
  told_ = true;
  return false;
}

}  // namespace sprockets
