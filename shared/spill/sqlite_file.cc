// What a file says of itself: its head, its streams, and whether all of its rows are there.
#include "shared/spill/sqlite_file.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "shared/base/text.h"
#include "shared/spill/sqlite_file_impl.h"

namespace sprockets {
namespace {

Result<StreamId> StreamIdAt(const Statement& statement, int column) {
  const std::optional<StreamId> id = ParseStreamId(statement.Bytes(column));
  if (!id) return Error{ErrorCode::kCorrupt, "not an entry id: " + Escape(statement.Bytes(column))};
  return *id;
}

/// A name out of the catalogue, which may be damaged.
Result<std::string> QuoteTable(std::string_view table) {
  if (table.find('\0') == std::string_view::npos) return QuoteIdentifier(table);
  return Error{ErrorCode::kCorrupt, "not a table name: " + Escape(table)};
}

}  // namespace

SqliteFile::SqliteFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteFile::SqliteFile(SqliteFile&&) noexcept = default;
SqliteFile& SqliteFile::operator=(SqliteFile&&) noexcept = default;
SqliteFile::~SqliteFile() = default;

const SpillFileInfo& SqliteFile::info() const {
  return impl_->info;
}
const std::string& SqliteFile::producer() const {
  return impl_->producer;
}
const std::string& SqliteFile::event_id_field() const {
  return impl_->event_id_field;
}
int64_t SqliteFile::begun_ms() const {
  return impl_->begun_ms;
}
std::optional<int> SqliteFile::database() const {
  return impl_->redis_database;
}
const std::string& SqliteFile::server() const {
  return impl_->redis_server;
}
bool SqliteFile::connections_lost() const {
  return impl_->connections_lost;
}
bool SqliteFile::names_entries() const {
  return impl_->names_entries;
}
const std::string& SqliteFile::wal_damage() const {
  return impl_->database->wal_damage();
}
int64_t SqliteFile::drained_ms() const {
  return impl_->drained_ms;
}

Result<SqliteFile> SqliteFile::Open(const SpillFileInfo& file) {
  const std::string context = "opening spill file " + file.path.native();
  auto impl = std::make_unique<Impl>();
  impl->info = file;
  Database::Options options = SpillDatabaseOptions();
  options.journal = Database::Journal::kDelete;
  options.accept_damaged_wal = file.quarantined;
  auto database = Database::Open(file.path, options);
  if (!database.ok()) return std::move(database).error().Prefixed(context);
  impl->database = std::move(database).value();
  if (Status read = impl->ReadCatalogue(); !read.ok()) return std::move(read).Prefixed(context).error();
  return SqliteFile(std::move(impl));
}

/// In one transaction: each costs SQLite eight system calls, and there may be thousands of files.
Status SqliteFile::Impl::ReadCatalogue() {
  RETURN_IF_ERROR(database->Execute("BEGIN"));
  RETURN_IF_ERROR(ReadHead());
  RETURN_IF_ERROR(ReadConnections());
  RETURN_IF_ERROR(ReadLedTo());
  return database->Execute("COMMIT");
}

Status SqliteFile::Impl::ReadHead() {
  ASSIGN_OR_RETURN(Statement row,
                   database->Prepare("SELECT producer, event_id_field, begun_ms, connections_lost, rows IS NOT "
                                     "NULL, streams, drained_ms FROM _file"));
  ASSIGN_OR_RETURN(const bool found, row.Step());
  if (!found) return Error{ErrorCode::kCorrupt, "it does not say what it is (_file has no row)"};
  producer = row.Bytes(0);
  event_id_field = row.Bytes(1);
  begun_ms = row.Integer(2);
  connections_lost = row.Integer(3) != 0;
  sealed = row.Integer(4) != 0;
  sealed_streams = row.Integer(5);
  drained_ms = row.Integer(6);
  // Rather than the version: this is what its rows are read by.
  ASSIGN_OR_RETURN(const std::optional<int64_t> lists_moves,
                   database->QueryInteger("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_moves'"));
  names_entries = lists_moves.has_value();
  ASSIGN_OR_RETURN(const std::optional<int64_t> says_database,
                   database->QueryInteger("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_redis'"));
  if (!says_database) return {};
  ASSIGN_OR_RETURN(const std::optional<int64_t> number, database->QueryInteger("SELECT database FROM _redis"));
  if (number) redis_database = static_cast<int>(*number);
  ASSIGN_OR_RETURN(const std::vector<std::string> columns, ColumnsOf("_redis"));
  if (std::find(columns.begin(), columns.end(), "server") == columns.end()) return {};
  ASSIGN_OR_RETURN(Statement server, database->Prepare("SELECT server FROM _redis"));
  ASSIGN_OR_RETURN(const bool says, server.Step());
  if (says) redis_server = server.Bytes(0);
  return {};
}

Status SqliteFile::Impl::ReadConnections() {
  connections.clear();
  ASSIGN_OR_RETURN(Statement row, database->Prepare("SELECT id, run_id, client_id FROM _connections"));
  while (true) {
    ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) return {};
    connections[row.Integer(0)] = {std::string(row.Bytes(1)), row.Integer(2)};
  }
}

