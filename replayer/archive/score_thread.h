// The thread of the publisher: publishes when it is told that there are scores, and again where that failed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "replayer/archive/publisher.h"

namespace sprockets {

class ScoreThread {
 public:
  ScoreThread(RedisTarget redis, PostgresTarget postgres) : publisher_(std::move(redis), std::move(postgres)) {}

  /// Begins, with what an earlier run has left.
  void Start();
  /// There are new ones. Any thread.
  void Wake();
  struct Summary {
    uint64_t published = 0;
    std::string left;  // why scores wait in the outbox; empty: none does
  };
  /// So far. Any thread.
  Summary Current() const {
    const std::lock_guard lock(mutex_);
    return result_;
  }
  /// Publishes what is there, once more, and ends. Nothing where it was not started.
  Summary Finish();

 private:
  void Loop(const std::stop_token& stop);
  /// Until the outbox is empty or `is_over`. False: some are left, for which it is to be tried again.
  bool PublishOnce(const std::function<bool()>& is_over);

  Publisher publisher_;
  mutable std::mutex mutex_;
  std::condition_variable_any woken_;
  bool has_scores_ = true;  // Guarded by mutex_.
  Summary result_;          // Guarded by mutex_.
  bool told_ = false;       // that it does not work
  std::jthread thread_;
};

}  // namespace sprockets
