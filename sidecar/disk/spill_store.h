// The sidecar's hold on the spill folder: commits batches of events, writes connections down, seals; and what to do
// when the disk fails. It does one job after the other and knows no thread: SpillThread gives it one of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "shared/journal/journal_contents.h"
#include "shared/redis/connection_id.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"
#include "shared/spill/state_file.h"
#include "sidecar/core/traffic.h"
#include "sidecar/disk/folder_reader.h"
#include "sidecar/disk/journal_retention.h"
#include "sidecar/disk/recommit.h"
#include "sidecar/disk/room.h"
#include "sidecar/disk/spill_report.h"

namespace sprockets {

// Jobs. A SpillRequest and a RecordJob are, too.
struct ForgetLiveJob {};  // no connection is live: doubts that follow list all of them
struct SealJob {
  uint64_t token = 0;
};
/// What does the folder hold? `prove`: and does the disk take something now, durably?
struct DescribeJob {
  bool prove = false;
};
struct ReadFolderJob {};   // one more file of what earlier lives left
struct KeepJournalJob {};  // --ack disk: a failed COMMIT is tried again, journals that nobody needs are dropped
/// With --ack disk: the life that Redis lives now. What landed in another one may be missing.
struct RedisLifeJob {
  std::string run_id;
  std::string replication_id;
};
struct LandedJob {
  std::vector<LandedMark> marks;  // those that have changed; the last one is of the life that Redis lives now
  bool confirm = false;           // a LandedNoted is wanted, once this and all before are on disk
};
/// With --ack disk: Redis will not take this row. Its journal says so from now on.
struct RejectJob {
  std::string stream;
  int64_t ticket = 0;
  std::string why;
};
/// With --ack disk: the rows of salvaged journals were looked for, so these journals may go as others do.
struct SalvagedPlacedJob {};
using SpillJob = std::variant<SpillRequest, RecordJob, ForgetLiveJob, SealJob, DescribeJob, ReadFolderJob,
                              KeepJournalJob, LandedJob, RedisLifeJob, SalvagedPlacedJob, RejectJob>;

// What comes back. A SpillOutcome and a Recorded are, too.
struct Sealed {
  uint64_t token = 0;
  Status status;
  std::string name;  // of the sealed file; empty: there was nothing to seal
};
struct Described {
  SpillReport report;
  bool proves = false;  // as the job had it
};
struct FolderRead {
  EarlierEvents events;
  size_t left = 0;        // files that are still to be read
  bool done = false;      // nothing is left, nor has to be tried again
  bool complete = false;  // FolderReader::complete
};
/// With names_entries: a COMMIT has failed, and its rows are committed again and again. Until one COMMIT succeeds every
/// other event is refused. Comes once when that begins, before the first refusal, and once when it ends, behind the
/// outcomes of the rows.
struct JournalBlocked {
  bool blocked = false;
  std::string why;
};
/// To so many LandedJobs that wanted it.
struct LandedNoted {
  int jobs = 0;
};
using SpillCompletion =
    std::variant<SpillOutcome, Recorded, Sealed, Described, FolderRead, JournalBlocked, LandedNoted>;

class SpillStore {
 public:
  struct Options {
    std::string producer;
    std::string event_id_field;
    int database = 0;    // of Redis
    std::string server;  // its address: RedisUrl::Server
    int64_t spill_file_bytes = 256ll << 20;
    int64_t spill_max_bytes = 8ll << 30;
    int64_t most_doubt_bytes = 8 << 20;  // of events in doubt that are stored although there is no room: what one
                                         // connection may carry
    // With --ack disk.
    bool names_entries = false;                      // files are journals: each SpillRequest has an id
    int64_t sync_every_ms = 0;                       // 0: with each commit
    int64_t retain_ms = 24 * 60 * 60 * 1000;         // journals whose events have landed are kept so long, if there is
                                                     // room
    std::vector<JournalFile> earlier_journals = {};  // as ReadJournals has found them
  };
  /// Takes what is done, as soon as it is: before any housekeeping.
  using Post = std::function<void(std::vector<SpillCompletion>)>;

  /// The folder must outlive it. `earlier` may have read some of it already.
  SpillStore(const SpillFolder& folder, StateFile state, Options options, FolderReader earlier, Post post);