Result<std::vector<ConnectionId>> SqliteFile::Connections() {
  RETURN_IF_ERROR(impl_->ReadConnections());
  std::vector<ConnectionId> connections;
  for (const auto& [row, connection] : impl_->connections) connections.push_back(connection);
  return connections;
}

Result<const StreamTableInfo*> SqliteFile::Impl::TableOf(int64_t stream_id) {
  auto known = tables.find(stream_id);
  if (known == tables.end()) {
    ASSIGN_OR_RETURN(StreamTableInfo table, ReadTable(stream_id));
    known = tables.emplace(stream_id, std::move(table)).first;
  }
  return &known->second;
}

/// In their order; `table` is quoted. Not by the function of that name, which a stream named pragma_table_info hides.
Result<std::vector<std::string>> SqliteFile::Impl::ColumnsOf(const std::string& table) {
  ASSIGN_OR_RETURN(Statement column, database->Prepare("PRAGMA table_info(" + table + ")"));
  std::vector<std::string> columns;
  while (true) {
    ASSIGN_OR_RETURN(const bool another, column.Step());
    if (!another) return columns;
    columns.emplace_back(column.Bytes(1));
  }
}

Result<StreamTableInfo> SqliteFile::Impl::ReadTable(int64_t stream_id) {
  ASSIGN_OR_RETURN(Statement stream,
                   database->Prepare("SELECT table_name, event_id_at, name FROM _streams WHERE id = ?"));
  stream.BindInteger(1, stream_id);
  ASSIGN_OR_RETURN(const bool found, stream.Step());
  if (!found) return Error{ErrorCode::kNotFound, "there is no stream " + std::to_string(stream_id) + " in this file"};
  StreamTableInfo table;
  table.name = stream.Bytes(2);
  ASSIGN_OR_RETURN(table.table, QuoteTable(stream.Bytes(0)));

  ASSIGN_OR_RETURN(std::vector<std::string> columns, ColumnsOf(table.table));
  const ptrdiff_t own = names_entries ? kJournalColumnCount : kOwnColumnCount;
  columns.erase(columns.begin(), columns.begin() + std::min(own, std::ssize(columns)));
  if (stream.IsNull(1)) return table;
  const int64_t event_id_at = stream.Integer(1);
  if (event_id_at < 0 || event_id_at > static_cast<int64_t>(columns.size())) {
    return Error{ErrorCode::kCorrupt, "table " + table.table + " has lost columns"};
  }
  table.layout.emplace(std::move(columns), event_id_field, static_cast<size_t>(event_id_at));
  table.names_checksum = ChecksumOfNames(stream.Bytes(2), *table.layout);
  return table;
}

Status SqliteFile::Verify() {
  // The catalogue's counts and sums tell more than SQLite's own check, which would read the whole file once more.
  Status checked = impl_->sealed ? impl_->CompareTotals(false) : impl_->database->QuickCheck();
  if (checked.ok()) checked = impl_->CompareMoves();
  return std::move(checked).Prefixed(impl_->info.path.native());
}

