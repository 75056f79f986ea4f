// The flag behind SIGINT and SIGTERM.
#include "replayer/stop.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "shared/clock.h"

namespace sprockets {
namespace {

constexpr int64_t kLookEveryMs = 50;

volatile std::sig_atomic_t stop_requested = 0;

void RequestStop(int) {
  stop_requested = 1;
}

}  // namespace

void CatchStopSignals() {
  struct sigaction action {};
  action.sa_handler = RequestStop;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool StopRequested() {
  return stop_requested != 0;
}

void ClearStopRequest() {
  stop_requested = 0;
}

bool SleepUnlessStopped(int64_t ms) {
  const int64_t until = SteadyClockMs() + ms;
  while (!StopRequested()) {
    const int64_t left = until - SteadyClockMs();
    if (left <= 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(left, kLookEveryMs)));
  }
  return false;
}

}  // namespace sprockets
