// The loop's two clocks, as all of its parts read them: wall time stands still during a turn. Loop thread only.
#pragma once

#include <cstdint>

#include <uv.h>

#include "shared/base/clock.h"
#include "shared/base/moment.h"

namespace sprockets {

class LoopClock {
 public:
  explicit LoopClock(const uv_loop_t* loop) : loop_(loop), wall_{WallClockMs()} {}

  LoopTime Now() const { return {static_cast<int64_t>(uv_now(loop_))}; }
  WallTime Wall() const { return wall_; }
  /// Once a turn.
  void ReadWall() { wall_ = {WallClockMs()}; }
  /// When this turn first asked, microseconds on the steady clock: for latencies. All of the turn's work has this time.
  int64_t TurnUs() {
    if (turn_us_ == 0) turn_us_ = SteadyClockUs();
    return turn_us_;
  }
  /// The turn is over: the next one asks anew.
  void EndTurn() { turn_us_ = 0; }

 private:
  const uv_loop_t* const loop_;
  WallTime wall_;
  int64_t turn_us_ = 0;
};

}  // namespace sprockets
