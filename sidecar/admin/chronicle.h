// The last ten minutes and the last things that happened, from one snapshot to the next. Pure; one thread.
#pragma once

#include <deque>
#include <string>

#include "sidecar/admin/snapshot.h"

namespace sprockets {

class Chronicle {
 public:
  static constexpr int64_t kEveryMs = 5'000;  // a point of the history
  static constexpr size_t kPoints = 120;
  static constexpr size_t kNotes = 30;

  /// Snapshots in the order of time.
  void Observe(const Snapshot& now);
  std::vector<HistoryPoint> history() const { return {history_.begin(), history_.end()}; }
  std::vector<Note> notes() const { return {notes_.begin(), notes_.end()}; }

 private:
  /// Of what was seen last, what is compared.
  struct Seen {
    bool connected = false;
    bool takes_events = false;
    bool writable = true;
    bool blocked = false;
    bool held = false;
    std::vector<std::string> refused;
    uint64_t stored = 0;
    uint64_t answered_retry = 0;
    uint64_t answered_unknown = 0;
    int64_t rows = 0;
    size_t quarantined = 0;
    size_t suspect = 0;
    size_t drained = 0;
    WallTime refusals_told;
  };
  void Tell(const Snapshot& now, std::string text);
  void TellOfRedis(const Snapshot& now, const Seen& before);
  void TellOfDisk(const Snapshot& now, const Seen& before);
  void TellOfStreams(const Snapshot& now, const Seen& before);

  std::optional<Seen> seen_;
  std::deque<HistoryPoint> history_;
  std::deque<Note> notes_;
};

}  // namespace sprockets
