#include "sidecar/admin/publisher.h"

#include <chrono>
#include <utility>

namespace sprockets {

void Publisher::Publish(std::shared_ptr<const Publication> publication) {
  {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return;
    latest_.swap(publication);
  }
  published_.notify_all();
}

std::shared_ptr<const Publication> Publisher::Latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

std::shared_ptr<const Publication> Publisher::WaitForOther(const Publication* known, int64_t for_ms) const {
  std::unique_lock lock(mutex_);
  published_.wait_for(lock, std::chrono::milliseconds(for_ms), [&] { return latest_.get() != known; });
  return latest_;
}

}  // namespace sprockets
