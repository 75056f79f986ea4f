// The disk as the loop knows it: takes what is to be written to the writer thread, says when there is something to
// collect, and decides when the active file is sealed and when the rest of the folder is read. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <uv.h>

#include "sidecar/core/seal_policy.h"
#include "sidecar/core/traffic.h"
#include "sidecar/disk/spill_thread.h"
#include "sidecar/loop_clock.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class Disk : public SpillSink, public ConnectionBook {
 public:
  using MakeStore = std::function<std::unique_ptr<SpillStore>(SpillStore::Post)>;

  /// `on_done` is called in the loop when there are completions to collect.
  Disk(uv_loop_t* loop, const LoopClock* clock, int64_t seal_after_ms, std::function<void()> on_done);

  /// Begins to write. `earlier` is what was read of the folder until now.
  void Start(const MakeStore& make_store, const FolderReader& earlier);
  bool started() const { return thread_ != nullptr; }

  void Describe() { thread_->Queue(DescribeJob{}); }
  void DescribeAndProve() { thread_->Queue(DescribeJob{.prove = true}); }
  /// `token` comes back with the outcome.
  void Seal(uint64_t token) { thread_->Queue(SealJob{token}); }
  void NoteLanded(std::vector<LandedMark> marks, bool confirm = false) {
    thread_->Queue(LandedJob{std::move(marks), confirm});
  }
  void NoteRedisLife(std::string run_id, std::string replication_id) {
    thread_->Queue(RedisLifeJob{std::move(run_id), std::move(replication_id)});
  }
  void NoteRejected(RejectJob job) { thread_->Queue(std::move(job)); }
  void NoteSalvagedPlaced() { thread_->Queue(SalvagedPlacedJob{}); }
  /// Once a second: tries a failed COMMIT again, and drops journals that nobody needs any more.
  void KeepJournal() { thread_->Queue(KeepJournalJob{}); }
  // SpillSink
  void Spill(SpillRequest request) override;
  // ConnectionBook
  void Record(RecordJob job) override { thread_->Queue(std::move(job)); }
  void NoneIsLive() override { thread_->Queue(ForgetLiveJob{}); }

  /// Once a turn of the loop, so that a turn's events are one batch.
  void Submit() { thread_->Submit(); }
  std::vector<SpillCompletion> Collect() { return thread_->Collect(); }
  // Two of the completions concern what is done next.
  void OnSealed();
  void OnFolderRead(const FolderRead& read);

  /// Once a second: reads on where something could not be read, and seals when it is time. `healthy_since_ms`: since
  /// when Redis takes events; 0: it does not.
  void KeepHouse(int64_t healthy_since_ms);
  /// From now on nothing is sealed unasked.
  void Stop() { stopping_ = true; }
  /// As SpillThread::Join.
  void Join(bool nothing_in_flight) { thread_->Join(nothing_in_flight); }

  /// Committed rows of the active file.
  int64_t active_rows() const { return thread_->active_rows(); }

 private:
  void ReadFolder();

  const LoopClock* const clock_;
  const int64_t seal_after_ms_;
  const std::function<void()> on_done_;
  UvHandle<uv_async_t> done_;  // the writer thread has completions
  std::unique_ptr<SpillThread> thread_;
  bool folder_read_ = false;  // what earlier lives left
  bool reading_ = false;      // a portion of it, now
  int64_t seconds_ = 0;
  int64_t first_spill_ms_ = 0;  // into the active file
  int64_t last_spill_ms_ = 0;
  bool seal_requested_ = false;
  bool stopping_ = false;
};

}  // namespace sprockets
