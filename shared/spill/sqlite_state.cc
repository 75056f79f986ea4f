#include "shared/spill/sqlite_state.h"

#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/spill/sqlite.h"

namespace sprockets {
namespace {

constexpr int32_t kApplicationId = 0x53505253;  // "SPRS"
constexpr int32_t kFormatVersion = 1;
constexpr int32_t kStateVersionOfJournals = 2;  // since the first tag
constexpr int64_t kRoomPages = 256;             // for KnownConnections::kMost rows and their index, twice over
constexpr int64_t kMostInWalBytes = kRoomPages / 2 * Database::kPageBytes;  // the other half is for the next commit

constexpr std::string_view kSchema = R"sql(
CREATE TABLE state (
  reserved_ticket  INTEGER NOT NULL,  -- no ticket up to here may be given again
  connections_lost INTEGER NOT NULL,  -- 1: earlier connections exist that are not listed
  lost_under       ANY                -- run_id of the server when that was found out; null: not asked yet
) STRICT;
CREATE TABLE connections (
  id        INTEGER PRIMARY KEY,      -- oldest first
  run_id    ANY NOT NULL,
  client_id INTEGER NOT NULL,
  UNIQUE (run_id, client_id)
) STRICT;
)sql";

// A row in it: nothing is in flight. Apart from the others, since files of before have none.
constexpr std::string_view kNothingInFlight =
    "CREATE TABLE IF NOT EXISTS nothing_in_flight (since_ms INTEGER NOT NULL) STRICT";

// Likewise.
constexpr std::string_view kRedisFirst =
    "CREATE TABLE IF NOT EXISTS redis_first (until_ms INTEGER NOT NULL) STRICT; DELETE FROM redis_first";

// Likewise. Who makes journals must not be followed by a program that cannot read them: it would start as if they were
// not there. The version says so; a PRAGMA is part of its transaction.
constexpr std::string_view kJournalTables = R"sql(
CREATE TABLE IF NOT EXISTS tags (
  drawn INTEGER PRIMARY KEY,          -- oldest first
  tag   INTEGER NOT NULL UNIQUE       -- in the ids of the entries that a life of the sidecar has named
) STRICT;
CREATE TABLE IF NOT EXISTS landed (
  stream         BLOB PRIMARY KEY,
  landed         TEXT NOT NULL,       -- each row up to this id is in the stream, unless a later row has moved it
  top            TEXT NOT NULL,       -- the highest id that the stream was ever seen to have reached
  run_id         ANY NOT NULL,        -- of the server that they landed on, and the id of its replication
  replication_id ANY NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
)sql";

Status WriteNothingInFlight(Database& database) {
  RETURN_IF_ERROR(database.Execute(kNothingInFlight));
  return database.Execute("INSERT INTO nothing_in_flight VALUES (" + std::to_string(WallClockMs()) + ")");
}

Status WriteRedisFirst(Database& database, int64_t until_ms) {
  RETURN_IF_ERROR(database.Execute(kRedisFirst));
  return database.Execute("INSERT INTO redis_first VALUES (" + std::to_string(until_ms) + ")");
}

Status Initialize(Database& database, const FoundInFolder& found) {
  RETURN_IF_ERROR(database.Execute(kSchema));
  ASSIGN_OR_RETURN(Statement insert,
                   database.Prepare("INSERT INTO state (reserved_ticket, connections_lost) VALUES (?, ?)"));
  const auto first = StateStore::Content::First(found);
  insert.BindInteger(1, first.reserved_ticket);
  insert.BindInteger(2, first.connections.lost() ? 1 : 0);
  RETURN_IF_ERROR(insert.Run());
  RETURN_IF_ERROR(WriteRedisFirst(database, first.redis_first_until_ms));
  return first.nothing_in_flight ? WriteNothingInFlight(database) : Status();
}

/// Out of the way, but not away. The database first: SQLite deletes a WAL that has none, and never applies it to a new
/// one.
Status SetAside(const std::filesystem::path& path) {
  std::error_code error;
  std::string aside;
  for (int n = 1; aside.empty() || std::filesystem::exists(aside, error); ++n) {
    aside = path.native() + ".broken-" + std::to_string(n);
  }
  std::filesystem::rename(path, aside, error);
  if (error) return Error{ErrorCode::kIo, "cannot set " + path.native() + " aside: " + error.message()};
  for (const char* suffix : {"-wal", "-journal"}) {
    std::filesystem::rename(path.native() + suffix, aside + suffix, error);
    if (error && error != std::errc::no_such_file_or_directory) {
      return Error{ErrorCode::kIo, "cannot set " + path.native() + suffix + " aside: " + error.message()};
    }
  }
  return {};
}

class SqliteState final : public StateStore {
 public:
  /// `found`: it is created where it is missing.
  static Result<std::unique_ptr<SqliteState>> Open(const std::filesystem::path& path, const FoundInFolder* found);
  /// Grows the database and the WAL by writing a filler, and gives its pages back to the database. Two commits: pages
  /// that are given back within the commit that took them are never written, so the disk would not have set them aside.
  /// A process that was killed between the two left its filler.
  Status MakeRoom();