Status SqliteFile::VerifyAsRead() {
  if (!impl_->sealed) return Verify();
  Status checked = impl_->CompareTotals(true);
  if (checked.ok()) checked = impl_->CompareMoves();
  return std::move(checked).Prefixed(impl_->info.path.native());
}

Status SqliteFile::Impl::CompareTotals(bool as_read) {
  ASSIGN_OR_RETURN(Statement stream,
                   database->Prepare("SELECT name, table_name, rows, first_ticket, last_ticket, checksum, id, "
                                     "done_ticket = 0 AND open_last_ticket IS NULL FROM _streams"));
  int64_t streams = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, stream.Step());
    if (!found) break;
    ++streams;
    StreamTotals expected{stream.Integer(2), stream.Integer(3), stream.Integer(4), stream.Integer(5)};
    ASSIGN_OR_RETURN(expected.moved, ListedMoves(stream.Integer(6)));
    const bool untouched = stream.Integer(7) != 0;
    if (as_read && untouched && expected.rows > 0) {
      readings[stream.Integer(6)] = {expected, {}};
      continue;
    }
    auto stored = StoredTotals(std::string(stream.Bytes(1)));
    if (!stored.ok()) return std::move(stored).error().Prefixed("stream " + Escape(stream.Bytes(0)));
    RETURN_IF_ERROR(Compare(stream.Bytes(0), expected, stored.value()));
  }
  if (streams == sealed_streams) return {};
  return Error{ErrorCode::kCorrupt,
               std::to_string(streams) + " of " + std::to_string(sealed_streams) + " streams are in the catalogue"};
}

Status SqliteFile::Impl::Compare(std::string_view stream, const StreamTotals& expected,
                                 const StreamTotals& found) const {
  if (found == expected) return {};
  if (found.moved != expected.moved) return MovesDiffer(stream, found.moved, expected.moved);
  return Error{ErrorCode::kCorrupt, "stream " + Escape(stream) + ": " + std::to_string(found.rows) + " of " +
                                        std::to_string(expected.rows) +
                                        " rows are there, or rows have changed since they were written"};
}

Result<StreamTotals> SqliteFile::Impl::StoredTotals(const std::string& table, int64_t after) {
  ASSIGN_OR_RETURN(const std::string quoted, QuoteTable(table));
  const std::string where = after == 0 ? "" : " WHERE _ticket > " + std::to_string(after);
  const std::string moved = names_entries ? "count(_origin)" : "0";
  ASSIGN_OR_RETURN(Statement row, database->Prepare("SELECT count(*), min(_ticket), max(_ticket), sum(_checksum), " +
                                                    moved + " FROM " + quoted + where));
  ASSIGN_OR_RETURN(const bool found, row.Step());
  SPROCKETS_ASSERT(found);
  return StreamTotals{row.Integer(0), row.Integer(1), row.Integer(2), row.Integer(3), row.Integer(4)};
}

Result<std::vector<SpilledStream>> SqliteFile::Streams() {
  return impl_->ReadStreams(/*counted=*/true);
}

Result<std::vector<SpilledStream>> SqliteFile::UncountedStreams() {
  return impl_->ReadStreams(/*counted=*/false);
}

Result<std::vector<SpilledStream>> SqliteFile::Impl::ReadStreams(bool counted) {
  ASSIGN_OR_RETURN(
      Statement row,
      database->Prepare(
          "SELECT id, name, table_name, tail, rows, last_ticket, done_ticket, open_last_ticket, open_target, "
          "open_anchor, open_run_id, open_breaks, (SELECT count(*) FROM _rejected WHERE stream_id = id) "
          "FROM _streams ORDER BY id"));
  std::vector<SpilledStream> streams;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) return streams;
    auto stream = ReadStream(row, counted);
    if (!stream.ok()) return std::move(stream).error().Prefixed("stream " + Escape(row.Bytes(1)));
    streams.push_back(std::move(stream).value());
  }
}

