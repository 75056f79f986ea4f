// Whether SpillStore has room for a batch, and what becomes of the events for which it has none.
#include <algorithm>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "sidecar/disk/spill_store.h"

namespace sprockets {

namespace {

constexpr int64_t kLogRefusedEveryMs = 10'000;

}  // namespace

// Refuses what has no room. False: nothing is left. The quota is not for events that are moved: they were acknowledged,
// and until they have landed no journal with a row of their stream can go, so it would never have room again.
bool SpillStore::MakeRoomFor(std::vector<SpillRequest*>* batch) {
  AbandonIfGone();
  int64_t bytes = 0;
  int64_t new_bytes = 0;
  for (const SpillRequest* request : *batch) {
    const auto size = static_cast<int64_t>(request->event->wire.size());
    bytes += size;
    new_bytes += request->origin == 0 ? size : 0;
  }
  Status free = CheckDisk(Room::WantedFor(bytes));
  if (!free.ok() && SealLanded()) free = CheckDisk(Room::WantedFor(bytes));
  if (!free.ok()) {
    RefuseForLackOfRoom(batch, free.error());
    return !batch->empty();
  }
  if (new_bytes == 0) return true;
  const auto check_quota = [&] { return room_.CheckQuota(new_bytes, file_ == nullptr ? 0 : file_->FileBytes()); };
  Status room = check_quota();
  if (!room.ok() && SealLanded()) room = check_quota();
  if (!room.ok()) {
    const auto counts = std::stable_partition(batch->begin(), batch->end(),
                                              [](const SpillRequest* request) { return request->origin != 0; });
    std::vector<SpillRequest*> new_ones(counts, batch->end());
    batch->erase(counts, batch->end());
    RefuseForLackOfRoom(&new_ones, room.error());
    batch->insert(batch->end(), new_ones.begin(), new_ones.end());
    return !batch->empty();
  }
  room_.RestoreAllowance();
  return true;
}

// The journal that is being written may be all that fills the folder. Sealed, it can go as others do.
bool SpillStore::SealLanded() {
  if (!options_.names_entries || file_ == nullptr || file_->rows() == 0) return false;
  if (!retention_.HasLanded(tally_.Committed())) return false;
  std::string name;
  return SealActive(&name).ok();
}

// Somebody has deleted the file under us: what it holds is gone, and must not become more.
void SpillStore::AbandonIfGone() {
  if (file_ == nullptr || folder_.Has(file_->number(), SpillFileInfo::State::kActive)) return;
  LogError("spill-file-gone", {{"number", file_->number()}, {"rows", file_->rows()}});
  file_->Abandon();
  file_.reset();
  (void)tally_.Take();
}

// The WAL needs as much again, once: where that is missing, neither a checkpoint nor the next start could put its rows
// into the file, so it is done while there is room.
Status SpillStore::CheckDisk(int64_t wanted) {
  ASSIGN_OR_RETURN(const bool is_free, room_.IsFree(wanted + (file_ == nullptr ? 0 : file_->WalBytes())));
  if (is_free) return {};
  if (file_ != nullptr) {
    if (Status checkpointed = file_->CheckpointIfDue(/*force=*/true); !checkpointed.ok()) {
      Distrust(checkpointed.error());
      return checkpointed;
    }
  }
  return room_.CheckFree(wanted);
}

// What this sidecar never sent can be refused. What it sent and knows nothing of finds a place as long as that is
// allowed; so does an event that was acknowledged and is moved, for which its stream waits. But none overtakes another
// one: in a stream's journals ids ascend with tickets.
void SpillStore::RefuseForLackOfRoom(std::vector<SpillRequest*>* batch, const Error& error) {
  bool move_waits = false;
  const auto refused = std::stable_partition(batch->begin(), batch->end(), [&](const SpillRequest* request) {
    const bool is_move = request->origin != 0;
    if ((!request->was_sent && !is_move) || (is_move && move_waits)) return false;
    const bool finds_a_place = room_.AllowsDoubt(static_cast<int64_t>(request->event->wire.size()));
    move_waits = move_waits || (is_move && !finds_a_place);
    return finds_a_place;
  });
  std::vector<SpillRequest*> without_room(refused, batch->end());
  batch->erase(refused, batch->end());
  Refuse(std::move(without_room), error);
}

void SpillStore::Refuse(std::vector<SpillRequest*> batch, const Error& error) {
  if (options_.names_entries) HoldMoves(&batch, error);
  if (batch.empty()) return;
  refused_ += batch.size();
  last_refusal_ = error.message;
  LogRefused();
  std::vector<SpillCompletion> done;
  done.reserve(batch.size());
  for (SpillRequest* request : batch) {
    answered_unknown_ = answered_unknown_ || request->was_sent;
    SpillOutcome outcome;
    outcome.kind = SpillOutcome::Kind::kRefused;
    outcome.why = error.message;
    outcome.request = std::move(*request);
    done.emplace_back(std::move(outcome));
  }
  post_(std::move(done));
}

// At once, and then a line now and then, however many events are refused and for however many reasons.
void SpillStore::LogRefused() {
  const int64_t now_ms = SteadyClockMs();
  if (refused_logged_ms_ != 0 && now_ms - refused_logged_ms_ < kLogRefusedEveryMs) return;
  LogError("spill-refused", {{"events", std::exchange(refused_, 0)}, {"why", last_refusal_}});
  refused_logged_ms_ = now_ms;
}

}  // namespace sprockets
