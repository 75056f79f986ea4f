#include "sidecar/disk/spill_thread.h"

#include <chrono>
#include <iterator>
#include <pthread.h>
#include <utility>

namespace sprockets {

namespace {

template <typename Item>
void MoveToEnd(std::vector<Item>& from, std::vector<Item>* to) {
  if (to->empty()) {
    to->swap(from);
  } else {
    to->insert(to->end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }
  from.clear();
}

}  // namespace

SpillThread::SpillThread(const std::function<std::unique_ptr<SpillStore>(SpillStore::Post)>& make_store,
                         std::function<void()> wake_loop)
    : wake_loop_(std::move(wake_loop)),
      store_(make_store([this](std::vector<SpillCompletion> done) { Post(std::move(done)); })),
      thread_([this] { Run(); }) {}

SpillThread::~SpillThread() {
  SPROCKETS_ASSERT(!thread_.joinable());
}

void SpillThread::Submit() {
  if (gathered_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    MoveToEnd(gathered_, &queue_);
  }
  work_.notify_one();
}

std::vector<SpillCompletion> SpillThread::Collect() {
  const std::lock_guard lock(mutex_);
  return std::exchange(completions_, {});
}

void SpillThread::Join(bool nothing_in_flight) {
  Submit();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    nothing_in_flight_ = nothing_in_flight;
  }
  work_.notify_one();
  thread_.join();
}

void SpillThread::Run() {
  pthread_setname_np(pthread_self(), "spill");
  std::vector<SpillJob> jobs;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [this] { return stopping_ || !queue_.empty(); };
      if (const auto due_ms = store_->SyncDueMs()) {
        work_.wait_for(lock, std::chrono::milliseconds(*due_ms), has_work);
      } else {
        work_.wait(lock, has_work);
      }
      if (queue_.empty() && stopping_) break;
      jobs.swap(queue_);
    }
    if (jobs.empty()) {
      store_->SyncIfDue();
      continue;
    }
    store_->Process(jobs);
    Publish();
    jobs.clear();
  }
  bool nothing_in_flight = false;
  {
    const std::lock_guard lock(mutex_);
    nothing_in_flight = nothing_in_flight_;
  }
  store_->Close(nothing_in_flight);
}

void SpillThread::Publish() {
  active_rows_ = store_->active_rows();
  unmarked_ = store_->unmarked();
}

void SpillThread::Post(std::vector<SpillCompletion> done) {
  Publish();
  {
    const std::lock_guard lock(mutex_);
    MoveToEnd(done, &completions_);
  }
  wake_loop_();
}

}  // namespace sprockets
