// The two clocks: wall time for people and rows, steady time for deadlines; and sleeping, which takes time by both.
// Any thread.
#pragma once

#include <cstdint>
#include <functional>

namespace sprockets {

/// What the process goes by. There is one; a test may put another in its place.
class Clock {
 public:
  /// As WallClockMs, SteadyClockMs and SleepMs.
  virtual int64_t WallMs() = 0;
  virtual int64_t SteadyMs() = 0;
  virtual void Sleep(int64_t ms, const std::function<bool()>& is_over) = 0;

 protected:
  ~Clock() = default;  // nobody owns one as a Clock
};

/// While it lives, the process goes by `clock`, which must outlive it. For tests.
class ClockInPlace {
 public:
  explicit ClockInPlace(Clock* clock);
  ClockInPlace(const ClockInPlace&) = delete;
  ClockInPlace& operator=(const ClockInPlace&) = delete;
  ~ClockInPlace();

 private:
  Clock* const before_;
};

/// Milliseconds since 1970, UTC. May jump.
int64_t WallClockMs();

/// Milliseconds since some moment. Never goes back.
int64_t SteadyClockMs();

/// The same in microseconds, of the machine itself: for what is measured, not for what is decided. No test replaces it.
int64_t SteadyClockUs();

/// Returns after so many milliseconds, or within 50 of `is_over` becoming true.
void SleepMs(int64_t ms, const std::function<bool()>& is_over = nullptr);

}  // namespace sprockets
