// Reads back what earlier lives left in the spill folder: for the window, which events they took; for STATUS, what
// waits. One file after the other, newest first, so that a start does not wait for a folder of thousands: whoever reads
// may do something else between two files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
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
  };
  /// The folder must outlive it.
  static Result<FolderReader> Open(const SpillFolder& folder, const Options& options);

  /// Files that are still to be read.
  size_t left() const { return files_.size(); }
  /// Everything was read that the window has to know. False: a file is left, could not be read, or holds more unknown
  /// rows than are kept.
  bool complete() const { return files_.empty() && postponed_.empty() && !incomplete_; }
  /// Is there anything to read, now or later?
  bool done() const { return files_.empty() && postponed_.empty(); }

  /// The next file, or, when none is left, one that could not be read before (a full disk, a drain at work, no right to
  /// open it). One that is unreadable is quarantined, and one that has gone passed over: both give nothing. kForeign: a
  /// file is of a newer version.
  Result<EarlierEvents> ReadNext();

  /// Of the files read since the last call, those that wait for a drain, by number.
  std::map<int64_t, SpillReport::File> TakeWaiting() { return std::exchange(waiting_, {}); }

 private:
  FolderReader(const SpillFolder& folder, const Options& options) : folder_(folder), options_(options) {}
  Status Read(const SpillFileInfo& info, EarlierEvents* events);
  Status ReadSpilled(SpillFile& file, const SpilledStream& stream, EarlierEvents* events);
  Status ReadUnknown(SpillFile& file, const SpilledStream& stream, EarlierEvents* events);
  bool WouldKeep(int64_t received_ms) const;

  const SpillFolder& folder_;
  Options options_;
  std::vector<SpillFileInfo> files_;      // the newest last
  std::vector<SpillFileInfo> postponed_;  // likewise
  std::set<int64_t> complained_;          // about those, once each
  size_t rows_ = 0;                       // given to the window
  int64_t bytes_ = 0;                     // of those
  std::map<std::string, int64_t> bytes_of_stream_;
  size_t unknown_ = 0;  // rows of suspect files, given to the window
  bool incomplete_ = false;
  // When the newest rows with a client's id were received, as many as the window has places; the oldest on top.
  std::priority_queue<int64_t, std::vector<int64_t>, std::greater<>> newest_ms_;
  std::map<int64_t, SpillReport::File> waiting_;
};

/// What an error of a spill file means to whoever reads a folder.
enum class FileTrouble {
  kGone,        // drained, and kept long enough
  kLater,       // no room for its checkpoint, no descriptor left, no right to open it, or a drain is at work on it
  kUnreadable,  // damaged
  kFatal,
};
FileTrouble TroubleOf(const Error& error);

/// A drain may run meanwhile: a file that waited when the folder was listed may lie in drained/ now.
Result<std::unique_ptr<SpillFile>> OpenWaitingOrDrained(const SpillFolder& folder, const SpillFileInfo& listed);

/// One bad file must not keep the sidecar from starting: it is set aside where it stands, for `drain --salvage`.
Status Quarantine(const SpillFolder& folder, const SpillFileInfo& info, const Error& error);

}  // namespace sprockets
