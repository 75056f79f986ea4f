// Writes down what was skipped before anybody is told so, and knows what is listed. libuv's pool of threads does the
// work, one job at a time: the spill never waits for it, nor for a replayer that strikes keys off. Loop thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <uv.h>

#include "shared/spill/skipped_writes.h"
#include "sidecar/core/skip_rules.h"
#include "sidecar/loop_clock.h"

namespace sprockets {

class SkipStore : public SkipBook {
 public:
  /// `folder`: the spill folder. Must live until nothing is under way.
  SkipStore(uv_loop_t* loop, const LoopClock* clock, const std::filesystem::path& folder)
      : loop_(loop), clock_(clock), file_(folder) {}
  ~SkipStore() override;

  /// Called when a look has come to its end.
  void OnLooked(std::function<void()> on_looked) { on_looked_ = std::move(on_looked); }
  /// What stands on disk, before anything is skipped. Waits for the disk.
  void LookNow();
  /// Reads the list again: a replayer may have struck keys off.
  void Look() { looks_ = true; }
  // SkipBook
  void Remember(ReplyTo to, SkippedCommand skipped) override;

  /// Once a turn of the loop, so that a turn's writes are one commit.
  void Submit();
  bool idle() const { return !busy_ && answers_.empty(); }

  /// As it was last looked at, and how many keys have come onto it since.
  const std::vector<SkippedKey>& list() const { return list_; }
  size_t listed_since() const { return listed_since_; }
  /// Writes that were skipped since the start, once for each key.
  uint64_t skipped() const { return skipped_; }
  /// Why it could not be read; empty: it could.
  const std::string& error() const { return error_; }

 private:
  struct Answer {
    ReplyTo to;
    SkippedCommand skipped;
  };
  struct Job;

  void OnDone(Job& job);
  void TakeAdded(const Job& job);
  void TakeList(Result<std::vector<SkippedKey>> list);

  uv_loop_t* const loop_;
  const LoopClock* const clock_;
  const SkippedWrites file_;
  std::function<void()> on_looked_;
  std::map<std::string, SkippedKey> gathered_;  // by key
  std::vector<Answer> answers_;                 // to them
  bool looks_ = false;
  bool busy_ = false;  // a job is under way
  std::vector<SkippedKey> list_;
  size_t listed_since_ = 0;
  uint64_t skipped_ = 0;
  std::string error_;
};

}  // namespace sprockets
