// Reads back what earlier lives left in the spill folder: for the window, which events they took; for STATUS, what
// waits. A portion at a time, so that a start does not wait for a large folder: whoever reads may do something else
// between two portions. First the newest rows, as many as the window can hold: older files are not opened for it. Then
// each file that waits is asked how many rows it has.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/event.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"
#include "sidecar/core/window.h"
#include "sidecar/disk/spill_report.h"

namespace sprockets {

/// One thread at a time.
class FolderReader {
 public:
  struct Options {
    IdentityHasher hasher;
    int64_t max_inflight_bytes = 0;  // a life may have left as much unanswered; it is looked for in twice as much
    size_t window_capacity = 0;      // beyond that, as many of the newest rows with a client's id are enough
    size_t most_unknown = 0;
    /// Of journals: JournalContents::current. Rows that a later one has superseded are passed over.
    std::unordered_map<int64_t, int64_t> moved = {};
  };
  /// The folder must outlive it. `files` are all of it, by number.
  FolderReader(const SpillFolder& folder, std::span<const SpillFileInfo> files, const Options& options);

  /// Files that are still to be read or counted.
  size_t left() const { return to_read_.now.size() + to_count_.now.size(); }
  /// Everything was read that the window has to know. False: a file is left, could not be read, or holds more unknown
  /// rows than are kept.
  bool complete() const { return to_read_.empty() && !incomplete_; }
  /// Is there anything to read or to count, now or later?
  bool done() const { return to_read_.empty() && to_count_.empty(); }

  /// The next portion of a file, or, when no file is left, of one that could not be read before (a full disk, a drain
  /// at work, no right to open it). A file that is unreadable is quarantined, and one that has gone passed over: both
  /// give nothing. kForeign: a file is of a newer version.
  Result<EarlierEvents> ReadNext();

  /// Of the files counted since the last call, those that wait for a drain, by number.
  std::map<int64_t, SpillReport::File> TakeWaiting() { return std::exchange(waiting_, {}); }

 private:
  /// A stream of a file, as far as it is read.
  struct Part {
    SpilledStream stream;
    size_t rows = 0;  // given to the window
  };
  /// What is still to be read of a file: the rows of these streams up to a ticket.
  struct Unread {
    std::vector<Part> parts;
    int64_t up_to = 0;
  };
  struct Task {
    SpillFileInfo info;
    std::optional<Unread> unread;  // nothing: it was not begun
    bool postponed = false;        // it could not be opened before
  };
  /// The newest files last.
  struct Queue {
    std::vector<Task> now;
    std::vector<Task> later;  // could not be opened
    bool empty() const { return now.empty() && later.empty(); }
  };

  void DropWhatFindsNoPlace();
  Status HandleTrouble(const Error& error, Task task, Queue* queue);
  Status Count(const SpillFileInfo& info);
  Status Read(Task* task, EarlierEvents* events);
  static Status Begin(SpillFile& file, Task* task);
  Status ReadPortion(SpillFile& file, Unread* unread, EarlierEvents* events);
  static Status SkipGap(SpillFile& file, Unread* unread);
  bool TakeSpilled(const SpilledEvent& row, Part* part, EarlierEvents* events);
  bool IsSuperseded(const SpilledEvent& row) const;
  bool TakeUnknown(const SpilledEvent& row, const Part& part, EarlierEvents* events);
  bool WouldKeep(int64_t received_ms) const;

  const SpillFolder& folder_;
  Options options_;
  Queue to_read_;                 // for the window
  Queue to_count_;                // those that wait for a drain
  std::set<int64_t> complained_;  // about those that could not be opened, once each
  size_t rows_ = 0;               // given to the window
  int64_t bytes_ = 0;             // of those
  std::map<std::string, int64_t> bytes_of_stream_;
  size_t maybe_unanswered_ = 0;  // of those rows, with a client's id
  size_t unknown_ = 0;           // rows of suspect files, given to the window
  bool incomplete_ = false;
  // When the newest rows with a client's id were received, as many as the window has places; the oldest on top.
  std::priority_queue<int64_t, std::vector<int64_t>, std::greater<>> newest_ms_;
  std::map<int64_t, SpillReport::File> waiting_;
};

}  // namespace sprockets
