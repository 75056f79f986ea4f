// Structures are built side by side by several threads, and swapped one after the other in the order of their files:
// each has a place, and a turn once all before it are done. Behind one that failed, nobody has a turn. Any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

class Turns {
 public:
  /// Places 0 to `count` - 1.
  explicit Turns(size_t count) : done_(count), end_(count) {}

  /// The first place that nobody has taken; none: there is nothing left to begin. Who takes one ends it by Done or
  /// Fail.
  std::optional<size_t> Take();
  /// Waits for the turn of `place`, for `ms` at most. False: it has not come yet. The error: it will not come.
  Result<bool> Await(size_t place, int64_t ms);
  void Done(size_t place);
  /// From `place` on nobody has a turn. `why` counts unless one before it fails, too. Changes nothing once it is over.
  void Fail(size_t place, Error why);

  /// Is every place done that has a turn?
  bool IsOver() const;
  /// Waits for that, for `ms` at most. False: not yet.
  bool AwaitEnd(int64_t ms);
  /// The error of the first place that failed.
  Status status() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> done_;
  size_t next_ = 0;  // to be taken
  size_t turn_ = 0;  // all before it are done
  size_t end_;       // from here on nobody has a turn
  Status status_;
};

}  // namespace sprockets
