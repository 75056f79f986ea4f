// Connections and tickets, on disk before they are used. The thread that holds the folder's lock.
//
// A full disk must not keep a new connection from being written down. So the file is made with free pages for a full
// list, and its WAL, once that long, is never truncated but written again from its beginning: the commits here need no
// new blocks, as far as the file system overwrites in place (a copy-on-write one does not; then a connection that
// cannot be written down carries no events, and they are spilled).
#include "shared/spill/state_file.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "shared/base/clock.h"
#include "shared/spill/sqlite.h"

namespace sprockets {
namespace {

constexpr int32_t kApplicationId = 0x53505253;  // "SPRS"
constexpr int32_t kFormatVersion = 1;
constexpr int64_t kTicketBlock = 100'000;
constexpr size_t kMaxConnections = 4096;
constexpr int64_t kRoomPages = 256;  // for kMaxConnections rows and their index, twice over

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

Status WriteNothingInFlight(Database& database) {
  RETURN_IF_ERROR(database.Execute(kNothingInFlight));
  return database.Execute("INSERT INTO nothing_in_flight VALUES (" + std::to_string(WallClockMs()) + ")");
}

Status Initialize(Database& database, const StateFile::Found& found) {
  RETURN_IF_ERROR(database.Execute(kSchema));
  ASSIGN_OR_RETURN(Statement insert,
                   database.Prepare("INSERT INTO state (reserved_ticket, connections_lost) VALUES (?, ?)"));
  insert.BindInteger(1, found.highest_ticket);
  insert.BindInteger(2, found.folder_has_files ? 1 : 0);
  RETURN_IF_ERROR(insert.Run());
  if (found.folder_has_files) return {};
  return WriteNothingInFlight(database);
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

}  // namespace

struct StateFile::Impl {
  /// What is on disk beside the tickets.
  struct Known {
    std::vector<ConnectionId> connections;
    bool lost = false;
    std::optional<std::string> lost_under;
  };

  static Result<std::unique_ptr<Impl>> Open(const std::filesystem::path& path, const Found* found);
  Status Load();
  Status MakeRoom();
  Status Write(const Known& next, std::span<const ConnectionId> gone, const ConnectionId* added);
  Status Commit(const std::function<Status()>& change);

