#include "sidecar/disk/room.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/spill/retention.h"

namespace sprockets {

namespace {

// The disk is never filled to the last byte by us: a checkpoint and the drain's cursor need room, too.
constexpr int64_t kReservedDiskBytes = 1ll << 20;
constexpr int64_t kRelistMs = 10'000;
constexpr int64_t kRelistWhenFullMs = 1'000;

}  // namespace

Room::Room(const SpillFolder& folder, Options options) : folder_(folder), options_(std::move(options)) {}

int64_t Room::WantedFor(int64_t bytes) {
  return 2 * bytes + kReservedDiskBytes;
}

Result<bool> Room::IsFree(int64_t bytes) {
  ASSIGN_OR_RETURN(const int64_t free, folder_.FreeBytes());
  if (free >= bytes) return true;
  if (Result<int64_t> removed = RemoveWhatMayGo(bytes - free); !removed.ok()) return std::move(removed).error();
  return false;
}

Status Room::CheckFree(int64_t bytes) const {
  ASSIGN_OR_RETURN(const int64_t free, folder_.FreeBytes());
  if (free >= bytes) return {};
  return Error{ErrorCode::kFull, "the disk of the spill folder is full"};
}

Status Room::CheckQuota(int64_t bytes, int64_t active_bytes) {
  ASSIGN_OR_RETURN(int64_t used, UsedBytes(active_bytes, kRelistMs));
  if (used + bytes <= options_.folder_bytes) return {};
  ASSIGN_OR_RETURN(used, UsedBytes(active_bytes, kRelistWhenFullMs));
  if (used + bytes > options_.folder_bytes) {
    ASSIGN_OR_RETURN(const int64_t removed, RemoveWhatMayGo(used + bytes - options_.folder_bytes));
    used -= removed;
  }
  if (used + bytes <= options_.folder_bytes) return {};
  return Error{ErrorCode::kFull, "the spill folder has reached --spill-max-bytes: " + options_.when_full};
}

// What the folder holds. It is listed now and then only, since it may have thousands of files: a drain makes them fewer
// meanwhile, never more, and the file that grows is ours.
Result<int64_t> Room::UsedBytes(int64_t active_bytes, int64_t relist_ms) {
  const int64_t now_ms = SteadyClockMs();
  if (listed_ms_ == 0 || now_ms - listed_ms_ >= relist_ms) {
    ASSIGN_OR_RETURN(const int64_t all, folder_.TotalBytes());
    other_bytes_ = std::max<int64_t>(0, all - active_bytes);
    listed_ms_ = now_ms;
  }
  return other_bytes_ + active_bytes;
}

Result<int64_t> Room::RemoveWhatMayGo(int64_t bytes) {
  ASSIGN_OR_RETURN(int64_t removed, RemoveDrained(bytes));
  if (removed >= bytes || options_.remove_more == nullptr) return removed;
  const int64_t more = options_.remove_more(bytes - removed);
  other_bytes_ -= std::min(other_bytes_, more);
  return removed + more;
}

// Drained files are only kept for comfort: they go first, oldest first, unless a drainer is looking at them.
// Returns how many bytes that gave.
Result<int64_t> Room::RemoveDrained(int64_t bytes) {
  if (SteadyClockMs() < look_for_drained_ms_) return 0;
  const auto lock = folder_.LockForDraining(0);
  if (!lock.ok()) return 0;
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder_.List());
  int64_t removed = 0;
  for (const SpillFileInfo& file : files) {
    if (removed >= bytes) return removed;
    if (file.state != SpillFileInfo::State::kDrained || kept_.contains(file.number)) continue;
    if (!IsExpendable(folder_, file, std::numeric_limits<int64_t>::max())) {
      kept_.insert(file.number);  // so that it is not opened for each batch
      continue;
    }
    RETURN_IF_ERROR(folder_.Remove(file));
    LogWarning("drained-file-removed", {{"number", file.number}, {"bytes", file.bytes}, {"why", "space"}});
    removed += file.bytes;
    other_bytes_ -= std::min(other_bytes_, file.bytes);
  }
  // There is nothing more to be had, so the folder is not listed again for each batch.
  look_for_drained_ms_ = SteadyClockMs() + kRelistWhenFullMs;
  return removed;
}

bool Room::AllowsDoubt(int64_t bytes) {
  if (doubt_bytes_ + bytes > options_.doubt_bytes) return false;
  doubt_bytes_ += bytes;
  return true;
}

}  // namespace sprockets
