// --rate: no more than so many events a second. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"

namespace sprockets {

class Pace {
 public:
  /// 0: no limit.
  Pace(int64_t events_per_s, size_t rows_a_batch) : events_per_s_(events_per_s), rows_a_batch_(rows_a_batch) {}

  bool is_limited() const { return events_per_s_ != 0; }
  /// Batches small enough for a tenth of a second.
  size_t MostRows() const {
    if (events_per_s_ == 0) return rows_a_batch_;
    return std::clamp<size_t>(static_cast<size_t>(events_per_s_ / 10), 1, rows_a_batch_);
  }
  /// Waits until so many events may be sent. False: a signal asks to stop.
  bool WaitFor(size_t events) {
    if (events_per_s_ == 0) return !StopRequested();
    const int64_t now = SteadyClockMs();
    if (!SleepUnlessStopped(free_at_ms_ - now)) return false;
    free_at_ms_ = std::max(free_at_ms_, now) + static_cast<int64_t>(events) * 1000 / events_per_s_;
    return true;
  }

 private:
  int64_t events_per_s_;
  size_t rows_a_batch_;
  int64_t free_at_ms_ = 0;
};

}  // namespace sprockets
