#include "shared/base/clock.h"

#include <chrono>

namespace sprockets {

namespace {

template <typename Clock>
int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
}

}  // namespace

int64_t WallClockMs() {
  return NowMs<std::chrono::system_clock>();
}

int64_t SteadyClockMs() {
  return NowMs<std::chrono::steady_clock>();
}

}  // namespace sprockets
