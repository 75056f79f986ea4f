// Reading rows back, checking them, and the cursor.
#include "shared/spill/sqlite_file.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "shared/spill/catalogue.h"
#include "shared/spill/layout.h"
#include "shared/spill/sqlite.h"

namespace sprockets {
namespace {

// Columns of the statement that reads rows, in the order of kOwnColumns; the stream's fields follow.
enum RowColumn { kTicket, kEventId, kReceivedMs, kAnchor, kConnection, kOptions, kChecksum, kRaw, kFirstField };
static_assert(kFirstField == kOwnColumnCount);

struct StreamTableInfo {
  std::string name;   // of the stream
  std::string table;  // quoted
  std::optional<FieldLayout> layout;
  uint32_t names_checksum = 0;  // of the layout
};

/// What ReadRow found wrong; nothing if the row is good.
using Defect = std::optional<std::string>;

/// Which rows of a table, and in which order.
constexpr std::string_view kAllRows = "ORDER BY _ticket ASC";
constexpr std::string_view kNewestFirst = "ORDER BY _ticket DESC";
constexpr std::string_view kDoubts = "AND _anchor IS NOT NULL ORDER BY _ticket ASC";

std::string SelectRowsSql(const StreamTableInfo& stream, std::string_view which) {
  std::string sql = "SELECT _ticket, _event_id, _received_ms, _anchor, _conn, _options, _checksum, _raw";
  for (size_t i = 0; stream.layout && i < stream.layout->names().size(); ++i) {
    if (i != stream.layout->event_id_at()) sql += ", " + QuoteIdentifier(stream.layout->names()[i]);
  }
  return sql + " FROM " + stream.table + " WHERE _ticket > ?1 AND _ticket <= ?2 " + std::string(which);
}

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

/// Index of the event id's value: of the first field with its name.
size_t FindEventId(const std::vector<std::string_view>& fields, std::string_view event_id_field) {
  for (size_t at = 0; at + 1 < fields.size(); at += 2) {
    if (fields[at] == event_id_field) return at + 1;
  }
  return EventView::kNoEventId;
}

}  // namespace

struct SqliteFile::Impl {
  Status ReadHead();
  Status ReadConnections();
  Result<const StreamTableInfo*> TableOf(int64_t stream_id);
  Result<StreamTableInfo> ReadTable(int64_t stream_id);
  Result<StreamTotals> StoredTotals(const std::string& table);
  Status CompareTotals(bool as_read);
  Status Compare(std::string_view stream, const StreamTotals& expected, const StreamTotals& found) const;
  Result<SpilledStream> ReadStream(const Statement& row);
  Status CountRows(SpilledStream* stream);
  Defect ReadRow(const Statement& row, const StreamTableInfo& table, SpilledEvent* spilled) const;
  Defect ReadFields(const Statement& row, const StreamTableInfo& table, SpilledEvent* spilled) const;
  Defect ReadDoubt(const Statement& row, SpilledEvent* spilled) const;
  Status VisitRows(const SpilledStream& stream, std::string_view which, int64_t after, int64_t up_to,
                   const std::function<bool(const SpilledEvent&)>& visitor,
                   const std::function<void(int64_t, std::string_view)>& on_bad_row);
  Status UpdateCursor(int64_t stream_id, const Cursor& cursor);
  Status InOneCommit(const std::function<Status()>& write);
  Status ReadLedTo();
  bool IsKept(int64_t stream_id, const LedTo& place);
  Status InsertLedTo(int64_t stream_id, const LedTo& place);

