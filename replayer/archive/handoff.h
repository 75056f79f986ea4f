// Batches from the thread that reads them to the one that writes them: a few, so that one is read while another
// commits. Any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "replayer/archive/entry_rows.h"

namespace sprockets {

class Handoff {
 public:
  /// Waits while enough are waiting. False: nobody takes any more.
  bool Push(EntryBatch batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || waiting_.size() < kMostWaiting; });
    if (closed_) return false;
    waiting_.push_back(std::make_unique<EntryBatch>(std::move(batch)));
    changed_.notify_all();
    return true;
  }

  /// The next one; whoever asks is done with the one before. None: it is closed, and nothing waits.
  std::unique_ptr<EntryBatch> Pop() {
    std::unique_lock lock(mutex_);
    at_work_ = false;
    changed_.notify_all();
    changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
    if (waiting_.empty()) return nullptr;
    std::unique_ptr<EntryBatch> batch = std::move(waiting_.front());
    waiting_.pop_front();
    at_work_ = true;
    changed_.notify_all();
    return batch;
  }

  /// Until everything that was pushed is done with, or nobody takes any more.
  void AwaitIdle() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return (waiting_.empty() && !at_work_) || abandoned_; });
  }

  /// Nothing more comes.
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  /// Nothing more is taken.
  void Abandon() {
    const std::lock_guard lock(mutex_);
    closed_ = abandoned_ = true;
    waiting_.clear();
    changed_.notify_all();
  }

 private:
  static constexpr size_t kMostWaiting = 1;  // with one at work and one being read, three are in memory

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<EntryBatch>> waiting_;  // Guarded by mutex_, as is everything below.
  bool at_work_ = false;
  bool closed_ = false;
  bool abandoned_ = false;
};

}  // namespace sprockets
