#include "replayer/structure/turns.h"

#include <chrono>
#include <utility>

namespace sprockets {

std::optional<size_t> Turns::Take() {
  const std::lock_guard lock(mutex_);
  if (next_ >= end_) return std::nullopt;
  return next_++;
}

Result<bool> Turns::Await(size_t place, int64_t ms) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return turn_ >= place || place >= end_; });
  if (place >= end_) return status_.error();
  return turn_ >= place;
}

void Turns::Done(size_t place) {
  const std::lock_guard lock(mutex_);
  done_[place] = true;
  while (turn_ < done_.size() && done_[turn_]) ++turn_;
  changed_.notify_all();
}

void Turns::Fail(size_t place, Error why) {
  const std::lock_guard lock(mutex_);
  if (place >= end_ || turn_ >= end_) return;
  end_ = place;
  status_ = std::move(why);
  changed_.notify_all();
}

bool Turns::IsOver() const {
  const std::lock_guard lock(mutex_);
  return turn_ >= end_;
}

bool Turns::AwaitEnd(int64_t ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return turn_ >= end_; });
}

Status Turns::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace sprockets
