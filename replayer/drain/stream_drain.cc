// The loop over the batches of one stream.
#include "replayer/drain/stream_drain.h"

#include <algorithm>
#include <utility>

#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/redis/error.h"

namespace sprockets {
namespace {

constexpr int64_t kRefusalPatienceMs = 10'000;  // without anything landing
constexpr int64_t kBreaksOfPoison = 5;          // over one row alone, while everything else passes
constexpr int kMostBreaksInARow = 8;            // connections that worked and broke without anything landing in between

}  // namespace

StreamDrain::StreamDrain(Session& session, DrainReport& report, Pace& pace, Searches& searches, SpillFile& file,
                         SpilledStream stream, StreamSettler::Options options)
    : session_(session),
      report_(report),
      pace_(pace),
      file_(file),
      stream_(std::move(stream)),
      cursor_(stream_.cursor),
      options_(std::move(options)),
      settler_(session, report, searches, file, stream_, options_),
      backoff_(RetryBackoff()),
      random_(std::random_device{}()) {}

Result<StreamDrain::End> StreamDrain::Run() {
  ASSIGN_OR_RETURN(End end, FinishOpenRange());
  while (end == End::kDone) {
    if (StopRequested() && !next_is_sent_) return Leave(End::kStopped);
    RETURN_IF_ERROR(TakeNextBatch());
    if (batch_->rows.empty()) return Leave(End::kDone);
    ASSIGN_OR_RETURN(end, FinishBatch());
  }
  return end;
}

Result<StreamDrain::End> StreamDrain::FinishOpenRange() {
  RETURN_IF_ERROR(ResumeOpenRange());
  if (!batch_) return Leave(End::kDone);
  ASSIGN_OR_RETURN(const End end, FinishBatch());
  return Leave(end);
}

/// Tries the batch until every row of it is settled, over breaks and refusals.
Result<StreamDrain::End> StreamDrain::FinishBatch() {
  while (true) {
    ASSIGN_OR_RETURN(const Step step, TryBatch());
    if (step == Step::kDone) {
      CloseBatch();
      return End::kDone;
    }
    ASSIGN_OR_RETURN(const std::optional<End> end, AfterFailedStep(step));
    if (end) return Leave(*end);
  }
}

Status StreamDrain::ResumeOpenRange() {
  if (stream_.rejected > 0) {
    ASSIGN_OR_RETURN(const std::vector<SpillFile::Rejected> rejected, file_.RejectedRows());
    for (const SpillFile::Rejected& row : rejected) {
      if (row.stream_id == stream_.id) rejected_.insert(row.ticket);
    }
  }
  if (!cursor_.open) return {};
  const BatchRange range{cursor_.done_ticket, cursor_.open->last_ticket, 0};
  ASSIGN_OR_RETURN(batch_, ReadBatch(file_, stream_, options_.target, range, [] {}));
  if (batch_->rows.empty()) {
    batch_.reset();
    cursor_.open.reset();
    cursor_dirty_ = true;
    return {};
  }
  report_.counts.read += batch_->rows.size();
  batch_->DoubtAll();
  for (BatchRow& row : batch_->rows) {
    if (rejected_.contains(row.ticket)) row.state = BatchRow::State::kSetAside;
  }
  suspect_ticket_ = batch_->rows.front().ticket;
  goes_alone_ = cursor_.open->breaks > 0;
  flight_ = Flight::kLost;
  return {};
}

Status StreamDrain::TakeNextBatch() {
  if (!next_) Prefetch();
  Result<Batch> next = *std::exchange(next_, std::nullopt);
  if (!next.ok()) {
    // The batches before are settled: let the cursor say so before the file is set aside.
    ASSIGN_OR_RETURN(const End saved, Leave(End::kDone));
    static_cast<void>(saved);
    return std::move(next).error();
  }
  batch_ = std::move(next).value();
  batch_is_sent_ = std::exchange(next_is_sent_, false);
  report_.counts.read += batch_->rows.size();
  return {};
}

/// One try to bring every row of the batch into the stream.
Result<StreamDrain::Step> StreamDrain::TryBatch() {
  if (flight_ == Flight::kLost) {
    ASSIGN_OR_RETURN(const Step step, ReopenRange());
    if (step != Step::kDone) return step;
  }
  ASSIGN_OR_RETURN(const Step settled, SettleBatch());
  if (settled != Step::kDone) return settled;
  while (FirstMissing() != nullptr) {
    if (StopRequested() && !batch_is_sent_) return Step::kStopped;
    if (!cursor_.open) {
      ASSIGN_OR_RETURN(const Step opened, OpenRange());
      if (opened != Step::kDone) return opened;
    }
    ASSIGN_OR_RETURN(const Step sent, Send());
    if (sent != Step::kDone) return sent;
  }
  RETURN_IF_ERROR(AcceptLanded());
  return Step::kDone;
}

Result<StreamDrain::Step> StreamDrain::SettleBatch() {
  std::optional<StreamSettler::RangeDoubt> range;
  if (flight_ != Flight::kFirst) range = {*cursor_.open, life_changed_};
  const uint64_t there_before = report_.counts.already_there;
  const Status settled = settler_.Settle(*batch_, range);
  if (!settled.ok()) return StepOf(settled.error());
  if (report_.counts.already_there > there_before) breaks_in_a_row_ = 0;  // what landed, though nobody said so
  ASSIGN_OR_RETURN(const Step weighed, WeighBreak());
  if (weighed != Step::kDone) return weighed;
  const auto in_doubt = [](const BatchRow& row) { return row.state == BatchRow::State::kInDoubt; };
  if (std::any_of(batch_->rows.begin(), batch_->rows.end(), in_doubt)) return SettleBatch();
  return Step::kDone;
}

/// After the rows are settled: did the last break speak against the row that was alone in flight?
Result<StreamDrain::Step> StreamDrain::WeighBreak() {
  if (!cursor_.open) return Step::kDone;
  Cursor::OpenRange& open = *cursor_.open;
  BatchRow* row = FirstMissing();
  if (row == nullptr || row->ticket != suspect_ticket_) open.breaks = 0;  // the one that was suspected is there
  if (row == nullptr || !std::exchange(row->broke_alone, false)) return Step::kDone;
  const Status probed = session_.Probe(row->end - row->begin);
  if (!probed.ok()) {
    open.breaks = 0;
    return StepOf(probed.error());
  }
  breaks_in_a_row_ = 0;
  backoff_.Reset();
  // Everything before the first missing row is done. So the row that is counted for is the range's first one.
  suspect_ticket_ = row->ticket;
  cursor_.done_ticket = row->ticket - 1;
  if (++open.breaks >= kBreaksOfPoison) {
    RETURN_IF_ERROR(Reject(*row));
  } else {
    RETURN_IF_ERROR(file_.SaveCursor(stream_.id, cursor_));
  }
  return Step::kDone;
}

/// A row over which every connection breaks is kept aside, or nothing behind it would ever land.
Status StreamDrain::Reject(BatchRow& row) {
  cursor_.done_ticket = row.ticket;
  cursor_.open->breaks = 0;
  RETURN_IF_ERROR(file_.Reject(stream_.id, row.ticket, why_, cursor_));
  row.state = BatchRow::State::kSetAside;
  goes_alone_ = false;
  ++report_.counts.rejected;
  report_.Warn("rejected", {{"file", file_.info().path.filename().native()},
                            {"ticket", row.ticket},
                            {"stream", Escape(stream_.name)},
                            {"event_id", Escape(batch_->EventIdOf(row))},
                            {"why", why_}});
  // A second row of the same event counted on this one.
  for (BatchRow& other : batch_->rows) {
    if (other.state == BatchRow::State::kTwin) other.state = BatchRow::State::kInDoubt;
  }
  return {};
}

/// Rows that an earlier run rejected and that are in Redis now.
Status StreamDrain::AcceptLanded() {
  if (rejected_.empty()) return {};
  std::vector<int64_t> landed;
  for (const BatchRow& row : batch_->rows) {
    const bool is_there = row.state == BatchRow::State::kPresent || row.state == BatchRow::State::kTwin;
    if (is_there && rejected_.erase(row.ticket) > 0) landed.push_back(row.ticket);
  }
  return landed.empty() ? Status() : file_.Accept(stream_.id, landed);
}

/// Redis's errors as steps; any other error stays one.
Result<StreamDrain::Step> StreamDrain::StepOf(Error error) {
  why_ = error.message;
  switch (error.code) {
    case ErrorCode::kUnreachable:
      return Step::kBroken;
    case ErrorCode::kBusy:
      return Step::kServerRefuses;
    case ErrorCode::kRefused:
      return Step::kStreamRefuses;
    default:
      return error;
  }
}

Result<StreamId> StreamDrain::LastIdOfTarget() {
  auto& seen = session_.server().last_seen();
  const auto known = seen.find(options_.target);
  if (known != seen.end()) return known->second;
  ASSIGN_OR_RETURN(const StreamFacts facts, session_.Facts(options_.target));
  seen[options_.target] = facts.last_id;
  return facts.last_id;
}

/// Before the first event on a connection, the file must list it: it may be what a later fence has to kill.
Status StreamDrain::RecordConnection() {
  const ConnectionId& self = session_.server().self();
  if (recorded_ == self) return {};
  RETURN_IF_ERROR(file_.AddConnection(self));
  recorded_ = self;
  return {};
}

Result<StreamDrain::Step> StreamDrain::OpenRange() {
  const Result<StreamId> anchor = LastIdOfTarget();
  if (!anchor.ok()) return StepOf(anchor.error());
  RETURN_IF_ERROR(RecordConnection());
  cursor_.open = {batch_->last_ticket(), options_.target, anchor.value(), session_.server().self().run_id, 0};
  RETURN_IF_ERROR(file_.SaveCursor(stream_.id, cursor_));
  cursor_dirty_ = false;
  return Step::kDone;
}

/// Goes on with an open range on another connection: the first anchor is kept.
Result<StreamDrain::Step> StreamDrain::ReopenRange() {
  const Result<StreamId> last_id = LastIdOfTarget();
  if (!last_id.ok()) return StepOf(last_id.error());
  RETURN_IF_ERROR(RecordConnection());
  Cursor::OpenRange& open = *cursor_.open;
  const std::string& run_id = session_.server().self().run_id;
  const bool same_run = open.run_id == run_id;
  life_changed_ |= !session_.server().IsSameLife(open.run_id);
  if (!same_run) open.breaks = 0;
  open.run_id = run_id;
  if (open.target != options_.target) {
    RETURN_IF_ERROR(KeepPlaceOf(open));
    open.target = options_.target;
    open.anchor = last_id.value();
  } else if (!same_run && last_id.value() < open.anchor) {
    // A stream that came back without its end may give ids below the first anchor.
    RETURN_IF_ERROR(KeepPlaceOf(open));
    open.anchor = last_id.value();
  }
  RETURN_IF_ERROR(file_.SaveCursor(stream_.id, cursor_));
  flight_ = Flight::kAgain;
  return Step::kDone;
}

/// What the range will not say any more: since when its rows may be in the stream that they were sent to.
Status StreamDrain::KeepPlaceOf(const Cursor::OpenRange& open) {
  const LedTo place{open.target, open.anchor, open.run_id};
  RETURN_IF_ERROR(file_.KeepLedTo(stream_.id, place));
  stream_.led_to.push_back(place);
  return {};
}

BatchRow* StreamDrain::FirstMissing() {
  const auto missing =
      std::find_if(batch_->rows.begin(), batch_->rows.end(), [](const BatchRow& row) { return row.wants_sending(); });
  return missing == batch_->rows.end() ? nullptr : &*missing;
}

/// Nothing: the batch may be tried again.
Result<std::optional<StreamDrain::End>> StreamDrain::AfterFailedStep(Step step) {
  if (step == Step::kStreamRefuses) return std::optional(End::kStreamRefused);
  if (step == Step::kStopped || StopRequested()) return std::optional(End::kStopped);
  if (step == Step::kBroken) {
    RETURN_IF_ERROR(RecoverFromBreak());
    return std::optional<End>();
  }
  if (step == Step::kUnclear) {
    settler_.Forget();
    flight_ = Flight::kAgain;
  }
  const int64_t now = SteadyClockMs();
  if (!refused_since_ms_) refused_since_ms_ = now;
  if (now - *refused_since_ms_ >= kRefusalPatienceMs) {
    return std::optional(step == Step::kUnclear ? End::kStreamRefused : End::kServerRefused);
  }
  if (!SleepUnlessStopped(backoff_.NextMs(random_()))) return std::optional(End::kStopped);
  return std::optional<End>();
}

Status StreamDrain::RecoverFromBreak() {
  if (++breaks_in_a_row_ > kMostBreaksInARow) {
    return Error{ErrorCode::kUnreachable, "every connection to Redis breaks: " + why_};
  }
  settler_.Forget();
  if (cursor_.open) {
    batch_->DoubtAll();
    flight_ = Flight::kLost;
    goes_alone_ = true;
  }
  // The first break costs no wait: where others follow, it is the network, which needs time.
  if (breaks_in_a_row_ > 1) (void)SleepUnlessStopped(backoff_.NextMs(random_()));
  return session_.Recover();
}

void StreamDrain::CloseBatch() {
  for (const BatchRow& row : batch_->rows) {
    if (row.state == BatchRow::State::kTwin) ++report_.counts.already_there;
  }
  cursor_.done_ticket = batch_->last_ticket();
  if (next_is_sent_) {
    // The range is the next batch alone now: all of it has ids above those that were answered.
    cursor_.open->anchor = session_.server().last_seen()[options_.target];
  } else {
    cursor_.open.reset();
  }
  cursor_dirty_ = true;
  spare_ = *std::exchange(batch_, std::nullopt);
  flight_ = Flight::kFirst;
  life_changed_ = false;
  goes_alone_ = false;
  refused_since_ms_.reset();
  backoff_.Reset();
  report_.ShowProgress();
}

/// Redis has answered everything that was sent, and taken nothing from the first missing row on: so nothing of the
/// range is in flight, and what is left was never sent, wherever the next run leads it.
void StreamDrain::CloseRangeIfAllAnswered() {
  if (!batch_ || !cursor_.open || flight_ == Flight::kLost) return;
  const auto& rows = batch_->rows;
  const auto in_doubt = [](const BatchRow& row) { return row.state == BatchRow::State::kInDoubt; };
  if (std::any_of(rows.begin(), rows.end(), in_doubt)) return;  // the answer to it said nothing
  const auto missing = std::find_if(rows.begin(), rows.end(), [](const BatchRow& row) { return row.wants_sending(); });
  const bool nothing_behind =
      std::all_of(missing, rows.end(), [](const BatchRow& row) { return row.wants_sending() && !row.unproven; });
  if (missing == rows.end() || !nothing_behind) return;
  cursor_.done_ticket = missing->ticket - 1;
  cursor_.open.reset();
  cursor_dirty_ = true;
}

Result<StreamDrain::End> StreamDrain::Leave(End end) {
  if (end == End::kStreamRefused || end == End::kServerRefused) CloseRangeIfAllAnswered();
  // An open range stays as it is on disk: the next run finishes it.
  if (cursor_dirty_ && !cursor_.open) {
    RETURN_IF_ERROR(file_.SaveCursor(stream_.id, cursor_));
    cursor_dirty_ = false;
  }
  return end;
}

}  // namespace sprockets