  const Content& content() const override { return content_; }
  Status Write(const Content& next) override;
  Status WriteLanded(std::span<const LandedMark> marks) override;
  Status Close() override;

 private:
  Status Load();
  Result<bool> Has(std::string_view table);
  Status LoadJournalTables();
  Status WriteParts(const Content& next);
  Status WriteConnections(const KnownConnections& next);
  Status WriteTags(const std::vector<uint32_t>& next);
  Status WriteMarks(std::span<const LandedMark> marks);
  /// What becomes of the WAL.
  enum class Wal {
    kEmpty,  // it is moved into the database: what was committed does not rest on it
    kFill,   // it may wait for more: a sync less. For what may be lost
  };
  Status Commit(const std::function<Status()>& change, Wal wal = Wal::kEmpty);

  std::optional<Database> database_;     // nothing once it is closed
  std::optional<Statement> write_mark_;  // prepared when it is first needed
  Content content_;
  bool failed_ = false;  // a COMMIT failed in a way that leaves the file in doubt: nothing may be built on it
};

Result<std::unique_ptr<SqliteState>> SqliteState::Open(const std::filesystem::path& path, const FoundInFolder* found) {
  Database::Options options;
  options.journal = Database::Journal::kWal;
  options.application_id = kApplicationId;
  options.user_version = kStateVersionOfJournals;
  options.created_version = kFormatVersion;
  if (found != nullptr) options.initialize = [found](Database& created) { return Initialize(created, *found); };
  auto state = std::make_unique<SqliteState>();
  ASSIGN_OR_RETURN(state->database_, Database::Open(path, options));
  RETURN_IF_ERROR(state->database_->QuickCheck());
  RETURN_IF_ERROR(state->Load());
  return state;
}

Status SqliteState::Load() {
  ASSIGN_OR_RETURN(Statement state,
                   database_->Prepare("SELECT reserved_ticket, connections_lost, lost_under FROM state"));
  ASSIGN_OR_RETURN(const bool found, state.Step());
  if (!found) return Error{ErrorCode::kCorrupt, "the table state has no row"};
  content_.reserved_ticket = state.Integer(0);
  const bool lost = state.Integer(1) != 0;
  std::optional<std::string> lost_under;
  if (!state.IsNull(2)) lost_under = state.Bytes(2);
  ASSIGN_OR_RETURN(const bool has_nothing_in_flight, Has("nothing_in_flight"));
  if (has_nothing_in_flight) {
    ASSIGN_OR_RETURN(const std::optional<int64_t> row, database_->QueryInteger("SELECT 1 FROM nothing_in_flight"));
    content_.nothing_in_flight = row.has_value();
  }
  ASSIGN_OR_RETURN(Statement row, database_->Prepare("SELECT run_id, client_id FROM connections ORDER BY id"));
  std::vector<ConnectionId> listed;
  while (true) {
    ASSIGN_OR_RETURN(const bool another, row.Step());
    if (!another) break;
    listed.push_back({std::string(row.Bytes(0)), row.Integer(1)});
  }
  // A file of before does not say.
  content_.redis_first_until_ms = listed.empty() && !lost ? 0 : StateFile::kStillGoingOn;
  ASSIGN_OR_RETURN(const bool has_redis_first, Has("redis_first"));
  if (has_redis_first) {
    ASSIGN_OR_RETURN(const std::optional<int64_t> until, database_->QueryInteger("SELECT until_ms FROM redis_first"));
    content_.redis_first_until_ms = until.value_or(0);
  }
  content_.connections = KnownConnections(std::move(listed), lost, std::move(lost_under));
  return LoadJournalTables();
}

Result<bool> SqliteState::Has(std::string_view table) {
  ASSIGN_OR_RETURN(Statement look, database_->Prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"));
  look.BindBytes(1, table);
  return look.Step();
}

Status SqliteState::LoadJournalTables() {
  ASSIGN_OR_RETURN(const bool has_tags, Has("tags"));
  if (!has_tags) return {};
  ASSIGN_OR_RETURN(Statement tag, database_->Prepare("SELECT tag FROM tags ORDER BY drawn"));
  while (true) {
    ASSIGN_OR_RETURN(const bool another, tag.Step());
    if (!another) break;
    const int64_t number = tag.Integer(0);
    if (number < 0 || number > std::numeric_limits<uint32_t>::max())
      return Error{ErrorCode::kCorrupt, std::to_string(number) + " is no tag"};
    content_.tags.push_back(static_cast<uint32_t>(number));
  }
  ASSIGN_OR_RETURN(Statement row, database_->Prepare("SELECT stream, landed, top, run_id, replication_id FROM landed"));
  while (true) {
    ASSIGN_OR_RETURN(const bool another, row.Step());
    if (!another) return {};
    LandedMark mark{std::string(row.Bytes(0)), {}, {}, std::string(row.Bytes(3)), std::string(row.Bytes(4))};
    const std::optional<StreamId> landed = ParseStreamId(row.Bytes(1));
    const std::optional<StreamId> top = ParseStreamId(row.Bytes(2));
    if (!landed || !top)
      return Error{ErrorCode::kCorrupt, "how far " + Escape(mark.stream) + " has landed cannot be read"};
    mark.landed = *landed;
    mark.top = *top;
    std::string stream = mark.stream;
    content_.landed.insert_or_assign(std::move(stream), std::move(mark));
  }
}

Status SqliteState::MakeRoom() {
  ASSIGN_OR_RETURN(const std::optional<int64_t> free_pages, database_->QueryInteger("PRAGMA freelist_count"));
  const int64_t used = static_cast<int64_t>(content_.connections.listed().size()) * kRoomPages /
                       static_cast<int64_t>(KnownConnections::kMost);
  const bool has_pages = free_pages.value_or(0) + used >= kRoomPages / 2;
  if (has_pages && database_->WalBytes() >= kRoomPages * Database::kPageBytes) return {};
  const std::string bytes = std::to_string(kRoomPages * Database::kPageBytes);
  RETURN_IF_ERROR(Commit([&] {
    return database_->Execute(
        "DROP TABLE IF EXISTS filler; CREATE TABLE filler (bytes BLOB) STRICT; INSERT INTO filler VALUES (zeroblob(" +
        bytes + "))");
  }));
  return Commit([&] { return database_->Execute("DROP TABLE filler"); });
}

Status SqliteState::Commit(const std::function<Status()>& change, Wal wal) {
  if (failed_) return Error{ErrorCode::kIo, "an earlier commit failed; restart the program to read the file again"};
  RETURN_IF_ERROR(database_->Begin());
  Status status = change();
  if (!status.ok()) {
    database_->Rollback();
    return status;
  }
  status = database_->Commit();
  const bool is_due = wal == Wal::kEmpty || database_->UncheckpointedBytes() >= kMostInWalBytes;
  if (status.ok() && is_due) status = database_->Checkpoint(Database::WalRoom::kKeep);
  if (!status.ok()) {
    // After a failed sync SQLite would go on upon frames that the disk may not have. A full disk is no such failure.
    failed_ = status.error().code != ErrorCode::kFull;
    database_->Rollback();
  }
  return status;
}

Status SqliteState::Write(const Content& next) {
  RETURN_IF_ERROR(Commit([&] { return WriteParts(next); }));
  content_ = next;
  return {};
}

Status SqliteState::WriteLanded(std::span<const LandedMark> marks) {
  RETURN_IF_ERROR(Commit([&] { return WriteMarks(marks); }, Wal::kFill));
  for (const LandedMark& mark : marks) content_.landed.insert_or_assign(mark.stream, mark);
  return {};
}

Status SqliteState::WriteMarks(std::span<const LandedMark> marks) {
  if (content_.tags.empty()) RETURN_IF_ERROR(database_->Execute(kJournalTables));
  if (!write_mark_) {
    ASSIGN_OR_RETURN(write_mark_, database_->Prepare("INSERT OR REPLACE INTO landed (stream, landed, top, run_id, "
                                                     "replication_id) VALUES (?, ?, ?, ?, ?)"));
  }
  char landed[kMaxStreamIdBytes];
  char top[kMaxStreamIdBytes];
  for (const LandedMark& mark : marks) {
    write_mark_->BindBlob(1, mark.stream);
    write_mark_->BindBytes(2, WriteStreamId(mark.landed, landed));
    write_mark_->BindBytes(3, WriteStreamId(mark.top, top));
    write_mark_->BindBytes(4, mark.run_id);
    write_mark_->BindBytes(5, mark.replication_id);
    RETURN_IF_ERROR(write_mark_->Run());
  }
  return {};
}

Status SqliteState::WriteParts(const Content& next) {
  if (next.nothing_in_flight != content_.nothing_in_flight) {
    RETURN_IF_ERROR(next.nothing_in_flight ? WriteNothingInFlight(*database_)
                                           : database_->Execute("DELETE FROM nothing_in_flight"));
  }
  if (next.redis_first_until_ms != content_.redis_first_until_ms)
    RETURN_IF_ERROR(WriteRedisFirst(*database_, next.redis_first_until_ms));
  RETURN_IF_ERROR(WriteConnections(next.connections));
  RETURN_IF_ERROR(WriteTags(next.tags));
  ASSIGN_OR_RETURN(Statement update,
                   database_->Prepare("UPDATE state SET reserved_ticket = ?, connections_lost = ?, lost_under = ?"));
  update.BindInteger(1, next.reserved_ticket);
  update.BindInteger(2, next.connections.lost() ? 1 : 0);
  if (next.connections.lost_under()) update.BindBytes(3, *next.connections.lost_under());
  return update.Run();
}

/// Those that are gone, and the last one where it is new or has moved there: no other is ever added.
Status SqliteState::WriteConnections(const KnownConnections& next) {
  const std::vector<ConnectionId>& before = content_.connections.listed();
  const std::vector<ConnectionId>& after = next.listed();
  if (before == after) return {};
  const std::set<ConnectionId> kept(after.begin(), after.end());
  ASSIGN_OR_RETURN(Statement strike, database_->Prepare("DELETE FROM connections WHERE run_id = ? AND client_id = ?"));
  for (const ConnectionId& connection : before) {
    if (kept.contains(connection)) continue;
    strike.BindBytes(1, connection.run_id);
    strike.BindInteger(2, connection.client_id);
    RETURN_IF_ERROR(strike.Run());
  }
  if (after.empty() || (!before.empty() && before.back() == after.back())) return {};
  ASSIGN_OR_RETURN(Statement insert,
                   database_->Prepare("INSERT OR REPLACE INTO connections (run_id, client_id) VALUES (?, ?)"));
  insert.BindBytes(1, after.back().run_id);
  insert.BindInteger(2, after.back().client_id);
  return insert.Run();
}

Status SqliteState::WriteTags(const std::vector<uint32_t>& next) {
  const size_t before = content_.tags.size();
  SPROCKETS_ASSERT(next.size() >= before);
  if (next.size() == before) return {};
  RETURN_IF_ERROR(database_->Execute(kJournalTables));
  ASSIGN_OR_RETURN(Statement insert, database_->Prepare("INSERT INTO tags (tag) VALUES (?)"));
  for (const uint32_t tag : std::span(next).subspan(before)) {
    insert.BindInteger(1, tag);
    RETURN_IF_ERROR(insert.Run());
  }
  return {};
}

Status SqliteState::Close() {
  Status status = failed_ ? Status() : database_->Checkpoint(Database::WalRoom::kKeep);
  write_mark_.reset();
  database_.reset();
  return status;
}

}  // namespace

Result<std::unique_ptr<StateStore>> OpenSqliteState(const std::filesystem::path& path, const FoundInFolder& found) {
  const std::string context = "opening " + path.native();
  auto state = SqliteState::Open(path, &found);
  if (!state.ok() && state.error().code == ErrorCode::kCorrupt) {
    if (Status aside = SetAside(path); !aside.ok()) return std::move(aside).Prefixed(context).error();
    // There was an earlier life, whatever else it has left.
    FoundInFolder lost = found;
    lost.folder_has_files = true;
    state = SqliteState::Open(path, &lost);
  }
  if (!state.ok()) return std::move(state).error().Prefixed(context);
  // Without the room, a full disk costs more than it must, but nothing is lost.
  if (Status room = state.value()->MakeRoom(); !room.ok() && room.error().code != ErrorCode::kFull) {
    return std::move(room).Prefixed(context).error();
  }
  return std::unique_ptr<StateStore>(std::move(state).value());
}

Result<std::unique_ptr<StateStore>> OpenExistingSqliteState(const std::filesystem::path& path) {
  auto state = SqliteState::Open(path, nullptr);
  if (!state.ok()) return std::move(state).error().Prefixed("opening " + path.native());
  return std::unique_ptr<StateStore>(std::move(state).value());
}

}  // namespace sprockets
