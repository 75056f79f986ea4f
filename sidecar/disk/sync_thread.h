// LogSync with a thread of its own. One sync covers whatever was committed until it began.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "sidecar/disk/log_sync.h"
#include "sidecar/disk/spill_jobs.h"

namespace sprockets {

class SyncThread final : public LogSync {
 public:
  /// Both are called on the sync thread: `post` with what is on disk, `on_failure` when there is something for
  /// TakeFailed.
  SyncThread(PostCompletions post, std::function<void()> on_failure);
  /// Everything that was added has been posted or taken.
  ~SyncThread() override;

  void Add(std::shared_ptr<SpillLog> log, std::vector<SpillOutcome> outcomes) override;
  void Finish() override;
  std::optional<Failed> TakeFailed() override;

 private:
  struct Unsynced {
    std::shared_ptr<SpillLog> log;
    std::vector<SpillOutcome> outcomes;
  };

  void Run();
  void SyncAndPost(std::vector<Unsynced> batches);
  void Keep(std::vector<Unsynced> batches, const Error& error);

  const PostCompletions post_;
  const std::function<void()> on_failure_;
  std::shared_ptr<SpillLog> failed_log_;  // Sync thread only

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Unsynced> queue_;   // Guarded by mutex_
  bool working_ = false;          // Guarded by mutex_
  bool stopping_ = false;         // Guarded by mutex_
  std::optional<Failed> failed_;  // Guarded by mutex_
  std::thread thread_;
};

}  // namespace sprockets
