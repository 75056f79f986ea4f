// How many entries to ask Redis for at once: XREADGROUP has a limit of entries, and none of bytes. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sprockets {

/// Learns from each reply how large entries are, so that a reply holds about `target_bytes`. Begins small and grows by
/// no more than four times a reply, because the next entries may be larger than all before them.
class ReadSize {
 public:
  ReadSize(int64_t most_entries, size_t target_bytes) : most_(most_entries), target_bytes_(target_bytes) {}

  /// COUNT of the next read.
  int64_t Count() const { return count_; }
  /// A reply brought `bytes`, and up to `entries` of one stream. Nothing is learned from none.
  void Learn(size_t bytes, size_t entries) {
    if (entries == 0) return;
    const size_t each = std::max<size_t>(bytes / entries, 1);
    const auto wanted = static_cast<int64_t>(target_bytes_ / each);
    count_ = std::clamp<int64_t>(wanted, 1, std::min(most_, count_ * kGrowth));
  }

 private:
  static constexpr int64_t kGrowth = 4;
  int64_t most_;
  size_t target_bytes_;
  int64_t count_ = std::min<int64_t>(most_, 16);
};

}  // namespace sprockets
