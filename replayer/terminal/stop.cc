// The flag behind SIGINT and SIGTERM.
#include "replayer/terminal/stop.h"

#include <atomic>
#include <csignal>

#include "shared/base/clock.h"

namespace sprockets {
namespace {

// Any thread asks, and the handler may run on any.
std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void RequestStop(int) {
  stop_requested = true;
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
  return stop_requested;
}

void ClearStopRequest() {
  stop_requested = false;
}

bool SleepUnlessStopped(int64_t ms) {
  SleepMs(ms, StopRequested);
  return !StopRequested();
}

}  // namespace sprockets
