// One spill file: a SQLite database with a table per stream, named after it, whose columns are the stream's own fields.
// SpillWriter is the sidecar's side (the active file), SpillFile the drainer's (sealed files; the sidecar reads them at
// its start). SpillFolder makes both. The schema and what every column means: schema/spill.sql.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/folder.h"
#include "shared/spill/spilled.h"

namespace sprockets {

inline constexpr int32_t kSpillApplicationId = 0x5350524b;  // "SPRK"
inline constexpr int32_t kSpillFormatVersion = 1;
inline constexpr int32_t kJournalFormatVersion = 2;      // of files that name entries: programs of before refuse them
inline constexpr int32_t kLateSyncedJournalVersion = 3;  // the same, but its commits were not synced one by one

/// What stands as _anchor of a doubt that needs no proof; it begins at 0-0.
inline constexpr std::string_view kRepeatAnchor = "repeat";

struct SpillWriterOptions {
  int64_t number = 0;
  std::string producer;  // of the event ids that this sidecar makes: "<producer>-<n>"
  std::string event_id_field;
  int64_t begun_ms = 0;
  int64_t max_bytes = 0;          // hard limit (max_page_count); SpillWriter itself never seals
  std::optional<int> database;    // of Redis, that its events are for; nothing: it is not written down
  std::string server = {};        // likewise, its address: RedisUrl::Server
  bool connections_lost = false;  // connections of earlier lives are not known: no fence covers all (see StateFile)
  bool names_entries = false;     // a journal (--ack disk): each row says which entry of its stream the event becomes
  bool sync_commits = true;       // false, in a journal: a power cut may lose what was committed since the last Sync
};

/// An event on its way into a spill file.
struct SpillRow {
  int64_t ticket = 0;
  int64_t received_ms = 0;
  const EventView* event = nullptr;  // which has an id
  const Doubt* doubt = nullptr;      // null: none
  /// The last id of the stream that the caller has seen (0-0: none); it is kept with the stream when this is its first
  /// event in the file: should the file become suspect, that is where the search for its rows starts.
  StreamId stream_tail;
  std::optional<StreamId> id = {};  // of the entry that the event becomes; in a journal, and only there
  int64_t origin = 0;  // the event was moved: the ticket of its first row, a smaller one. 0: it is the first
};

/// The active file. One thread, one process.
class SpillWriter {
 public:
  using Options = SpillWriterOptions;

  virtual ~SpillWriter() = default;

  virtual Status Begin() = 0;
  /// Adds events, in the order of their tickets. kFull or kIo: Rollback, then everything since Begin is certainly not
  /// stored.
  virtual Status AppendAll(std::span<const SpillRow> rows) = 0;
  Status Append(int64_t ticket, int64_t received_ms, const EventView& event, const std::optional<Doubt>& doubt,
                StreamId stream_tail, std::optional<StreamId> id = std::nullopt, int64_t origin = 0) {
    const SpillRow row{ticket, received_ms, &event, doubt ? &*doubt : nullptr, stream_tail, id, origin};
    return AppendAll({&row, 1});
  }
  /// Lists connections (duplicates are fine): before a doubt is committed, everything that may still deliver it.
  virtual Status AddConnections(std::span<const ConnectionId> connections) = 0;
  /// Only when this returned ok is anything since Begin stored. On an error it may be stored or not: close the file,
  /// mark it suspect, begin a new one.
  virtual Status Commit() = 0;
  virtual void Rollback() = 0;
  /// Without sync_commits: what was committed outlasts a power cut from now on. An error is as bad as one of Commit.
  virtual Status Sync() = 0;

  virtual int64_t number() const = 0;
  virtual int64_t rows() const = 0;                // committed
  virtual int64_t FileBytes() const = 0;           // database and WAL
  virtual int64_t WalBytes() const = 0;            // of those, the WAL's
  virtual int64_t oldest_received_ms() const = 0;  // of the committed rows; 0: none
  /// Checkpoint once 4 MiB of WAL are written; the WAL keeps its room. With `force` at once, and it gives its room
  /// back. An error is as bad as one of Commit.
  virtual Status CheckpointIfDue(bool force = false) = 0;

  /// Checkpoint, rollback journal, counts and checksums into the catalogue, close, sync, rename to .sealed, sync the
  /// folder. A file without rows is removed instead. On an error the file keeps its name: mark it suspect. The file is
  /// closed afterwards; number(), rows() and oldest_received_ms() still answer.
  virtual Status Seal(const SpillFolder& folder) = 0;
  /// Closes without a checkpoint, as a crash would. Afterwards as after Seal.
  virtual void Abandon() = 0;
};

/// A file that no SpillWriter has open. One thread at a time.
class SpillFile {
 public:
  virtual ~SpillFile() = default;

  virtual const SpillFileInfo& info() const = 0;
  virtual const std::string& producer() const = 0;
  virtual const std::string& event_id_field() const = 0;
  virtual int64_t begun_ms() const = 0;
  virtual bool connections_lost() const = 0;
  /// The database of Redis that its events are for; nothing: a file of before does not say.
  virtual std::optional<int> database() const = 0;
  /// The address of the Redis that its events are for; empty: likewise.
  virtual const std::string& server() const = 0;
  /// It is a journal: every row has an id, under which it is forwarded, by a sidecar with --ack disk or a drain.
  virtual bool names_entries() const = 0;
  /// Which commits of a quarantined file's WAL were out of reach, in words; empty: none.
  virtual const std::string& wal_damage() const = 0;
  /// When the last row was drained, as committed by MarkDrained; 0: not yet.
  virtual int64_t drained_ms() const = 0;

