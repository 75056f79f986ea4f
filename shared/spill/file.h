// One spill file: a SQLite database with a table per stream, named after it, whose columns are the stream's own fields.
// SpillWriter is the sidecar's side (the active file), SpillFile the drainer's (sealed files; the sidecar reads them at
// its start). The schema and what every column means: schema/spill.sql.
#pragma once

#include <cstdint>
#include <filesystem>
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
#include "shared/spill/sqlite.h"

namespace sprockets {

inline constexpr int32_t kSpillApplicationId = 0x5350524b;  // "SPRK"
inline constexpr int32_t kSpillFormatVersion = 1;

/// What stands as _anchor of a doubt that needs no proof; it begins at 0-0.
inline constexpr std::string_view kRepeatAnchor = "repeat";

/// The active file. One thread, one process.
class SpillWriter {
 public:
  struct Options {
    int64_t number = 0;
    std::string producer;  // of the event ids that this sidecar makes: "<producer>-<n>"
    std::string event_id_field;
    int64_t begun_ms = 0;
    int64_t max_bytes = 0;          // hard limit (max_page_count); SpillWriter itself never seals
    std::optional<int> database;    // of Redis, that its events are for; nothing: it is not written down
    std::string server = {};        // likewise, its address: RedisUrl::Server
    bool connections_lost = false;  // connections of earlier lives are not known: no fence covers all (see StateFile)
  };

  /// Creates spill-<number>.active.sqlite; it must not exist. On failure nothing is left behind.
  static Result<std::unique_ptr<SpillWriter>> Create(const SpillFolder& folder, Options options);
  ~SpillWriter();

  Status Begin();
  /// Adds one event. `stream_tail` is the last id of the stream that the caller has seen (0-0: none); it is kept with
  /// the stream when this is its first event in the file: should this file become suspect, that is where the search for
  /// its rows starts. kFull or kIo: Rollback, then everything since Begin is certainly not stored. The event must have
  /// an id.
  Status Append(int64_t ticket, int64_t received_ms, const EventView& event, const std::optional<Doubt>& doubt,
                StreamId stream_tail);
  /// Lists connections (duplicates are fine): before a doubt is committed, everything that may still deliver it.
  Status AddConnections(std::span<const ConnectionId> connections);
  /// Only when this returned ok is anything since Begin stored. On an error it may be stored or not: close the file,
  /// mark it suspect, begin a new one.
  Status Commit();
  void Rollback();

  int64_t number() const;
  int64_t rows() const;                // committed
  int64_t FileBytes() const;           // database and WAL
  int64_t oldest_received_ms() const;  // of the committed rows; 0: none
  /// Checkpoint once 4 MiB of WAL are written; the WAL keeps its room. With `force` at once, and it gives its room
  /// back. An error is as bad as one of Commit.
  Status CheckpointIfDue(bool force = false);

  /// Checkpoint, rollback journal, counts and checksums into the catalogue, close, sync, rename to .sealed, sync the
  /// folder. A file without rows is removed instead. On an error the file keeps its name: mark it suspect. The file is
  /// closed afterwards; number(), rows() and oldest_received_ms() still answer.
  Status Seal(const SpillFolder& folder);
  /// Closes without a checkpoint, as a crash would. Afterwards as after Seal.
  void Abandon();

