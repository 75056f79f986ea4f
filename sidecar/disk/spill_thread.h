// The writer thread: the only one that touches the spill folder while the sidecar runs. It takes whatever is queued and
// has it committed as one transaction, so that many events share one sync, and the loop never waits for the disk.
//
// Every public function is called on the loop thread. Between the two threads stand two vectors under one mutex.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "sidecar/disk/spill_store.h"

namespace sprockets {

class SpillThread {
 public:
  /// Makes the store that posts its completions to the given function. `wake_loop` is called on the writer thread
  /// whenever there are completions to collect, and must be callable until Join has returned.
  SpillThread(const std::function<std::unique_ptr<SpillStore>(SpillStore::Post)>& make_store,
              std::function<void()> wake_loop);
  ~SpillThread();

  /// For the next Submit, in this order.
  void Queue(SpillJob job) { gathered_.push_back(std::move(job)); }
  /// Hands everything queued since the last call to the writer. Once a turn of the loop, so that a turn's events are
  /// one batch.
  void Submit();
  /// What is done since the last call.
  std::vector<SpillCompletion> Collect();
  /// Finishes what is queued, seals, closes (see SpillStore::Close). The completions are there to collect afterwards.
  void Join(bool nothing_in_flight);

  /// Committed rows of the active file.
  int64_t active_rows() const { return active_rows_.load(std::memory_order_relaxed); }
  /// SpillStore::unmarked.
  size_t unmarked() const { return unmarked_.load(std::memory_order_relaxed); }

 private:
  void Run();
  void Publish();
  void Post(std::vector<SpillCompletion> done);

  const std::function<void()> wake_loop_;
  const std::unique_ptr<SpillStore> store_;  // Writer thread only
  std::atomic<int64_t> active_rows_{0};
  std::atomic<size_t> unmarked_{0};
  std::vector<SpillJob> gathered_;  // Loop thread only

  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<SpillJob> queue_;               // Guarded by mutex_
  std::vector<SpillCompletion> completions_;  // Guarded by mutex_
  bool stopping_ = false;                     // Guarded by mutex_
  bool nothing_in_flight_ = false;            // Guarded by mutex_
  std::thread thread_;
};

}  // namespace sprockets
