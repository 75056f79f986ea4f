#include "replayer/archive/bisection.h"

#include "shared/base/result.h"

namespace sprockets {

Bisection::Bisection(size_t size, bool has_failed) {
  if (size == 0) return;
  if (has_failed) {
    Fail({0, size});
  } else {
    waiting_.push_back({0, size});
  }
}

std::optional<Bisection::Range> Bisection::Next() const {
  if (waiting_.empty()) return {};
  return waiting_.back();
}

void Bisection::Take(bool went_through) {
  SPROCKETS_ASSERT(!waiting_.empty());
  const Range range = waiting_.back();
  waiting_.pop_back();
  if (!went_through) Fail(range);
}

void Bisection::Fail(Range range) {
  if (range.end - range.begin == 1) {
    poison_.push_back(range.begin);
    return;
  }
  const size_t middle = range.begin + (range.end - range.begin) / 2;
  waiting_.push_back({middle, range.end});
  waiting_.push_back({range.begin, middle});
}

}  // namespace sprockets
