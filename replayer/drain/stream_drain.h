// Drains one stream of one spill file, batch by batch. The file's cursor says at every moment what may be in flight, so
// that a crash anywhere neither loses an event nor doubles it:
//
//   read a batch · settle its rows in doubt · commit "this range is open" · send · read the next batch · commit "the
//   range reaches to its end" · send · replies to the first one · read the next batch …
//
// So Redis always has a batch to work on. One with rows in doubt is not sent ahead: it waits until everything before is
// answered. The commit that opens a range or makes it longer also moves the cursor past what is answered. A range that
// a break or a crash left open is finished as it is: the same rows, all of them in doubt.
//
// After a break the range's first missing row goes alone: Redis takes commands in order, so if a row broke the
// connection it is that one. A break over a row alone counts against it only if, on the next connection, much more than
// that row passes; if that breaks, too, it is the network, and the count begins again. Only a row that has broken so
// many connections one after the other is rejected. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/drain/batch.h"
#include "replayer/drain/pace.h"
#include "replayer/drain/report.h"
#include "replayer/drain/searches.h"
#include "replayer/drain/session.h"
#include "replayer/drain/settler.h"
#include "shared/base/backoff.h"
#include "shared/base/result.h"
#include "shared/spill/file.h"

namespace sprockets {

class StreamDrain {
 public:
  enum class End {
    kDone,           // every row is in the stream, or rejected
    kStreamRefused,  // Redis takes nothing for this stream; why() says what it answered
    kServerRefused,  // Redis takes nothing at all; why()
    kStopped,        // by a signal
  };

  /// Where `stream` is to be led, and what more is in doubt than its rows say.
  StreamDrain(Session& session, DrainReport& report, Pace& pace, Searches& searches, SpillFile& file,
              SpilledStream stream, StreamSettler::Options options);

  /// All rows that are left. An error is the file's (kCorrupt, kIo, …), or kUnreachable: Redis is gone for good.
  Result<End> Run();
  /// Only the range that an earlier run left open.
  Result<End> FinishOpenRange();
  const std::string& why() const { return why_; }
  /// As saved.
  const Cursor& cursor() const { return cursor_; }

 private:
  /// How far one try at a batch came.
  enum class Step { kDone, kBroken, kServerRefuses, kStreamRefuses, kUnclear, kStopped };
  /// Of the batch, as one range.
  enum class Flight {
    kFirst,  // what its rows say holds
    kLost,   // it was in flight on an earlier connection: the range must be opened again on this one
    kAgain,  // it was in flight before, so that its rows are in doubt; the range is open on this connection
  };

  Status ResumeOpenRange();
  Result<End> FinishBatch();
  Result<Step> TryBatch();
  Status TakeNextBatch();
  Result<Step> SettleBatch();
  Result<Step> OpenRange();
  Result<Step> ReopenRange();
  Status RecordConnection();
  Status KeepPlaceOf(const Cursor::OpenRange& open);
  Result<Step> WeighBreak();
  Status Reject(BatchRow& row);
  Status AcceptLanded();
  Result<Step> Send();
  void Queue(const Batch& batch, const std::vector<BatchRow*>& rows);
  bool MaySendAhead() const;
  Status SendAhead();
  void JoinNext();
  void Prefetch();
  Step TakeReplies(Batch& batch, const std::vector<BatchRow*>& rows);
  Step TakeReply(Batch& batch, BatchRow& row, const redisReply& reply);
  Result<Step> StepOf(Error error);
  Result<std::optional<End>> AfterFailedStep(Step step);
  Status RecoverFromBreak();
  void CloseBatch();
  void CloseRangeIfAllAnswered();
  Result<End> Leave(End end);

  std::vector<BatchRow*> RowsToSend(Batch& batch) const;
  BatchRow* FirstMissing();
  Result<StreamId> LastIdOfTarget();

  Session& session_;
  DrainReport& report_;
  Pace& pace_;
  SpillFile& file_;
  SpilledStream stream_;
  Cursor cursor_;  // as on disk, or ahead of it by whole settled batches
  bool cursor_dirty_ = false;
  StreamSettler::Options options_;
  StreamSettler settler_;
  std::optional<Batch> batch_;
  bool batch_is_sent_ = false;         // sent ahead, within the open range
  std::optional<Result<Batch>> next_;  // read while Redis works on batch_
  bool next_is_sent_ = false;          // while batch_ is in flight: the open range holds both
  Batch spare_;                        // done with: its memory is used again
  Flight flight_ = Flight::kFirst;
  bool life_changed_ = false;             // an earlier flight was on another life of the server
  std::optional<ConnectionId> recorded_;  // the connection that the file lists as the live one
  bool goes_alone_ = false;               // the next row: something in this range may have broken a connection
  int64_t suspect_ticket_ = 0;            // the row that cursor_.open->breaks are counted for
  std::set<int64_t> rejected_;            // tickets: by an earlier run
  int breaks_in_a_row_ = 0;
  std::optional<int64_t> refused_since_ms_;  // by the steady clock; nothing landed since
  Backoff backoff_;
  std::minstd_rand random_;
  std::string why_;
};

}  // namespace sprockets