  SpillFileInfo info;
  std::optional<Database> database;  // nothing once it is closed
  std::string producer;
  std::string event_id_field;
  int64_t begun_ms = 0;
  std::optional<int> redis_database;
  std::string redis_server;
  bool connections_lost = false;
  bool sealed = false;
  int64_t sealed_streams = 0;
  int64_t drained_ms = 0;
  std::map<int64_t, ConnectionId> connections;   // by row
  std::map<int64_t, StreamTableInfo> tables;     // by stream, as they are asked for
  std::map<int64_t, std::vector<LedTo>> led_to;  // by stream
  struct Reading {
    StreamTotals expected;
    StreamTotals read;  // from the first row on, without a gap
  };
  std::map<int64_t, Reading> readings;  // by stream: what VerifyAsRead left to be compared
};

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
  if (Status read = impl->ReadHead(); !read.ok()) return std::move(read).Prefixed(context).error();
  if (Status read = impl->ReadConnections(); !read.ok()) return std::move(read).Prefixed(context).error();
  if (Status read = impl->ReadLedTo(); !read.ok()) return std::move(read).Prefixed(context).error();
  return SqliteFile(std::move(impl));
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
  ASSIGN_OR_RETURN(const std::optional<int64_t> says_database,
                   database->QueryInteger("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_redis'"));
  if (!says_database) return {};
  ASSIGN_OR_RETURN(const std::optional<int64_t> number, database->QueryInteger("SELECT database FROM _redis"));
  if (number) redis_database = static_cast<int>(*number);
  ASSIGN_OR_RETURN(const std::optional<int64_t> says_server,
                   database->QueryInteger("SELECT 1 FROM pragma_table_info('_redis') WHERE name = 'server'"));
  if (!says_server) return {};
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

Result<StreamTableInfo> SqliteFile::Impl::ReadTable(int64_t stream_id) {
  ASSIGN_OR_RETURN(Statement stream,
                   database->Prepare("SELECT table_name, event_id_at, name FROM _streams WHERE id = ?"));
  stream.BindInteger(1, stream_id);
  ASSIGN_OR_RETURN(const bool found, stream.Step());
  if (!found) return Error{ErrorCode::kNotFound, "there is no stream " + std::to_string(stream_id) + " in this file"};
  StreamTableInfo table;
  table.name = stream.Bytes(2);
  ASSIGN_OR_RETURN(table.table, QuoteTable(stream.Bytes(0)));

  // Not the function of that name, which a stream named pragma_table_info would hide.
  ASSIGN_OR_RETURN(Statement column, database->Prepare("PRAGMA table_info(" + table.table + ")"));
  std::vector<std::string> columns;
  while (true) {
    ASSIGN_OR_RETURN(const bool another, column.Step());
    if (!another) break;
    if (column.Integer(0) >= kOwnColumnCount) columns.emplace_back(column.Bytes(1));
  }
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
  const Status checked = impl_->sealed ? impl_->CompareTotals(false) : impl_->database->QuickCheck();
  return Status(checked).Prefixed(impl_->info.path.native());
}

Status SqliteFile::VerifyAsRead() {
  if (!impl_->sealed) return Verify();
  return impl_->CompareTotals(true).Prefixed(impl_->info.path.native());
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
    const StreamTotals expected{stream.Integer(2), stream.Integer(3), stream.Integer(4), stream.Integer(5)};
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
  return Error{ErrorCode::kCorrupt, "stream " + Escape(stream) + ": " + std::to_string(found.rows) + " of " +
                                        std::to_string(expected.rows) +
                                        " rows are there, or rows have changed since they were written"};
}

Result<StreamTotals> SqliteFile::Impl::StoredTotals(const std::string& table) {
  ASSIGN_OR_RETURN(const std::string quoted, QuoteTable(table));
  ASSIGN_OR_RETURN(Statement row,
                   database->Prepare("SELECT count(*), min(_ticket), max(_ticket), sum(_checksum) FROM " + quoted));
  ASSIGN_OR_RETURN(const bool found, row.Step());
  SPROCKETS_ASSERT(found);
  return StreamTotals{row.Integer(0), row.Integer(1), row.Integer(2), row.Integer(3)};
}

Result<std::vector<SpilledStream>> SqliteFile::Streams() {
  ASSIGN_OR_RETURN(
      Statement row,
      impl_->database->Prepare(
          "SELECT id, name, table_name, tail, rows, last_ticket, done_ticket, open_last_ticket, open_target, "
          "open_anchor, open_run_id, open_breaks, (SELECT count(*) FROM _rejected WHERE stream_id = id) "
          "FROM _streams ORDER BY id"));
  std::vector<SpilledStream> streams;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) return streams;
    auto stream = impl_->ReadStream(row);
    if (!stream.ok()) return std::move(stream).error().Prefixed("stream " + Escape(row.Bytes(1)));
    streams.push_back(std::move(stream).value());
  }
}

