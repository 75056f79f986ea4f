// What the drain writes into a file: the cursor, where rows went, what Redis would not take; and the end of a recovery.
#include <algorithm>
#include <utility>

#include "shared/base/text.h"
#include "shared/spill/sqlite_file_impl.h"

namespace sprockets {
namespace {

/// A file that seems to hold nothing is removed: damaged totals must not make one seem so.
Status CheckNoted(const SpilledStream& stream, const StreamTotals& noted) {
  const bool nothing_noted = noted.rows == 0 && noted.last_ticket == 0;
  const bool possible = noted.rows > 0 && noted.rows <= StreamTotals::kMostRows && noted.last_ticket > 0 &&
                        noted.last_ticket <= stream.last_ticket;
  if (nothing_noted || possible) return {};
  return Error{ErrorCode::kCorrupt, "stream " + Escape(stream.name) + ": its counts cannot be true"};
}

}  // namespace

Status SqliteFile::AddConnection(const ConnectionId& connection) {
  for (const auto& [row, known] : impl_->connections) {
    if (known == connection) return {};
  }
  ASSIGN_OR_RETURN(Statement insert,
                   impl_->database->Prepare("INSERT OR IGNORE INTO _connections (run_id, client_id) VALUES (?, ?)"));
  insert.BindBytes(1, connection.run_id);
  insert.BindInteger(2, connection.client_id);
  RETURN_IF_ERROR(insert.Run());
  return impl_->ReadConnections();
}

Status SqliteFile::Impl::UpdateCursor(int64_t stream_id, const Cursor& cursor) {
  ASSIGN_OR_RETURN(Statement update,
                   database->Prepare("UPDATE _streams SET done_ticket = ?2, open_last_ticket = ?3, open_target = ?4, "
                                     "open_anchor = ?5, open_run_id = ?6, open_breaks = ?7 WHERE id = ?1"));
  std::string anchor;
  update.BindInteger(1, stream_id);
  update.BindInteger(2, cursor.done_ticket);
  if (cursor.open) {  // otherwise the parameters stay null
    anchor = ToString(cursor.open->anchor);
    update.BindInteger(3, cursor.open->last_ticket);
    update.BindBytes(4, cursor.open->target);
    update.BindBytes(5, anchor);
    update.BindBytes(6, cursor.open->run_id);
    update.BindInteger(7, cursor.open->breaks);
  }
  RETURN_IF_ERROR(update.Run());
  if (database->Changes() != 1) {
    return Error{ErrorCode::kNotFound, "there is no stream " + std::to_string(stream_id) + " in this file"};
  }
  return {};
}

bool SqliteFile::Impl::IsKept(int64_t stream_id, const LedTo& place) {
  const std::vector<LedTo>& known = led_to[stream_id];
  return std::any_of(known.begin(), known.end(),
                     [&](const LedTo& other) { return other.target == place.target && other.anchor <= place.anchor; });
}

/// Of two tries the older one counts: its anchor, and its server.
Status SqliteFile::Impl::InsertLedTo(int64_t stream_id, const LedTo& place) {
  RETURN_IF_ERROR(database->Execute(kLedToTable));
  ASSIGN_OR_RETURN(Statement insert,
                   database->Prepare("INSERT INTO _led_to (stream_id, target, anchor, run_id) VALUES (?1, ?2, ?3, ?4) "
                                     "ON CONFLICT DO UPDATE SET anchor = ?3"));
  const std::string anchor = ToString(place.anchor);
  insert.BindInteger(1, stream_id);
  insert.BindBytes(2, place.target);
  insert.BindBytes(3, anchor);
  insert.BindBytes(4, place.run_id);
  return insert.Run();
}

Status SqliteFile::KeepLedTo(int64_t stream_id, const LedTo& place) {
  if (impl_->IsKept(stream_id, place)) return {};
  const auto write = [&] { return impl_->InsertLedTo(stream_id, place); };
  RETURN_IF_ERROR(impl_->InOneCommit(write).Prefixed("saving where rows went in " + impl_->info.path.native()));
  return impl_->ReadLedTo();
}

Status SqliteFile::SaveCursor(int64_t stream_id, const Cursor& cursor) {
  const auto save = [&]() -> Status {
    ASSIGN_OR_RETURN(const StreamTableInfo* table, impl_->TableOf(stream_id));
    const std::optional<LedTo> place = LedElsewhere(cursor, table->name);
    if (!place || impl_->IsKept(stream_id, *place)) return impl_->UpdateCursor(stream_id, cursor);
    const auto write = [&]() -> Status {
      RETURN_IF_ERROR(impl_->InsertLedTo(stream_id, *place));
      return impl_->UpdateCursor(stream_id, cursor);
    };
    RETURN_IF_ERROR(impl_->InOneCommit(write));
    return impl_->ReadLedTo();
  };
  return save().Prefixed("saving the cursor in " + impl_->info.path.native());
}

Status SqliteFile::Reject(int64_t stream_id, int64_t ticket, std::string_view reason, const Cursor& cursor) {
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(
        Statement insert,
        impl_->database->Prepare("INSERT OR REPLACE INTO _rejected (stream_id, ticket, reason) VALUES (?, ?, ?)"));
    insert.BindInteger(1, stream_id);
    insert.BindInteger(2, ticket);
    insert.BindBytes(3, reason);
    RETURN_IF_ERROR(insert.Run());
    return impl_->UpdateCursor(stream_id, cursor);
  };
  return impl_->InOneCommit(write).Prefixed("rejecting a row of " + impl_->info.path.native());
}