  /// In a sealed file the catalogue's counts and checksums, else quick_check; in a journal also whether Moves says what
  /// the rows say. kCorrupt names stream and reason. The bytes of each row are checked by Visit.
  virtual Status Verify() = 0;
  /// As Verify, but a stream of which nothing is drained yet is compared when Visit comes to its end: a drain reads its
  /// file once. Until then what Visit gave is good row by row, and nobody knows yet whether rows are missing.
  virtual Status VerifyAsRead() = 0;

  /// Every stream of the file, in the order of their first events. In a quarantined file, a stream that cannot be
  /// counted has 0 rows.
  virtual Result<std::vector<SpilledStream>> Streams() = 0;
  /// As Streams, but no row is counted, so that it takes a moment however large the file is: `rows` and `rows_left` are
  /// 0.
  virtual Result<std::vector<SpilledStream>> UncountedStreams() = 0;
  virtual Result<std::vector<ConnectionId>> Connections() = 0;
  /// Of every stream whose rows were led elsewhere: its name, and one target a pair.
  virtual Result<std::vector<std::pair<std::string, std::string>>> RenamedStreams() = 0;

  /// A row of a journal that gives an event of an earlier row, in this file or in one before it, another id.
  struct Move {
    int64_t stream_id;
    int64_t ticket;  // of the row
    int64_t origin;  // the ticket of the event's first row, which may have been moved before
    bool operator==(const Move&) const = default;
  };
  /// All of them, by stream and ticket, without a look at the other rows; none in other files.
  virtual Result<std::vector<Move>> Moves() = 0;
  /// How many rows of a stream have a ticket above `after`, those of `but_not` left out (tickets, each once, which need
  /// not be there).
  virtual Result<int64_t> CountAfter(const SpilledStream& stream, int64_t after,
                                     std::span<const int64_t> but_not = {}) = 0;

  /// Visits rows of a stream with `after` < ticket <= `up_to` (0: no limit) in ticket order until the visitor returns
  /// false. A row whose checksum does not match is kCorrupt and named, unless `on_bad_row` takes it (ticket, reason)
  /// and the visit goes on.
  virtual Status Visit(const SpilledStream& stream, int64_t after, int64_t up_to,
                       const std::function<bool(const SpilledEvent&)>& visitor,
                       const std::function<void(int64_t, std::string_view)>& on_bad_row = nullptr) = 0;
  /// As Visit, only the rows with a doubt of their own.
  virtual Status VisitDoubts(const SpilledStream& stream, int64_t after,
                             const std::function<bool(const SpilledEvent&)>& visitor) = 0;
  /// As Visit, newest first; for whoever needs the last rows alone.
  virtual Status VisitNewestFirst(const SpilledStream& stream, int64_t after, int64_t up_to,
                                  const std::function<bool(const SpilledEvent&)>& visitor,
                                  const std::function<void(int64_t, std::string_view)>& on_bad_row = nullptr) = 0;

  // The drainer's writes, each one commit.
  virtual Status AddConnection(const ConnectionId& connection) = 0;
  /// Moves the cursor past what is done and opens the next range in the same commit, which also keeps in mind where the
  /// range is led if that is another stream.
  virtual Status SaveCursor(int64_t stream_id, const Cursor& cursor) = 0;
  /// Keeps in mind that rows of the stream were sent there, since when at the earliest.
  virtual Status KeepLedTo(int64_t stream_id, const LedTo& place) = 0;
  /// Keeps a row that Redis will not take aside, with the reason, and saves the cursor, in the same commit.
  virtual Status Reject(int64_t stream_id, int64_t ticket, std::string_view reason, const Cursor& cursor) = 0;
  struct Rejected {
    int64_t stream_id;
    int64_t ticket;
    std::string reason;
  };
  virtual Result<std::vector<Rejected>> RejectedRows() = 0;
  /// These rows of a stream are in Redis after all: they are not rejected any more.
  virtual Status Accept(int64_t stream_id, std::span<const int64_t> tickets) = 0;
  virtual Status MarkDrained(int64_t now_ms) = 0;
  /// Forgets all cursors, for `drain --file`: the whole file is offered again. A rejected row stays rejected until it
  /// is accepted, and where rows were led is not forgotten.
  virtual Status ResetCursors() = 0;

  /// Seals a recovered active file: counts and checksums go into the catalogue, close, sync. The caller renames it
  /// (SpillFolder::Move). The rows that its writer has counted are believed as in every sealed file, which whoever
  /// reads them verifies; the rows after those are read and checked. Returns how many rows the file holds; one without
  /// rows is only closed. The object is unusable afterwards.
  virtual Result<int64_t> FinishAsSealed() = 0;
  /// Closes and syncs, leaving no journal beside the file, so that it may be renamed. The object is unusable
  /// afterwards.
  virtual Status Close() = 0;
};

/// What RecoverLeftBehind did. The lists name each file and what is wrong with it.
struct RecoveryReport {
  int64_t sealed = 0;                    // files
  int64_t rows = 0;                      // in them
  std::vector<std::string> quarantined;  // cannot be read: salvage takes what is good
  std::vector<std::string> suspect;  // could not be sealed now (no space, or held open): a later drain settles its rows
};

/// Takes `folder`'s left-behind active files that are not suspect (the caller holds the lock for writing): each is
/// recovered and sealed. One that is empty is removed, one that cannot be read is quarantined; neither stops the
/// others. A newer or foreign one is an error.
Result<RecoveryReport> RecoverLeftBehind(const SpillFolder& folder);

}  // namespace sprockets
