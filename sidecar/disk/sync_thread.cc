#include "sidecar/disk/sync_thread.h"

#include <iterator>
#include <pthread.h>
#include <utility>

namespace sprockets {

SyncThread::SyncThread(PostCompletions post, std::function<void()> on_failure)
    : post_(std::move(post)), on_failure_(std::move(on_failure)), thread_([this] { Run(); }) {}

SyncThread::~SyncThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  SPROCKETS_ASSERT(queue_.empty() && !failed_);
}

void SyncThread::Add(std::shared_ptr<SpillLog> log, std::vector<SpillOutcome> outcomes) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(log), std::move(outcomes)});
  }
  changed_.notify_all();
}

void SyncThread::Finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !working_; });
}

std::optional<LogSync::Failed> SyncThread::TakeFailed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failed_, std::nullopt);
}

void SyncThread::Run() {
  pthread_setname_np(pthread_self(), "spill-sync");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::vector<Unsynced> batches = std::exchange(queue_, {});
    working_ = true;
    lock.unlock();
    SyncAndPost(std::move(batches));
    lock.lock();
    working_ = false;
    changed_.notify_all();
  }
}

// A file is left only when all of it is on disk: so all batches are of one log.
void SyncThread::SyncAndPost(std::vector<Unsynced> batches) {
  const std::shared_ptr<SpillLog> log = batches.front().log;
  const Status synced = log == failed_log_ ? Error{ErrorCode::kIo, "an earlier sync failed"} : log->Sync();
  if (!synced.ok()) {
    failed_log_ = log;
    return Keep(std::move(batches), synced.error());
  }
  std::vector<SpillCompletion> done;
  for (Unsynced& batch : batches) {
    SPROCKETS_ASSERT(batch.log == log);
    done.reserve(done.size() + batch.outcomes.size());
    for (SpillOutcome& outcome : batch.outcomes) done.emplace_back(std::move(outcome));
  }
  post_(std::move(done));
}

void SyncThread::Keep(std::vector<Unsynced> batches, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (!failed_) failed_ = Failed{error, {}};
    for (Unsynced& batch : batches) {
      failed_->outcomes.insert(failed_->outcomes.end(), std::make_move_iterator(batch.outcomes.begin()),
                               std::make_move_iterator(batch.outcomes.end()));
    }
  }
  on_failure_();
}

}  // namespace sprockets
