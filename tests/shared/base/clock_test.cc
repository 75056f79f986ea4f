// The process's clock, and another one in its place.
#include "shared/base/clock.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

class StandingClock final : public Clock {
 public:
  int64_t WallMs() override { return 5; }
  int64_t SteadyMs() override { return 7 + slept_ms_; }
  void Sleep(int64_t ms, const std::function<bool()>&) override { slept_ms_ += ms; }

 private:
  int64_t slept_ms_ = 0;
};

TEST_CASE("a clock in place of the system's is what the process goes by, until it is gone") {
  const int64_t begun_ms = SteadyClockMs();
  {
    StandingClock standing;
    const ClockInPlace in_place(&standing);
    CHECK(WallClockMs() == 5);
    SleepMs(3'600'000);
    CHECK(SteadyClockMs() == 3'600'007);
  }
  CHECK(WallClockMs() > 1'000'000'000'000);
  CHECK(SteadyClockMs() - begun_ms < 60'000);
}

TEST_CASE("a sleep lasts as long as it was asked for, and ends early when it is over") {
  const int64_t begun_ms = SteadyClockMs();
  SleepMs(20);
  CHECK(SteadyClockMs() - begun_ms >= 20);
  int looks = 0;
  SleepMs(3'600'000, [&looks] { return ++looks == 2; });
  CHECK(looks == 2);
  SleepMs(-1);
  CHECK(SteadyClockMs() - begun_ms < 60'000);
}

}  // namespace
}  // namespace sprockets