Status SqliteFile::Accept(int64_t stream_id, std::span<const int64_t> tickets) {
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(Statement remove,
                     impl_->database->Prepare("DELETE FROM _rejected WHERE stream_id = ? AND ticket = ?"));
    for (const int64_t ticket : tickets) {
      remove.BindInteger(1, stream_id);
      remove.BindInteger(2, ticket);
      RETURN_IF_ERROR(remove.Run());
    }
    return {};
  };
  return impl_->InOneCommit(write).Prefixed("accepting rows of " + impl_->info.path.native());
}

Status SqliteFile::Impl::InOneCommit(const std::function<Status()>& write) {
  RETURN_IF_ERROR(database->Begin());
  Status status = write();
  if (status.ok()) status = database->Commit();
  if (!status.ok()) database->Rollback();
  return status;
}

Status SqliteFile::MarkDrained(int64_t now_ms) {
  ASSIGN_OR_RETURN(Statement update, impl_->database->Prepare("UPDATE _file SET drained_ms = ?"));
  update.BindInteger(1, now_ms);
  RETURN_IF_ERROR(update.Run());
  impl_->drained_ms = now_ms;
  return {};
}

Status SqliteFile::ResetCursors() {
  Status status = impl_->database->Execute(
      "BEGIN IMMEDIATE; UPDATE _file SET drained_ms = 0; UPDATE _streams SET done_ticket = 0, "
      "open_last_ticket = NULL, open_target = NULL, open_anchor = NULL, open_run_id = NULL, open_breaks = NULL; "
      "COMMIT");
  if (status.ok()) {
    impl_->drained_ms = 0;
  } else {
    impl_->database->Rollback();
  }
  return status;
}

Result<int64_t> SqliteFile::FinishAsSealed() {
  ASSIGN_OR_RETURN(std::vector<SealedStream> sealed, impl_->NotedTotals());
  const bool noted = std::any_of(sealed.begin(), sealed.end(), [](const auto& each) { return each.totals.rows > 0; });
  // The writer's totals tell more than SQLite's own check.
  if (!noted) RETURN_IF_ERROR(impl_->database->QuickCheck());
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, UncountedStreams());
  SPROCKETS_ASSERT(streams.size() == sealed.size());
  int64_t rows = 0;
  for (size_t i = 0; i < streams.size(); ++i) {
    StreamTotals& totals = sealed[i].totals;
    RETURN_IF_ERROR(CheckNoted(streams[i], totals));
    // Only rows whose bytes match may vouch for the file.
    RETURN_IF_ERROR(Visit(streams[i], totals.last_ticket, 0, [](const SpilledEvent&) { return true; }));
    ASSIGN_OR_RETURN(const StreamTotals later, impl_->StoredTotals(streams[i].table, totals.last_ticket));
    ASSIGN_OR_RETURN(const int64_t listed, impl_->ListedMoves(streams[i].id, totals.last_ticket));
    if (later.moved != listed) return Impl::MovesDiffer(streams[i].name, later.moved, listed);
    totals.Add(later);
    rows += totals.rows;
  }
  RETURN_IF_ERROR(impl_->CompareMoves());
  if (rows > 0) RETURN_IF_ERROR(WriteTotals(*impl_->database, sealed));
  RETURN_IF_ERROR(Close());
  return rows;
}

/// What the file's writer has noted of each stream, in the order of Streams. Where it was killed before it noted
/// anything, nothing.
Result<std::vector<SealedStream>> SqliteFile::Impl::NotedTotals() {
  ASSIGN_OR_RETURN(Statement stream,
                   database->Prepare("SELECT id, rows, first_ticket, last_ticket, checksum FROM _streams ORDER BY id"));
  std::vector<SealedStream> noted;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, stream.Step());
    if (!found) return noted;
    noted.push_back({stream.Integer(0), {stream.Integer(1), stream.Integer(2), stream.Integer(3), stream.Integer(4)}});
  }
}

Status SqliteFile::Close() {
  // Every commit was synced, and its journal deleted, when it returned.
  impl_->database.reset();
  return {};
}

}  // namespace sprockets
