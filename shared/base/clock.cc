#include "shared/base/clock.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace sprockets {

namespace {

constexpr int64_t kLookEveryMs = 50;

template <typename Clock>
int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
}

class SystemClock final : public Clock {
 public:
  int64_t WallMs() override { return NowMs<std::chrono::system_clock>(); }
  int64_t SteadyMs() override { return NowMs<std::chrono::steady_clock>(); }
  void Sleep(int64_t ms, const std::function<bool()>& is_over) override {
    const int64_t until_ms = SteadyMs() + ms;
    while (!is_over || !is_over()) {
      const int64_t left_ms = until_ms - SteadyMs();
      if (left_ms <= 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(is_over ? std::min(left_ms, kLookEveryMs) : left_ms));
    }
  }
};

SystemClock system_clock;
std::atomic<Clock*> the_clock = &system_clock;

}  // namespace

ClockInPlace::ClockInPlace(Clock* clock) : before_(the_clock.exchange(clock)) {}
ClockInPlace::~ClockInPlace() {
  the_clock = before_;
}

int64_t WallClockMs() {
  return the_clock.load()->WallMs();
}

int64_t SteadyClockMs() {
  return the_clock.load()->SteadyMs();
}

int64_t SteadyClockUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SleepMs(int64_t ms, const std::function<bool()>& is_over) {
  the_clock.load()->Sleep(ms, is_over);
}

}  // namespace sprockets