  std::optional<Database> database;  // nothing once it is closed
  Known known;
  bool nothing_was_in_flight = false;  // as it was opened
  bool noted = false;                  // NoteNothingInFlight, and it still holds
  bool recorded = false;               // a connection, since it was opened: it fences what earlier ones had in flight
  int64_t next_ticket = 1;
  int64_t reserved_ticket = 0;
  bool failed = false;  // a COMMIT failed in a way that leaves the file in doubt: nothing may be built on it
};

StateFile::StateFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StateFile::StateFile(StateFile&&) noexcept = default;
StateFile& StateFile::operator=(StateFile&&) noexcept = default;
StateFile::~StateFile() = default;

Result<StateFile> StateFile::Open(const SpillFolder& folder, const Found& found) {
  const std::filesystem::path path = folder.StatePath();
  const std::string context = "opening " + path.native();
  auto impl = Impl::Open(path, &found);
  if (!impl.ok() && impl.error().code == ErrorCode::kCorrupt) {
    if (Status aside = SetAside(path); !aside.ok()) return std::move(aside).Prefixed(context).error();
    impl = Impl::Open(path, &found);
  }
  if (!impl.ok()) return std::move(impl).error().Prefixed(context);
  StateFile file(std::move(impl).value());
  file.impl_->next_ticket = std::max(file.impl_->reserved_ticket, found.highest_ticket) + 1;
  // Without the room, a full disk costs more than it must, but nothing is lost.
  if (Status room = file.impl_->MakeRoom(); !room.ok() && room.error().code != ErrorCode::kFull) {
    return std::move(room).Prefixed(context).error();
  }
  if (Status synced = folder.Sync(); !synced.ok()) return std::move(synced).error();
  return file;
}

Result<StateFile> StateFile::OpenExisting(const SpillFolder& folder) {
  auto impl = Impl::Open(folder.StatePath(), nullptr);
  if (!impl.ok()) return std::move(impl).error().Prefixed("opening " + folder.StatePath().native());
  StateFile file(std::move(impl).value());
  file.impl_->next_ticket = file.impl_->reserved_ticket + 1;
  return file;
}

Result<std::unique_ptr<StateFile::Impl>> StateFile::Impl::Open(const std::filesystem::path& path, const Found* found) {
  Database::Options options;
  options.journal = Database::Journal::kWal;
  options.application_id = kApplicationId;
  options.user_version = kFormatVersion;
  if (found != nullptr) options.initialize = [found](Database& created) { return Initialize(created, *found); };
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->database, Database::Open(path, options));
  RETURN_IF_ERROR(impl->database->QuickCheck());
  RETURN_IF_ERROR(impl->Load());
  return impl;
}

Status StateFile::Impl::Load() {
  ASSIGN_OR_RETURN(Statement state,
                   database->Prepare("SELECT reserved_ticket, connections_lost, lost_under FROM state"));
  ASSIGN_OR_RETURN(const bool found, state.Step());
  if (!found) return Error{ErrorCode::kCorrupt, "the table state has no row"};
  reserved_ticket = state.Integer(0);
  known.lost = state.Integer(1) != 0;
  if (!state.IsNull(2)) known.lost_under = state.Bytes(2);
  ASSIGN_OR_RETURN(
      const std::optional<int64_t> has_table,
      database->QueryInteger("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'nothing_in_flight'"));
  if (has_table) {
    ASSIGN_OR_RETURN(const std::optional<int64_t> row, database->QueryInteger("SELECT 1 FROM nothing_in_flight"));
    nothing_was_in_flight = noted = row.has_value();
  }
  ASSIGN_OR_RETURN(Statement row, database->Prepare("SELECT run_id, client_id FROM connections ORDER BY id"));
  while (true) {
    ASSIGN_OR_RETURN(const bool another, row.Step());
    if (!another) return {};
    known.connections.push_back({std::string(row.Bytes(0)), row.Integer(1)});
  }
}

/// Grows the database and the WAL by writing a filler, and gives its pages back to the database. Two commits: pages
/// that are given back within the commit that took them are never written, so the disk would not have set them aside.
/// A process that was killed between the two left its filler.
Status StateFile::Impl::MakeRoom() {
  ASSIGN_OR_RETURN(const std::optional<int64_t> free_pages, database->QueryInteger("PRAGMA freelist_count"));
  const int64_t used =
      static_cast<int64_t>(known.connections.size()) * kRoomPages / static_cast<int64_t>(kMaxConnections);
  const bool has_pages = free_pages.value_or(0) + used >= kRoomPages / 2;
  if (has_pages && database->WalBytes() >= kRoomPages * Database::kPageBytes) return {};
  const std::string bytes = std::to_string(kRoomPages * Database::kPageBytes);
  RETURN_IF_ERROR(Commit([&] {
    return database->Execute(
        "DROP TABLE IF EXISTS filler; CREATE TABLE filler (bytes BLOB) STRICT; INSERT INTO filler VALUES (zeroblob(" +
        bytes + "))");
  }));
  return Commit([&] { return database->Execute("DROP TABLE filler"); });
}

Status StateFile::Impl::Commit(const std::function<Status()>& change) {
  if (failed) return Error{ErrorCode::kIo, "an earlier commit failed; restart the program to read the file again"};
  RETURN_IF_ERROR(database->Begin());
  Status status = change();
  if (!status.ok()) {
    database->Rollback();
    return status;
  }
  status = database->Commit();
  if (status.ok()) status = database->Checkpoint(Database::WalRoom::kKeep);
  if (!status.ok()) {
    // After a failed sync SQLite would go on upon frames that the disk may not have. A full disk is no such failure.
    failed = status.error().code != ErrorCode::kFull;
    database->Rollback();
  }
  return status;
}

const std::vector<ConnectionId>& StateFile::connections() const {
  return impl_->known.connections;
}
bool StateFile::connections_lost() const {
  return impl_->known.lost;
}
bool StateFile::nothing_was_in_flight() const {
  return impl_->nothing_was_in_flight;
}

Status StateFile::Record(const ConnectionId& live, std::span<const ConnectionId> dead) {
  Impl::Known next = impl_->known;
  std::vector<ConnectionId> gone(dead.begin(), dead.end());
  for (const ConnectionId& connection : gone) std::erase(next.connections, connection);
  std::erase(next.connections, live);  // it moves to the end
  // A connection that was made while INFO was forbidden belongs to a life that nobody can name, so no fence reaches it:
  // it counts as lost, and that heals when the server's life is another one.
  const auto nameless = [](const ConnectionId& connection) { return connection.run_id.empty(); };
  if (!live.run_id.empty() && std::any_of(next.connections.begin(), next.connections.end(), nameless)) {
    std::copy_if(next.connections.begin(), next.connections.end(), std::back_inserter(gone), nameless);
    std::erase_if(next.connections, nameless);
    next.lost = true;
    next.lost_under = live.run_id;
  }
  next.connections.push_back(live);

  if (next.lost && next.lost_under && *next.lost_under != live.run_id) {
    next.lost = false;
    next.lost_under.reset();
  }
  if (next.connections.size() > kMaxConnections) {
    gone.push_back(next.connections.front());
    next.connections.erase(next.connections.begin());
    next.lost = true;
    next.lost_under = live.run_id;
  }
  if (next.lost && !next.lost_under) next.lost_under = live.run_id;
  RETURN_IF_ERROR(impl_->Write(next, gone, &live).Prefixed("saving a connection's id"));
  impl_->known = std::move(next);
  return {};
}

Status StateFile::Strike(std::span<const ConnectionId> dead) {
  Impl::Known next = impl_->known;
  for (const ConnectionId& connection : dead) std::erase(next.connections, connection);
  RETURN_IF_ERROR(impl_->Write(next, dead, nullptr).Prefixed("removing connections"));
  impl_->known = std::move(next);
  return {};
}

Status StateFile::Impl::Write(const Known& next, std::span<const ConnectionId> gone, const ConnectionId* added) {
  Status committed = Commit([&]() -> Status {
    if (added != nullptr && noted) RETURN_IF_ERROR(database->Execute("DELETE FROM nothing_in_flight"));
    ASSIGN_OR_RETURN(Statement strike, database->Prepare("DELETE FROM connections WHERE run_id = ? AND client_id = ?"));
    for (const ConnectionId& connection : gone) {
      strike.BindBytes(1, connection.run_id);
      strike.BindInteger(2, connection.client_id);
      RETURN_IF_ERROR(strike.Run());
    }
    if (added != nullptr) {
      ASSIGN_OR_RETURN(Statement insert,
                       database->Prepare("INSERT OR REPLACE INTO connections (run_id, client_id) VALUES (?, ?)"));
      insert.BindBytes(1, added->run_id);
      insert.BindInteger(2, added->client_id);
      RETURN_IF_ERROR(insert.Run());
    }
    ASSIGN_OR_RETURN(Statement update, database->Prepare("UPDATE state SET connections_lost = ?, lost_under = ?"));
    update.BindInteger(1, next.lost ? 1 : 0);
    if (next.lost_under) update.BindBytes(2, *next.lost_under);
    return update.Run();
  });
  if (committed.ok() && added != nullptr) {
    noted = false;
    recorded = true;
  }
  return committed;
}

int64_t StateFile::highest_ticket() const {
  return impl_->next_ticket - 1;
}

Result<int64_t> StateFile::NextTicket() {
  if (impl_->next_ticket > impl_->reserved_ticket) {
    const int64_t reserved = impl_->next_ticket + kTicketBlock - 1;
    Status committed = impl_->Commit(
        [&] { return impl_->database->Execute("UPDATE state SET reserved_ticket = " + std::to_string(reserved)); });
    if (!committed.ok()) return std::move(committed).Prefixed("reserving tickets").error();
    impl_->reserved_ticket = reserved;
  }
  return impl_->next_ticket++;
}

Status StateFile::NoteNothingInFlight() {
  if (impl_->noted || !(impl_->nothing_was_in_flight || impl_->recorded)) return {};
  RETURN_IF_ERROR(impl_->Commit([this] { return WriteNothingInFlight(*impl_->database); })
                      .Prefixed("saving that nothing is in flight"));
  impl_->noted = true;
  return {};
}

Status StateFile::Close() {
  Status status = impl_->failed ? Status() : impl_->database->Checkpoint(Database::WalRoom::kKeep);
  impl_->database.reset();
  return status;
}

}  // namespace sprockets
