#include "sidecar/disk/disk.h"

#include <utility>

#include "shared/base/log.h"

namespace sprockets {

namespace {

constexpr int64_t kReadAgainSeconds = 5;

}  // namespace

Disk::Disk(uv_loop_t* loop, const LoopClock* clock, int64_t seal_after_ms, std::function<void()> on_done)
    : clock_(clock), seal_after_ms_(seal_after_ms), on_done_(std::move(on_done)), done_(new uv_async_t) {
  const auto done = [](uv_async_t* async) {
    if (async->data != nullptr) static_cast<Disk*>(async->data)->on_done_();
  };
  SPROCKETS_ASSERT(uv_async_init(loop, done_.get(), done) == 0);
  done_->data = this;
}

void Disk::Start(const MakeStore& make_store, const FolderReader& earlier) {
  folder_read_ = earlier.done();
  const size_t left = earlier.left();  // make_store takes the reader
  thread_ = std::make_unique<SpillThread>(make_store, [async = done_.get()] { uv_async_send(async); });
  if (left > 0) ReadFolder();
}

// One portion at a time, so that what is to be spilled waits for no more than that.
void Disk::ReadFolder() {
  if (!std::exchange(reading_, true)) thread_->Queue(ReadFolderJob{});
}

void Disk::Spill(SpillRequest request) {
  last_spill_ms_ = clock_->Now().ms;
  if (first_spill_ms_ == 0) first_spill_ms_ = last_spill_ms_;
  thread_->Queue(std::move(request));
}

void Disk::OnSealed() {
  seal_requested_ = false;
  first_spill_ms_ = 0;
}

void Disk::OnFolderRead(const FolderRead& read) {
  reading_ = false;
  if (read.left > 0) ReadFolder();
  if (read.done && !std::exchange(folder_read_, true)) LogInfo("spill-folder-read", {});
}

void Disk::KeepHouse(int64_t healthy_since_ms) {
  // What could not be read at the start, perhaps it can be now.
  if (++seconds_ % kReadAgainSeconds == 0 && !folder_read_) ReadFolder();
  SealFacts facts;
  facts.now_ms = clock_->Now().ms;
  facts.rows = thread_->active_rows();
  facts.healthy_since_ms = healthy_since_ms;
  facts.first_spill_ms = first_spill_ms_;
  facts.last_spill_ms = last_spill_ms_;
  const bool due = ShouldSeal(facts, seal_after_ms_) || thread_->unmarked() > 0;
  if (seal_requested_ || stopping_ || !due) return;
  seal_requested_ = true;
  Seal(0);
}

}  // namespace sprockets
