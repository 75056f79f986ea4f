#include "sidecar/disk/spill_thread.h"

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

SpillThread::SpillThread(const MakeStore& make_store, std::function<void()> wake_loop)
    : wake_loop_(std::move(wake_loop)) {
  const auto post = [this](std::vector<SpillCompletion> done) { Post(std::move(done)); };
  sync_ = std::make_unique<SyncThread>(post, [this] { OnSyncFailed(); });
  store_ = make_store(sync_.get(), post);
  thread_ = std::thread([this] { Run(); });
}

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
    bool sync_failed = false;
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return stopping_ || sync_failed_ || !queue_.empty(); });
      sync_failed = std::exchange(sync_failed_, false);
      if (queue_.empty() && !sync_failed) break;
      jobs.swap(queue_);
    }
    if (sync_failed) store_->OnSyncFailed();
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
  {
    const std::lock_guard lock(mutex_);
    MoveToEnd(done, &completions_);
  }
  wake_loop_();
}

void SpillThread::OnSyncFailed() {
  {
    const std::lock_guard lock(mutex_);
    sync_failed_ = true;
  }
  work_.notify_one();
}

}  // namespace sprockets
