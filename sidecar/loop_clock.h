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

 private:
  const uv_loop_t* const loop_;
  WallTime wall_;
};

}  // namespace sprockets