 private:
  struct Impl;
  explicit SpillWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class SpillFile {
 public:
  /// Opens a file that no SpillWriter has open, in whatever state: an active file (left behind, or suspect) is
  /// recovered: its WAL is checkpointed, synced, and left (rollback journal), so that its rows count. kForeign,
  /// kCorrupt, kBusy as they come. Whoever lists the folder while a sidecar runs (the lock is held) passes over an
  /// active file without a marker: it is the sidecar's, and opening it would wait 30 s for the sidecar's lock and end
  /// in kBusy.
  static Result<SpillFile> Open(const SpillFileInfo& file);
  SpillFile(SpillFile&&) noexcept;
  SpillFile& operator=(SpillFile&&) noexcept;
  ~SpillFile();

  const SpillFileInfo& info() const;
  const std::string& producer() const;
  const std::string& event_id_field() const;
  int64_t begun_ms() const;
  bool connections_lost() const;
  /// The database of Redis that its events are for; nothing: a file of before does not say.
  std::optional<int> database() const;
  /// The address of the Redis that its events are for; empty: likewise.
  const std::string& server() const;
  /// Which commits of a quarantined file's WAL were out of reach, in words; empty: none.
  const std::string& wal_damage() const;
  /// When the last row was drained, as committed by MarkDrained; 0: not yet.
  int64_t drained_ms() const;

  /// In a sealed file the catalogue's counts and checksums, else quick_check: kCorrupt names stream and reason. The
  /// bytes of each row are checked by Visit.
  Status Verify();
  /// As Verify, but a stream of which nothing is drained yet is compared when Visit comes to its end: a drain reads its
  /// file once. Until then what Visit gave is good row by row, and nobody knows yet whether rows are missing.
  Status VerifyAsRead();

  /// Every stream of the file, in the order of their first events. In a quarantined file, a stream that cannot be
  /// counted has 0 rows.
  Result<std::vector<SpilledStream>> Streams();
  Result<std::vector<ConnectionId>> Connections();
  /// Of every stream whose rows were led elsewhere: its name, and one target a pair.
  Result<std::vector<std::pair<std::string, std::string>>> RenamedStreams();

  /// Visits rows of a stream with `after` < ticket <= `up_to` (0: no limit) in ticket order until the visitor returns
  /// false. A row whose checksum does not match is kCorrupt and named, unless `on_bad_row` takes it (ticket, reason)
  /// and the visit goes on.
  Status Visit(const SpilledStream& stream, int64_t after, int64_t up_to,
               const std::function<bool(const SpilledEvent&)>& visitor,
               const std::function<void(int64_t, std::string_view)>& on_bad_row = nullptr);
  /// As Visit, only the rows with a doubt of their own.
  Status VisitDoubts(const SpilledStream& stream, int64_t after,
                     const std::function<bool(const SpilledEvent&)>& visitor);
  /// All rows, newest first; for the sidecar's window.
  Status VisitNewestFirst(const SpilledStream& stream, const std::function<bool(const SpilledEvent&)>& visitor);

  // The drainer's writes, each one commit.
  Status AddConnection(const ConnectionId& connection);
  /// Moves the cursor past what is done and opens the next range in the same commit, which also keeps in mind where the
  /// range is led if that is another stream.
  Status SaveCursor(int64_t stream_id, const Cursor& cursor);
  /// Keeps in mind that rows of the stream were sent there, since when at the earliest.
  Status KeepLedTo(int64_t stream_id, const LedTo& place);
  /// Keeps a row that Redis will not take aside, with the reason, and saves the cursor, in the same commit.
  Status Reject(int64_t stream_id, int64_t ticket, std::string_view reason, const Cursor& cursor);
  struct Rejected {
    int64_t stream_id;
    int64_t ticket;
    std::string reason;
  };
  Result<std::vector<Rejected>> RejectedRows();
  /// These rows of a stream are in Redis after all: they are not rejected any more.
  Status Accept(int64_t stream_id, std::span<const int64_t> tickets);
  Status MarkDrained(int64_t now_ms);
  /// Forgets all cursors, for `drain --file`: the whole file is offered again. A rejected row stays rejected until it
  /// is accepted, and where rows were led is not forgotten.
  Status ResetCursors();

  /// Seals a recovered active file: every row is checked, counts and checksums go into the catalogue, close, sync. The
  /// caller renames it (SpillFolder::Move). The object is unusable afterwards.
  Status FinishAsSealed();
  /// Closes and syncs, leaving no journal beside the file, so that it may be renamed. The object is unusable
  /// afterwards.
  Status Close();

 private:
  struct Impl;
  explicit SpillFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
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
