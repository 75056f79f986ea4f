#include "replayer/admin/repeating.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include "shared/base/clock.h"

namespace sprockets {
namespace {

constexpr int64_t kLeastPauseMs = 1'000;
constexpr int64_t kPauseShare = 20;      // so many times as long as the work took,
constexpr int64_t kMostPauseMs = 3'000;  // unless that would be too seldom for kServicePatienceMs

void Repeat(const std::stop_token& stop, const Repeating::Work& work) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  while (!stop.stop_requested()) {
    const int64_t begun_ms = SteadyClockMs();
    work(stop);
    const int64_t took_ms = SteadyClockMs() - begun_ms;
    const std::chrono::milliseconds pause(std::clamp(took_ms * kPauseShare, kLeastPauseMs, kMostPauseMs));
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, pause, [] { return false; });
  }
}

}  // namespace

Repeating::Repeating(Work work)
    : thread_([work = std::move(work)](const std::stop_token& stop) { Repeat(stop, work); }) {}

}  // namespace sprockets