Result<SpilledStream> SqliteFile::Impl::ReadStream(const Statement& row, bool counted) {
  SpilledStream stream;
  stream.id = row.Integer(0);
  stream.name = row.Bytes(1);
  stream.table = row.Bytes(2);
  ASSIGN_OR_RETURN(stream.tail, StreamIdAt(row, 3));
  if (sealed) stream.last_ticket = row.Integer(5);
  if (sealed && counted) stream.rows = row.Integer(4);
  stream.cursor.done_ticket = row.Integer(6);
  if (!row.IsNull(7)) {
    Cursor::OpenRange open;
    open.last_ticket = row.Integer(7);
    open.target = row.Bytes(8);
    ASSIGN_OR_RETURN(open.anchor, StreamIdAt(row, 9));
    open.run_id = row.Bytes(10);
    open.breaks = row.Integer(11);
    stream.cursor.open = std::move(open);
  }
  if (const auto known = led_to.find(stream.id); known != led_to.end()) stream.led_to = known->second;
  stream.rejected = row.Integer(12);
  const Status read = counted ? CountRows(&stream) : ReadLastTicket(&stream);
  if (!read.ok() && !info.quarantined) return read.error();
  return stream;
}

Status SqliteFile::Impl::ReadLastTicket(SpilledStream* stream) {
  if (sealed) return {};
  ASSIGN_OR_RETURN(const std::string quoted, QuoteTable(stream->table));
  ASSIGN_OR_RETURN(const std::optional<int64_t> last, database->QueryInteger("SELECT max(_ticket) FROM " + quoted));
  stream->last_ticket = last.value_or(0);
  return {};
}

/// A sealed file knows how many rows it has; what is left of a half drained one must be counted always.
Status SqliteFile::Impl::CountRows(SpilledStream* stream) {
  if (!sealed) {
    ASSIGN_OR_RETURN(const StreamTotals stored, StoredTotals(stream->table));
    stream->rows = stored.rows;
    stream->last_ticket = stored.last_ticket;
  }
  const int64_t done = stream->cursor.done_ticket;
  if (done == 0) {
    stream->rows_left = stream->rows;
  } else if (done < stream->last_ticket) {
    ASSIGN_OR_RETURN(const std::string quoted, QuoteTable(stream->table));
    ASSIGN_OR_RETURN(
        const std::optional<int64_t> left,
        database->QueryInteger("SELECT count(*) FROM " + quoted + " WHERE _ticket > " + std::to_string(done)));
    stream->rows_left = left.value_or(0);
  }
  return {};
}

Status SqliteFile::Impl::ReadLedTo() {
  led_to.clear();
  ASSIGN_OR_RETURN(const std::optional<int64_t> is_there,
                   database->QueryInteger("SELECT count(*) FROM sqlite_schema WHERE name = '_led_to'"));
  if (is_there.value_or(0) == 0) return {};
  ASSIGN_OR_RETURN(Statement row, database->Prepare("SELECT stream_id, target, anchor, run_id FROM _led_to"));
  while (true) {
    ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) return {};
    ASSIGN_OR_RETURN(const StreamId anchor, StreamIdAt(row, 2));
    led_to[row.Integer(0)].push_back({std::string(row.Bytes(1)), anchor, std::string(row.Bytes(3))});
  }
}

Result<std::vector<std::pair<std::string, std::string>>> SqliteFile::RenamedStreams() {
  std::vector<std::pair<std::string, std::string>> renamed;
  for (const auto& [stream_id, places] : impl_->led_to) {
    ASSIGN_OR_RETURN(const StreamTableInfo* table, impl_->TableOf(stream_id));
    for (const LedTo& place : places) {
      if (place.target != table->name) renamed.emplace_back(table->name, place.target);
    }
  }
  return renamed;
}

Result<std::vector<SqliteFile::Rejected>> SqliteFile::RejectedRows() {
  ASSIGN_OR_RETURN(Statement row, impl_->database->Prepare(
                                      "SELECT stream_id, ticket, reason FROM _rejected ORDER BY stream_id, ticket"));
  std::vector<Rejected> rejected;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) return rejected;
    rejected.push_back({row.Integer(0), row.Integer(1), std::string(row.Bytes(2))});
  }
}

}  // namespace sprockets