Result<SpilledStream> SqliteFile::Impl::ReadStream(const Statement& row) {
  SpilledStream stream;
  stream.id = row.Integer(0);
  stream.name = row.Bytes(1);
  stream.table = row.Bytes(2);
  ASSIGN_OR_RETURN(stream.tail, StreamIdAt(row, 3));
  stream.rows = row.Integer(4);
  stream.last_ticket = row.Integer(5);
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
  const Status counted = CountRows(&stream);
  if (!counted.ok() && !info.quarantined) return counted.error();
  return stream;
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

Status SqliteFile::Visit(const SpilledStream& stream, int64_t after, int64_t up_to,
                         const std::function<bool(const SpilledEvent&)>& visitor,
                         const std::function<void(int64_t, std::string_view)>& on_bad_row) {
  const int64_t last = up_to == 0 ? std::numeric_limits<int64_t>::max() : up_to;
  return impl_->VisitRows(stream, kAllRows, after, last, visitor, on_bad_row);
}

Status SqliteFile::VisitDoubts(const SpilledStream& stream, int64_t after,
                               const std::function<bool(const SpilledEvent&)>& visitor) {
  return impl_->VisitRows(stream, kDoubts, after, std::numeric_limits<int64_t>::max(), visitor, nullptr);
}

Status SqliteFile::VisitNewestFirst(const SpilledStream& stream,
                                    const std::function<bool(const SpilledEvent&)>& visitor) {
  return impl_->VisitRows(stream, kNewestFirst, 0, std::numeric_limits<int64_t>::max(), visitor, nullptr);
}

Status SqliteFile::Impl::VisitRows(const SpilledStream& stream, std::string_view which, int64_t after, int64_t up_to,
                                   const std::function<bool(const SpilledEvent&)>& visitor,
                                   const std::function<void(int64_t, std::string_view)>& on_bad_row) {
  const std::string context = info.path.native() + ": stream " + Escape(stream.name);
  auto table = TableOf(stream.id);
  if (!table.ok()) return std::move(table).error().Prefixed(context);
  auto rows = database->Prepare(SelectRowsSql(*table.value(), which));
  if (!rows.ok()) return std::move(rows).error().Prefixed(context);
  Statement& row = rows.value();
  row.BindInteger(1, after);
  row.BindInteger(2, up_to);
  const auto reading = which == kAllRows ? readings.find(stream.id) : readings.end();
  const bool goes_on = reading != readings.end() && after == reading->second.read.last_ticket;
  SpilledEvent spilled;
  spilled.event.stream = stream.name;
  while (true) {
    auto found = row.Step();
    if (!found.ok()) return std::move(found).error().Prefixed(context);
    if (!found.value()) break;
    const Defect defect = ReadRow(row, *table.value(), &spilled);
    if (!defect) {
      if (goes_on) reading->second.read.Add(spilled.ticket, static_cast<uint32_t>(row.Integer(kChecksum)));
      if (!visitor(spilled)) return {};
    } else if (on_bad_row) {
      on_bad_row(spilled.ticket, *defect);
    } else {
      return Error{ErrorCode::kCorrupt, context + ": row " + std::to_string(spilled.ticket) + ": " + *defect};
    }
  }
  if (reading == readings.end() || up_to != std::numeric_limits<int64_t>::max()) return {};
  const Reading read = readings.extract(reading).mapped();
  if (goes_on) return Compare(stream.name, read.expected, read.read).Prefixed(info.path.native());
  auto stored = StoredTotals(stream.table);
  if (!stored.ok()) return std::move(stored).error().Prefixed(context);
  return Compare(stream.name, read.expected, stored.value()).Prefixed(info.path.native());
}

Defect SqliteFile::Impl::ReadRow(const Statement& row, const StreamTableInfo& table, SpilledEvent* spilled) const {
  spilled->ticket = row.Integer(kTicket);
  spilled->received_ms = row.Integer(kReceivedMs);
  if (Defect defect = ReadDoubt(row, spilled)) return defect;
  EventView& event = spilled->event;
  event.options.clear();
  if (!row.IsNull(kOptions) && !ParseWholeCommand(row.Bytes(kOptions), &event.options))
    return "_options cannot be read";
  if (Defect defect = ReadFields(row, table, spilled)) return defect;
  const Doubt* doubt = spilled->doubt ? &*spilled->doubt : nullptr;
  const uint32_t names = row.IsNull(kRaw) ? table.names_checksum : ChecksumOfNames(event);
  const uint32_t checksum = ChecksumOfRow(names, spilled->ticket, spilled->received_ms, event, doubt);
  if (checksum != row.Integer(kChecksum) || event.event_id() != row.Bytes(kEventId))
    return "its checksum does not match";
  spilled->own_id = IsOwnId(event, producer);
  return std::nullopt;
}

Defect SqliteFile::Impl::ReadDoubt(const Statement& row, SpilledEvent* spilled) const {
  spilled->doubt.reset();
  if (row.IsNull(kAnchor)) return std::nullopt;
  if (row.Bytes(kAnchor) == kRepeatAnchor) {
    spilled->doubt = Doubt{kStreamBegin, std::nullopt, /*needs_proof=*/false};
    return std::nullopt;
  }
  const std::optional<StreamId> anchor = ParseStreamId(row.Bytes(kAnchor));
  if (!anchor) return "_anchor cannot be read";
  spilled->doubt = Doubt{*anchor, std::nullopt};
  if (row.IsNull(kConnection)) return std::nullopt;
  const auto connection = connections.find(row.Integer(kConnection));
  if (connection == connections.end()) return "its connection is not listed";
  spilled->doubt->connection = connection->second;
  return std::nullopt;
}

Defect SqliteFile::Impl::ReadFields(const Statement& row, const StreamTableInfo& table, SpilledEvent* spilled) const {
  EventView& event = spilled->event;
  if (!row.IsNull(kRaw)) {
    if (!ParseWholeCommand(row.Bytes(kRaw), &event.fields) || event.fields.size() % 2 != 0)
      return "_raw cannot be read";
    event.event_id_at = FindEventId(event.fields, event_id_field);
    if (!event.has_event_id()) return "_raw has no event id";
    return std::nullopt;
  }
  if (!table.layout) return "_raw is missing";
  const FieldLayout& layout = *table.layout;
  event.fields.clear();
  event.event_id_at = 2 * layout.event_id_at() + 1;
  int column = kFirstField;
  for (size_t i = 0; i < layout.names().size(); ++i) {
    const int source = i == layout.event_id_at() ? static_cast<int>(kEventId) : column++;
    event.fields.push_back(layout.names()[i]);
    event.fields.push_back(row.Bytes(source));
  }
  return std::nullopt;
}

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

Status SqliteFile::FinishAsSealed() {
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, Streams());
  std::vector<SealedStream> sealed;
  for (const SpilledStream& stream : streams) {
    // Only rows whose bytes match may vouch for the file.
    RETURN_IF_ERROR(Visit(stream, 0, 0, [](const SpilledEvent&) { return true; }));
    ASSIGN_OR_RETURN(const StreamTotals totals, impl_->StoredTotals(stream.table));
    sealed.push_back({stream.id, totals});
  }
  RETURN_IF_ERROR(WriteTotals(*impl_->database, sealed));
  return Close();
}

Status SqliteFile::Close() {
  // Every commit was synced, and its journal deleted, when it returned.
  impl_->database.reset();
  return {};
}

}  // namespace sprockets
