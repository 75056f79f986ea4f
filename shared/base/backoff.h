// Exponential backoff with jitter. Pure: the caller brings the randomness.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sprockets {

class Backoff {
 public:
  Backoff(int64_t first_ms, int64_t most_ms) : first_ms_(first_ms), most_ms_(most_ms) {}

  /// The next delay in milliseconds: between half of the current step and the whole of it. `random` is any number.
  int64_t NextMs(uint64_t random) {
    const int64_t step = std::min(most_ms_, first_ms_ << std::min(tries_, 20));
    ++tries_;
    return step - static_cast<int64_t>(random % static_cast<uint64_t>(step / 2 + 1));
  }
  void Reset() { tries_ = 0; }

 private:
  int64_t first_ms_;
  int64_t most_ms_;
  int tries_ = 0;
};

}  // namespace sprockets