  /// Does the jobs in order; neighbouring events go to disk in one transaction. The jobs are used up.
  void Process(std::span<SpillJob> jobs);
  /// Seals and closes. `nothing_in_flight`: every event that was sent has had its answer.
  void Close(bool nothing_in_flight);
  /// Files that no drainer may trust, and whose marker could not be written yet: a SealJob tries again.
  size_t unmarked() const { return distrusted_.size(); }
  /// In so many milliseconds SyncIfDue has something to do; nothing: it has not.
  std::optional<int64_t> SyncDueMs() const;
  void SyncIfDue();
  /// Committed rows of the active file.
  int64_t active_rows() const { return file_ == nullptr ? 0 : file_->rows(); }

 private:
  using Batch = std::span<SpillRequest* const>;
  struct TransparentHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  void Record(const RecordJob& job);
  void Seal(const SealJob& job);
  void Describe(const DescribeJob& job);
  Status ProveWritable();
  void ReadFolder();
  void NoteNothingInFlight();
  void PostOne(SpillCompletion done);

  // With --ack disk.
  bool is_blocked() const { return recommit_.waits() || !distrusted_.empty(); }
  void TryAgain();
  void TellBlocked();
  void HoldFailed(Batch batch, std::vector<int64_t> tickets, const Error& error);
  void HoldMoves(std::vector<SpillRequest*>* batch, const Error& error);
  void RefuseWhatMustWait(std::vector<SpillRequest*>* batch);
  std::string_view StreamOf(const SpillRequest& request);
  void GiveUp();
  void NoteLanded(const LandedJob& job);
  void NoteWhatLanded();
  void KeepRejected(const RejectJob& job);
  void KeepTally(int64_t number, int64_t bytes);
  bool RemoveUnanswered(int64_t number);
  bool SealLanded();

  void SpillBatch(std::vector<SpillRequest*> batch);
  void Answer(Batch batch, const Status& stored, const std::vector<int64_t>& tickets);
  Status Store(Batch batch, std::vector<int64_t>* tickets);
  Status Append(Batch batch, std::vector<int64_t>* tickets);
  Status AppendPart(Batch part, size_t at, std::vector<int64_t>* tickets);
  Status DrawTicket(std::vector<int64_t>* tickets);
  Status OpenFile();
  Status OpenState();
  bool MakeRoomFor(std::vector<SpillRequest*>* batch);
  void AbandonIfGone();
  Status CheckDisk(int64_t wanted);
  void Refuse(std::vector<SpillRequest*> batch, const Error& error);
  void RefuseForLackOfRoom(std::vector<SpillRequest*>* batch, const Error& error);
  void LogRefused();
  void KeepHouse();
  void Distrust(const Error& error);
  Status MarkDistrusted();
  Status SealActive(std::string* name);

  const SpillFolder& folder_;
  std::optional<StateFile> state_;
  Options options_;
  FolderReader earlier_;
  std::map<int64_t, SpillReport::File> known_files_;
  const Post post_;
  JournalRetention retention_;
  Room room_;
  std::unique_ptr<SpillWriter> file_;
  // Of the streams in file_, as they were at their first event in it.
  std::unordered_map<std::string, StreamId, TransparentHash, std::equal_to<>> tails_;
  std::optional<ConnectionId> live_;
  bool commit_failed_ = false;       // Store's last error came from COMMIT: what it wrote may be stored
  std::vector<int64_t> distrusted_;  // files whose marker could not be written yet
  int64_t highest_ticket_ = 0;
  bool answered_unknown_ = false;  // in this life
  std::string last_refusal_;
  uint64_t refused_ = 0;  // since the last line of the log about it
  int64_t refused_logged_ms_ = 0;
  // With --ack disk.
  JournalTally tally_;  // of file_
  Recommit recommit_;
  std::string blocked_why_;
  LatencyHistogram commits_;
  int64_t synced_ms_ = 0;          // when a COMMIT was last synced, on the steady clock; 0: none was
  int64_t unsynced_since_ms_ = 0;  // on the steady clock; 0: everything is synced
  bool blocked_told_ = false;
  bool moves_wait_told_ = false;
  LandedMarks unnoted_;            // marks that could not be written down yet
  int confirm_landed_ = 0;         // so many wait for that
  bool landed_not_noted_ = false;  // the last time
  // Scratch, of one part.
  std::vector<std::string_view> args_;
  std::vector<EventView> views_;
  std::vector<SpillRow> rows_;
};

}  // namespace sprockets
