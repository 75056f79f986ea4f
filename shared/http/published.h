// Hands what one thread publishes to whoever reads it, without making that thread wait: where a reader holds the lock
// at that moment, this publication is left out, and the next one follows soon.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace sprockets {

template <typename T>
class Published {
 public:
  /// One thread. Never waits.
  void Publish(std::shared_ptr<const T> publication) {
    {
      const std::unique_lock lock(mutex_, std::try_to_lock);
      if (!lock.owns_lock()) return;
      latest_.swap(publication);
    }
    published_.notify_all();
  }

  /// Any thread. Null: nothing has been published yet.
  std::shared_ptr<const T> Latest() const {
    const std::lock_guard lock(mutex_);
    return latest_;
  }

  /// Any thread: waits until there is another one than `known`, but not longer than this; the latest.
  std::shared_ptr<const T> WaitForOther(const T* known, int64_t for_ms) const {
    std::unique_lock lock(mutex_);
    published_.wait_for(lock, std::chrono::milliseconds(for_ms), [&] { return latest_.get() != known; });
    return latest_;
  }

 private:
  mutable std::mutex mutex_;  // held to copy a pointer, for nothing else
  mutable std::condition_variable published_;
  std::shared_ptr<const T> latest_;  // Guarded by mutex_
};

}  // namespace sprockets
