// The room that the spill folder may take: its quota, a reserve of the disk, and what events in doubt may take beyond
// both. Drained files, which are kept for comfort only, make room. Knows no file that is being written. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "shared/base/result.h"
#include "shared/spill/folder.h"

namespace sprockets {

class Room {
 public:
  struct Options {
    int64_t folder_bytes = 0;  // --spill-max-bytes
    int64_t doubt_bytes = 0;   // of events in doubt that are stored although there is no room: what one connection may
                               // carry
    std::string when_full;     // what to do about a folder that has reached its quota
    /// Removes what else may go, when drained files are not enough, that so many bytes become free. How many did.
    std::function<int64_t(int64_t bytes)> remove_more = nullptr;
  };
  /// The folder must outlive it.
  Room(const SpillFolder& folder, Options options);

  /// What the disk needs free for a batch of `bytes`: its rows, their copy in the WAL, and a reserve.
  static int64_t WantedFor(int64_t bytes);
  /// Has the disk so much? Where it has not, what can be removed has been.
  Result<bool> IsFree(int64_t bytes);
  /// kFull: it has not, whatever was done about it.
  Status CheckFree(int64_t bytes) const;
  /// kFull: the folder would exceed its quota. `active_bytes`: of the file that is being written.
  Status CheckQuota(int64_t bytes, int64_t active_bytes);

  /// Nobody can take back an event that was sent and of which nothing is known, so it should find a place: but no more
  /// of that than one connection may carry, or a connection that breaks again and again would fill a disk that is full
  /// already. False: this one is beyond that.
  bool AllowsDoubt(int64_t bytes);
  /// There is room again.
  void RestoreAllowance() { doubt_bytes_ = 0; }

  /// What was the active file is another one now: the folder is listed anew before it is needed.
  void Relist() { listed_ms_ = 0; }

 private:
  Result<int64_t> UsedBytes(int64_t active_bytes, int64_t relist_ms);
  Result<int64_t> RemoveWhatMayGo(int64_t bytes);
  Result<int64_t> RemoveDrained(int64_t bytes);

  const SpillFolder& folder_;
  const Options options_;
  int64_t other_bytes_ = 0;          // of the folder's files but the active one, as they were listed
  int64_t listed_ms_ = 0;            // when, on the steady clock; 0: it must be done anew
  int64_t look_for_drained_ms_ = 0;  // not before: there was nothing to be had
  std::set<int64_t> kept_;           // drained files that hold the only copy of something
  int64_t doubt_bytes_ = 0;          // stored beyond the room since there was some
};

}  // namespace sprockets
