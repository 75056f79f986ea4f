// How long things took, counted in fixed buckets, so that recording is a few comparisons and a copy is small. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace sprockets {

class LatencyHistogram {
 public:
  /// Upper bounds of the buckets, microseconds, the bound itself included. One more bucket holds what is longer.
  static constexpr std::array<int64_t, 16> kBoundsUs = {100,       250,       500,       1'000,     2'500,   5'000,
                                                        10'000,    25'000,    50'000,    100'000,   250'000, 500'000,
                                                        1'000'000, 2'500'000, 5'000'000, 10'000'000};

  /// `times` things took so long each. A clock that went backwards counts as no time.
  void Record(int64_t us, uint64_t times = 1) {
    us = std::max<int64_t>(us, 0);
    const auto bucket = std::lower_bound(kBoundsUs.begin(), kBoundsUs.end(), us) - kBoundsUs.begin();
    counts_[static_cast<size_t>(bucket)] += times;
    count_ += times;
    sum_us_ += static_cast<uint64_t>(us) * times;
  }

  /// Of each bucket alone.
  const std::array<uint64_t, kBoundsUs.size() + 1>& counts() const { return counts_; }
  uint64_t count() const { return count_; }
  uint64_t sum_us() const { return sum_us_; }

 private:
  std::array<uint64_t, kBoundsUs.size() + 1> counts_{};
  uint64_t count_ = 0;
  uint64_t sum_us_ = 0;
};

}  // namespace sprockets
