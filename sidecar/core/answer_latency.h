// How long events waited for their answer, from the turn that read them to the end of the turn that answered them. An
// answer costs a comparison, and a turn with answers one look at the clock. Pure; loop thread only.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "shared/base/latency_histogram.h"

namespace sprockets {

class AnswerLatency {
 public:
  /// An event that was read at `asked_us` has its answer. 0: nobody knows when, so it does not count.
  void Answered(int64_t asked_us) {
    if (asked_us == 0) return;
    if (!runs_.empty() && runs_.back().first == asked_us) {
      ++runs_.back().second;
    } else {
      runs_.emplace_back(asked_us, 1);
    }
  }
  bool has_answers() const { return !runs_.empty(); }
  /// The answers of this turn have left.
  void EndTurn(int64_t now_us) {
    for (const auto& [asked_us, times] : runs_) histogram_.Record(now_us - asked_us, times);
    runs_.clear();
  }
  const LatencyHistogram& histogram() const { return histogram_; }

 private:
  std::vector<std::pair<int64_t, uint64_t>> runs_;  // when they were read, and how many of them in a row
  LatencyHistogram histogram_;
};

}  // namespace sprockets
