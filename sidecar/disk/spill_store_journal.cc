// What SpillStore does with --ack disk alone: a failed COMMIT is not the end of its rows, what landed is noted, and
// journals are kept.
#include <algorithm>
#include <memory>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/journal/kept_aside.h"
#include "shared/redis/resp.h"
#include "sidecar/disk/spill_store.h"

namespace sprockets {

// The rows of a failed COMMIT first: everything behind them has higher ids and tickets. Each try that fails in its
// COMMIT costs its file, too.
void SpillStore::TryAgain() {
  if (recommit_.waits()) {
    const std::vector<SpillRequest*> batch = recommit_.rows();
    if (const Status stored = Store(batch, recommit_.tickets()); stored.ok()) {
      Answer(batch, stored, *recommit_.tickets());
      recommit_.Done();
      KeepHouse();
    } else {
      blocked_why_ = stored.error().message;
      if (commit_failed_) Distrust(stored.error());
    }
  } else if (const Status marked = MarkDistrusted(); !marked.ok()) {
    blocked_why_ = marked.error().message;
  }
  if (!is_blocked() && recommit_.has_moves()) {
    std::vector<SpillRequest> moves = recommit_.TakeMoves();
    std::vector<SpillRequest*> batch;
    for (SpillRequest& move : moves) batch.push_back(&move);
    SpillBatch(std::move(batch));
    moves_wait_told_ = recommit_.has_moves();
  }
  TellBlocked();
}

void SpillStore::TellBlocked() {
  if (is_blocked() == blocked_told_) return;
  blocked_told_ = is_blocked();
  if (blocked_told_) {
    LogError("journal-blocked", {{"why", blocked_why_}, {"next", "tried again and again; nothing is accepted"}});
    PostOne(JournalBlocked{true, blocked_why_});
  } else {
    LogInfo("journal-goes-on", {});
    PostOne(JournalBlocked{false, {}});
  }
}

// Once at once: most often a new file is all that it takes, and nobody need hear of it.
void SpillStore::HoldFailed(Batch batch, std::vector<int64_t> tickets, const Error& error) {
  recommit_.Hold(batch, std::move(tickets));
  blocked_why_ = error.message;
  Distrust(error);
  TryAgain();
}

void SpillStore::HoldMoves(std::vector<SpillRequest*>* batch, const Error& error) {
  const auto held = std::stable_partition(batch->begin(), batch->end(),
                                          [](const SpillRequest* request) { return request->origin == 0; });
  if (held == batch->end()) return;
  if (!std::exchange(moves_wait_told_, true)) LogWarning("moved-events-wait", {{"why", error.message}});
  for (auto move = held; move != batch->end(); ++move) {
    const std::string stream(StreamOf(**move));
    recommit_.HoldMove(stream, std::move(**move));
  }
  batch->erase(held, batch->end());
}

// Nothing overtakes what is held: in a stream's journals ids ascend with tickets.
void SpillStore::RefuseWhatMustWait(std::vector<SpillRequest*>* batch) {
  if (is_blocked()) {
    TellBlocked();
    return Refuse(std::exchange(*batch, {}), Error{ErrorCode::kIo, "the journal cannot be written: " + blocked_why_});
  }
  if (!recommit_.has_moves()) return;
  const auto waiting = std::stable_partition(batch->begin(), batch->end(), [this](const SpillRequest* request) {
    return !recommit_.HasMoveOf(StreamOf(*request));
  });
  std::vector<SpillRequest*> refused(waiting, batch->end());
  batch->erase(waiting, batch->end());
  Refuse(std::move(refused), Error{ErrorCode::kFull, "events of this stream that were moved wait for room"});
}

std::string_view SpillStore::StreamOf(const SpillRequest& request) {
  SPROCKETS_ASSERT(ParseWholeCommand(request.event->wire, &args_) && args_.size() > 1);
  return args_[1];
}

// The last try. What is still in doubt then was never sent: if the next start finds it, it counts.
void SpillStore::GiveUp() {
  TryAgain();
  if (recommit_.waits()) {
    std::vector<SpillCompletion> done;
    for (SpillRequest* request : recommit_.rows()) {
      SpillOutcome outcome;
      outcome.kind = SpillOutcome::Kind::kUnknown;
      outcome.why = blocked_why_;
      outcome.request = std::move(*request);
      done.emplace_back(std::move(outcome));
    }
    recommit_.Done();
    post_(std::move(done));
  }
  for (SpillRequest& move : recommit_.TakeMoves()) {
    SpillOutcome outcome;
    outcome.why = "the sidecar stops";
    outcome.request = std::move(move);
    PostOne(std::move(outcome));
  }
}

std::optional<int64_t> SpillStore::SyncDueMs() const {
  if (unsynced_since_ms_ == 0 || file_ == nullptr) return std::nullopt;
  return std::max<int64_t>(0, unsynced_since_ms_ + options_.sync_every_ms - SteadyClockMs());
}

// What was answered since the last sync may be lost if this one fails, and the power with it: that is what was chosen.
void SpillStore::SyncIfDue() {
  if (SyncDueMs() != 0) return;
  unsynced_since_ms_ = 0;
  if (const Status synced = file_->Sync(); !synced.ok()) Distrust(synced.error());
}

void SpillStore::NoteLanded(const LandedJob& job) {
  retention_.NoteLanded(job.marks);
  for (const LandedMark& mark : job.marks) unnoted_.insert_or_assign(mark.stream, mark);
  confirm_landed_ += job.confirm ? 1 : 0;
  NoteWhatLanded();
}

// What cannot be written down is tried again with the next marks, or with whatever else is done.
void SpillStore::NoteWhatLanded() {
  if (unnoted_.empty() && confirm_landed_ == 0) return;
  std::vector<LandedMark> marks;
  for (const auto& [stream, mark] : unnoted_) marks.push_back(mark);
  Status noted = OpenState();
  if (noted.ok()) noted = state_->NoteLanded(marks);
  if (!noted.ok()) {
    if (!landed_not_noted_) LogWarning("landed-not-noted", {{"error", noted.error().message}});
    state_.reset();  // it is read anew before it is needed
  } else {
    unnoted_.clear();
    if (confirm_landed_ > 0) PostOne(LandedNoted{std::exchange(confirm_landed_, 0)});
  }
  landed_not_noted_ = !noted.ok();
}

// The file that is being written may hold it, so that is sealed first: it happens seldom.
void SpillStore::KeepRejected(const RejectJob& job) {
  std::string name;
  const Status sealed = file_ == nullptr ? Status() : SealActive(&name);
  const Result<int64_t> number =
      sealed.ok() ? KeepAside(folder_, job.stream, job.ticket, job.why) : Result<int64_t>(sealed.error());
  if (!number.ok())
    return LogWarning("rejection-not-noted", {{"ticket", job.ticket}, {"error", number.error().message}});
  if (number.value() == 0)
    LogWarning("rejection-not-noted", {{"ticket", job.ticket}, {"error", "no journal holds it"}});
  retention_.NoteRejected(number.value());
}

void SpillStore::KeepTally(int64_t number, int64_t bytes) {
  JournalFile file = tally_.Take();
  file.number = number;
  file.bytes = bytes;
  if (!file.last_ids.empty()) retention_.Add(std::move(file));
}

// What it may hold was never answered, and is committed again elsewhere: or each try would leave a file behind.
bool SpillStore::RemoveUnanswered(int64_t number) {
  SpillFileInfo info;
  info.number = number;
  info.path = folder_.PathOf(number, SpillFileInfo::State::kActive);
  if (const Status removed = folder_.Remove(info); !removed.ok()) return false;
  (void)tally_.Take();
  return true;
}

}  // namespace sprockets
