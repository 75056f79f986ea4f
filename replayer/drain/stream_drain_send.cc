// What goes to Redis and what comes back: at most two batches at a time, one behind the other.
#include <algorithm>
#include <utility>

#include "replayer/drain/stream_drain.h"
#include "replayer/terminal/stop.h"
#include "shared/redis/error.h"

namespace sprockets {
namespace {

constexpr size_t kPumpEveryRows = 128;  // Redis takes less than a socket's buffer meanwhile

}  // namespace

/// Sends what is missing and takes the replies. The batch behind it is read meanwhile, and sent, too, if it may be.
Result<StreamDrain::Step> StreamDrain::Send() {
  const std::vector<BatchRow*> rows = RowsToSend(*batch_);
  if (!batch_is_sent_) {
    if (!pace_.WaitFor(rows.size())) return Step::kStopped;
    Queue(*batch_, rows);
  }
  batch_is_sent_ = false;
  if (!next_) Prefetch();
  if (MaySendAhead()) RETURN_IF_ERROR(SendAhead());
  Step worst = TakeReplies(*batch_, rows);
  if (worst != Step::kDone && next_is_sent_) {
    // Both may have landed in part: from here on they are one batch.
    if (worst != Step::kBroken) worst = std::max(worst, TakeReplies(next_->value(), RowsToSend(next_->value())));
    JoinNext();
  }
  if (worst == Step::kDone) goes_alone_ = false;
  report_.ShowProgress();
  return worst;
}

void StreamDrain::Queue(const Batch& batch, const std::vector<BatchRow*>& rows) {
  for (size_t i = 0; i < rows.size();) {
    // Commands that lie side by side go as one piece.
    const size_t begin = rows[i]->begin;
    size_t end = rows[i]->end;
    while (++i < rows.size() && rows[i]->begin == end) end = rows[i]->end;
    session_.client().Queue(std::string_view(batch.commands).substr(begin, end - begin));
  }
}

/// Only what needs no search and no care: a row in doubt is settled when everything before it has been answered.
bool StreamDrain::MaySendAhead() const {
  return next_->ok() && !next_->value().rows.empty() && next_->value().AllNeverSent() && flight_ == Flight::kFirst &&
         !goes_alone_ && !pace_.is_limited() && !StopRequested();
}

/// The commit comes while Redis works on the batch before: it never waits for the disk.
Status StreamDrain::SendAhead() {
  Batch& next = next_->value();
  cursor_.open->last_ticket = next.last_ticket();
  RETURN_IF_ERROR(file_.SaveCursor(stream_.id, cursor_));
  cursor_dirty_ = false;
  Queue(next, RowsToSend(next));
  session_.client().Pump();
  next_is_sent_ = true;
  return {};
}

void StreamDrain::JoinNext() {
  report_.counts.read += next_->value().rows.size();
  batch_->Append(std::move(next_->value()));
  next_.reset();
  next_is_sent_ = false;
  flight_ = Flight::kAgain;  // so nothing more is sent ahead until all of it has landed
}

/// Of every row that was sent, or until the connection breaks.
StreamDrain::Step StreamDrain::TakeReplies(Batch& batch, const std::vector<BatchRow*>& rows) {
  Step worst = Step::kDone;
  for (BatchRow* row : rows) {
    const auto reply = session_.client().Receive();
    const Step step = reply.ok() ? TakeReply(batch, *row, *reply.value()) : Step::kBroken;
    if (step == Step::kBroken) {
      if (!reply.ok()) why_ = reply.error().message;
      row->broke_alone = goes_alone_ && (reply.ok() || session_.client().closed_by_server());
      return step;
    }
    worst = std::max(worst, step);
  }
  return worst;
}

std::vector<BatchRow*> StreamDrain::RowsToSend(Batch& batch) const {
  std::vector<BatchRow*> rows;
  for (BatchRow& row : batch.rows) {
    if (!row.wants_sending()) continue;
    rows.push_back(&row);
    if (goes_alone_) break;
  }
  return rows;
}

StreamDrain::Step StreamDrain::TakeReply(Batch& batch, BatchRow& row, const redisReply& reply) {
  if (reply.type == REDIS_REPLY_STRING) {
    row.state = BatchRow::State::kPresent;
    ++report_.counts.landed;
    settler_.Landed(batch, row);
    if (const std::optional<StreamId> id = ParseStreamId(TextOf(reply)))
      session_.server().last_seen()[options_.target] = *id;
    refused_since_ms_.reset();
    breaks_in_a_row_ = 0;
    return Step::kDone;
  }
  why_ = IsError(reply) ? std::string(TextOf(reply)) : std::string("not a reply to XADD");
  // Redis's last words before it closes the connection, over a value that is too large for it, for example.
  if (why_.starts_with("ERR Protocol error")) return Step::kBroken;
  // Redis has answered it, so it is not what Redis breaks over.
  if (cursor_.open) cursor_.open->breaks = 0;
  switch (IsError(reply) ? ClassifyRedisError(why_) : RefusalScope::kUnknown) {
    case RefusalScope::kServer:
      return Step::kServerRefuses;
    case RefusalScope::kStream:
      return Step::kStreamRefuses;
    case RefusalScope::kUnknown:
      break;
  }
  row.state = BatchRow::State::kInDoubt;
  return Step::kUnclear;
}

/// Reads the batch behind the current one, and keeps Redis busy with what is queued meanwhile.
void StreamDrain::Prefetch() {
  const int64_t after = batch_ ? batch_->last_ticket() : cursor_.done_ticket;
  size_t rows = 0;
  const auto pump = [&] {
    if (++rows % kPumpEveryRows == 0) session_.client().Pump();
  };
  next_ = ReadBatch(file_, stream_, options_.target, {after, 0, pace_.MostRows()}, pump, std::exchange(spare_, {}));
  if (next_->ok() && options_.whole_file_in_doubt) next_->value().DoubtAll();
}

}  // namespace sprockets
