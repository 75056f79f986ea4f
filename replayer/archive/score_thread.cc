#include "replayer/archive/score_thread.h"

#include <chrono>

#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

namespace sprockets {
namespace {

constexpr auto kTryAgain = std::chrono::milliseconds(500);
constexpr int kLastTries = 10;  // a rebuild that is at work may end soon

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
  for (int tried = 1; !PublishOnce({}) && tried < kLastTries; ++tried) {
    if (!SleepUnlessStopped(kTryAgain.count())) break;
  }
  return result_;
}

void ScoreThread::Loop(const std::stop_token& stop) {
  bool failed = false;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      const auto is_told = [this] { return has_scores_; };
      if (failed) {
        woken_.wait_for(lock, stop, kTryAgain, [] { return false; });
      } else {
        woken_.wait(lock, stop, is_told);
      }
      has_scores_ = false;
    }
    if (!stop.stop_requested()) failed = !PublishOnce(stop);
  }
}

bool ScoreThread::PublishOnce(const std::stop_token& stop) {
  const auto published = publisher_.PublishAll([&] { return stop.stop_requested(); });
  if (published.ok()) {
    result_.published += published.value().scores;
    result_.left = published.value().left.value_or("");
  } else {
    result_.left = published.error().message;
  }
  if (result_.left.empty()) {
    told_ = false;
    return true;
  }
  if (!told_) LogWarning("scores-wait", {{"why", result_.left}, {"next", "tried again"}});
  told_ = true;
  return false;
}

}  // namespace sprockets
