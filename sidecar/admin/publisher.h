// Hands what the loop publishes to whoever reads it, without making the loop wait: where a reader holds the lock at
// that moment, this publication is left out, and the next one follows a second later.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "sidecar/admin/snapshot.h"

namespace sprockets {

class Publisher {
 public:
  /// Loop thread. Never waits.
  void Publish(std::shared_ptr<const Publication> publication);

  /// Any thread. Null: nothing has been published yet.
  std::shared_ptr<const Publication> Latest() const;
  /// Any thread: waits until there is another one than `known`, but not longer than this; the latest.
  std::shared_ptr<const Publication> WaitForOther(const Publication* known, int64_t for_ms) const;

 private:
  mutable std::mutex mutex_;  // held to copy a pointer, for nothing else
  mutable std::condition_variable published_;
  std::shared_ptr<const Publication> latest_;  // Guarded by mutex_
};

}  // namespace sprockets
