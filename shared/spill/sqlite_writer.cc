// The hot path is Append: two cached statements a stream, values bound as views, no
// allocation a row. One thread.
#include "shared/spill/sqlite_writer.h"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "shared/base/text.h"
#include "shared/spill/catalogue.h"
#include "shared/spill/layout.h"
#include "shared/spill/schema.h"
#include "shared/spill/sqlite.h"

namespace sprockets {
namespace {

constexpr int64_t kCheckpointAtBytes = 4 * 1024 * 1024;

std::string CreateTableSql(const std::string& table, const std::optional<FieldLayout>& layout) {
  std::string sql = "CREATE TABLE " + QuoteIdentifier(table) + " (" + std::string(kOwnColumns);
  for (size_t i = 0; layout && i < layout->names().size(); ++i) {
    if (i != layout->event_id_at()) sql += ", " + QuoteIdentifier(layout->names()[i]) + " ANY";
  }
  return sql + ") STRICT";
}

// Parameters 1 to 7 of both statements; the fields, or _raw, follow.
constexpr std::string_view kInsertedColumns = "_ticket, _event_id, _received_ms, _anchor, _conn, _options, _checksum";
constexpr int kFirstFieldParameter = 8;

std::string InsertColumnsSql(const std::string& table, const FieldLayout& layout) {
  std::string columns(kInsertedColumns);
  std::string parameters = "?, ?, ?, ?, ?, ?, ?";
  for (size_t i = 0; i < layout.names().size(); ++i) {
    if (i == layout.event_id_at()) continue;
    columns += ", " + QuoteIdentifier(layout.names()[i]);
    parameters += ", ?";
  }
  return "INSERT INTO " + QuoteIdentifier(table) + " (" + columns + ") VALUES (" + parameters + ")";
}

std::string InsertRawSql(const std::string& table) {
  return "INSERT INTO " + QuoteIdentifier(table) + " (" + std::string(kInsertedColumns) +
         ", _raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
}

Status InitializeFile(Database& database, const SqliteWriter::Options& options) {
  RETURN_IF_ERROR(database.Execute(kSpillSchema));
  ASSIGN_OR_RETURN(Statement insert,
                   database.Prepare("INSERT INTO _file (number, producer, event_id_field, begun_ms, connections_lost) "
                                    "VALUES (?, ?, ?, ?, ?)"));
  insert.BindInteger(1, options.number);
  insert.BindBytes(2, options.producer);
  insert.BindBytes(3, options.event_id_field);
  insert.BindInteger(4, options.begun_ms);
  insert.BindInteger(5, options.connections_lost ? 1 : 0);
  RETURN_IF_ERROR(insert.Run());
  if (!options.database) return {};
  RETURN_IF_ERROR(
      database.Execute("CREATE TABLE _redis (database INTEGER NOT NULL, server TEXT NOT NULL DEFAULT '') STRICT"));
  ASSIGN_OR_RETURN(Statement redis, database.Prepare("INSERT INTO _redis (database, server) VALUES (?, ?)"));
  redis.BindInteger(1, *options.database);
  redis.BindBytes(2, options.server);
  return redis.Run();
}

}  // namespace

struct SqliteWriter::Impl {
  struct TransparentHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  /// A stream's table, and what was added to it.
  struct StreamTable {
    int64_t id = 0;
    std::string folded_table;
    std::optional<FieldLayout> layout;
    uint32_t names_checksum = 0;  // of the layout
    Statement insert_columns;
    Statement insert_raw;
    StreamTotals totals;     // the open transaction's rows included
    StreamTotals committed;  // what totals go back to
    bool touched = false;    // by the open transaction
  };

  Status Start(const DiskFolder& folder);
  Status Add(int64_t ticket, int64_t received_ms, const EventView& event, const Doubt* doubt, StreamId stream_tail);
  Result<StreamTable*> TableFor(const EventView& event, StreamId stream_tail);
  Status CreateTable(const EventView& event, StreamId stream_tail, StreamTable* stream);
  Result<int64_t> RowOf(const ConnectionId& connection);
  Status Finish();
  void EndTransaction();
  void Close();

  Options options;
  SpillFileInfo file;
  std::optional<Database> database;  // nothing once it is closed
  Statement insert_stream;
  Statement insert_connection;
  std::unordered_map<std::string, std::unique_ptr<StreamTable>, TransparentHash, std::equal_to<>> streams;
  std::unordered_set<std::string> folded_tables;  // every table's name as SQLite compares it
  std::map<ConnectionId, int64_t> connections;    // to the row of _connections
  int64_t next_stream_id = 1;
  int64_t rows = 0;  // this and the next count committed rows only
  int64_t oldest_received_ms = 0;

  // Of the open transaction.
  bool open = false;
  bool failed = false;  // SQLite may have rolled back by itself: an insert now would commit on its own
  std::vector<StreamTable*> touched;
  std::vector<std::string> new_streams;
  std::vector<ConnectionId> new_connections;
  int64_t new_rows = 0;
  int64_t new_oldest_ms = 0;

  std::string raw_words;  // bound to a statement while it runs; kept for their room
  std::string option_words;
};

SqliteWriter::SqliteWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteWriter::~SqliteWriter() {
  impl_->Close();
}

Result<std::unique_ptr<SqliteWriter>> SqliteWriter::Create(const DiskFolder& folder, Options options) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->file.number = impl->options.number;
  impl->file.path = folder.PathOf(impl->options.number, SpillFileInfo::State::kActive);
  const std::string context = "creating spill file " + impl->file.path.native();
  std::error_code ignored;
  if (std::filesystem::exists(impl->file.path, ignored)) return Error{ErrorCode::kIo, context + ": it exists"};

  Status started = impl->Start(folder);
  if (started.ok()) return std::unique_ptr<SqliteWriter>(new SqliteWriter(std::move(impl)));
  impl->Close();
  // It holds no event; what cannot be deleted either is an empty file, which the next start removes.
  (void)folder.Remove(impl->file);
  return std::move(started).Prefixed(context).error();
}

Status SqliteWriter::Impl::Start(const DiskFolder& folder) {
  Database::Options database_options = SpillDatabaseOptions();
  database_options.journal = Database::Journal::kWal;
  database_options.max_bytes = options.max_bytes;
  database_options.initialize = [this](Database& created) { return InitializeFile(created, options); };
  ASSIGN_OR_RETURN(database, Database::Open(file.path, database_options));
  ASSIGN_OR_RETURN(insert_stream, database->Prepare("INSERT INTO _streams (id, name, table_name, event_id_at, tail) "
                                                    "VALUES (?, ?, ?, ?, ?)"));
  ASSIGN_OR_RETURN(insert_connection,
                   database->Prepare("INSERT INTO _connections (id, run_id, client_id) VALUES (?, ?, ?)"));
  return folder.Sync();
}

Status SqliteWriter::Begin() {
  SPROCKETS_ASSERT(impl_->database && !impl_->open);
  RETURN_IF_ERROR(impl_->database->Begin());
  impl_->open = true;
  return {};
}

Status SqliteWriter::Append(int64_t ticket, int64_t received_ms, const EventView& event,
                            const std::optional<Doubt>& doubt, StreamId stream_tail) {
  SPROCKETS_ASSERT(impl_->open && !impl_->failed && event.has_event_id());
  SPROCKETS_ASSERT(event.fields[event.event_id_at - 1] == impl_->options.event_id_field);
  Status status = impl_->Add(ticket, received_ms, event, doubt ? &*doubt : nullptr, stream_tail);
  impl_->failed = !status.ok();
  return status;
}

Status SqliteWriter::Impl::Add(int64_t ticket, int64_t received_ms, const EventView& event, const Doubt* doubt,
                               StreamId stream_tail) {
  ASSIGN_OR_RETURN(StreamTable* const stream, TableFor(event, stream_tail));
  const bool fits = stream->layout && stream->layout->Fits(event);
  const uint32_t names = fits ? stream->names_checksum : ChecksumOfNames(event);
  const uint32_t checksum = ChecksumOfRow(names, ticket, received_ms, event, doubt);
  std::string anchor;

  Statement& insert = fits ? stream->insert_columns : stream->insert_raw;
  insert.BindInteger(1, ticket);
  insert.BindBytes(2, event.event_id());
  insert.BindInteger(3, received_ms);
  insert.BindNull(4);
  insert.BindNull(5);
  insert.BindNull(6);
  insert.BindInteger(7, checksum);
  if (doubt != nullptr) {
    anchor = doubt->needs_proof ? ToString(doubt->anchor) : std::string(kRepeatAnchor);
    insert.BindBytes(4, anchor);
    if (doubt->connection) {
      ASSIGN_OR_RETURN(const int64_t row, RowOf(*doubt->connection));
      insert.BindInteger(5, row);
    }
  }
  if (!event.options.empty()) {
    EncodeWords(event.options, &option_words);
    insert.BindBlob(6, option_words);
  }
  if (fits) {
    int parameter = kFirstFieldParameter;
    for (size_t at = 1; at < event.fields.size(); at += 2) {
      if (at != event.event_id_at) insert.BindBytes(parameter++, event.fields[at]);
    }
  } else {
    EncodeWords(event.fields, &raw_words);
    insert.BindBlob(kFirstFieldParameter, raw_words);
  }
  RETURN_IF_ERROR(insert.Run());

  if (!std::exchange(stream->touched, true)) touched.push_back(stream);
  stream->totals.Add(ticket, checksum);
  new_oldest_ms = new_rows == 0 ? received_ms : std::min(new_oldest_ms, received_ms);
  ++new_rows;
  return {};
}

Result<SqliteWriter::Impl::StreamTable*> SqliteWriter::Impl::TableFor(const EventView& event, StreamId stream_tail) {
  if (const auto found = streams.find(event.stream); found != streams.end()) return found->second.get();
  auto stream = std::make_unique<StreamTable>();
  RETURN_IF_ERROR(CreateTable(event, stream_tail, stream.get()));
  new_streams.emplace_back(event.stream);
  folded_tables.insert(stream->folded_table);
  return streams.emplace(event.stream, std::move(stream)).first->second.get();
}

Status SqliteWriter::Impl::CreateTable(const EventView& event, StreamId stream_tail, StreamTable* stream) {
  stream->id = next_stream_id++;
  // No stream's own name ever begins with an underscore, so the other name is always free.
  std::string table(event.stream);
  if (!IsTableName(table) || folded_tables.contains(FoldSqlName(table)))
    table = "_stream-" + std::to_string(stream->id);
  stream->folded_table = FoldSqlName(table);
  stream->layout = FieldLayout::Of(event);
  stream->names_checksum = ChecksumOfNames(event);
  RETURN_IF_ERROR(database->Execute(CreateTableSql(table, stream->layout)));

  const std::string tail = ToString(stream_tail);
  insert_stream.BindInteger(1, stream->id);
  insert_stream.BindBlob(2, event.stream);
  insert_stream.BindBytes(3, table);
  insert_stream.BindNull(4);
  insert_stream.BindBytes(5, tail);
  if (stream->layout) {
    insert_stream.BindInteger(4, static_cast<int64_t>(stream->layout->event_id_at()));
    ASSIGN_OR_RETURN(stream->insert_columns, database->Prepare(InsertColumnsSql(table, *stream->layout)));
  }
  ASSIGN_OR_RETURN(stream->insert_raw, database->Prepare(InsertRawSql(table)));
  return insert_stream.Run();
}

Result<int64_t> SqliteWriter::Impl::RowOf(const ConnectionId& connection) {
  const auto [found, is_new] = connections.try_emplace(connection, static_cast<int64_t>(connections.size()) + 1);
  if (!is_new) return found->second;
  new_connections.push_back(connection);
  insert_connection.BindInteger(1, found->second);
  insert_connection.BindBytes(2, connection.run_id);
  insert_connection.BindInteger(3, connection.client_id);
  RETURN_IF_ERROR(insert_connection.Run());
  return found->second;
}

Status SqliteWriter::AddConnections(std::span<const ConnectionId> connections) {
  SPROCKETS_ASSERT(impl_->open && !impl_->failed);
  for (const ConnectionId& connection : connections) {
    if (auto row = impl_->RowOf(connection); !row.ok()) {
      impl_->failed = true;
      return std::move(row).error();
    }
  }
  return {};
}

Status SqliteWriter::Commit() {
  SPROCKETS_ASSERT(impl_->open && !impl_->failed);
  if (Status committed = impl_->database->Commit(); !committed.ok()) {
    impl_->failed = true;
    return committed;
  }
  for (Impl::StreamTable* stream : impl_->touched) stream->committed = stream->totals;
  if (impl_->new_rows > 0) {
    const bool is_first = impl_->rows == 0;
    impl_->oldest_received_ms =
        is_first ? impl_->new_oldest_ms : std::min(impl_->oldest_received_ms, impl_->new_oldest_ms);
  }
  impl_->rows += impl_->new_rows;
  impl_->EndTransaction();
  return {};
}

void SqliteWriter::Rollback() {
  if (!impl_->open) return;
  for (Impl::StreamTable* stream : impl_->touched) stream->totals = stream->committed;
  const std::vector<std::string> streams_gone = std::move(impl_->new_streams);
  const std::vector<ConnectionId> connections_gone = std::move(impl_->new_connections);
  impl_->EndTransaction();
  for (const std::string& name : streams_gone) {
    const auto stream = impl_->streams.find(name);
    impl_->folded_tables.erase(stream->second->folded_table);
    impl_->streams.erase(stream);
  }
  for (const ConnectionId& connection : connections_gone) impl_->connections.erase(connection);
  impl_->database->Rollback();
}

void SqliteWriter::Impl::EndTransaction() {
  for (StreamTable* stream : touched) stream->touched = false;
  touched.clear();
  new_streams.clear();
  new_connections.clear();
  new_rows = 0;
  open = false;
  failed = false;
}

int64_t SqliteWriter::number() const {
  return impl_->options.number;
}
int64_t SqliteWriter::rows() const {
  return impl_->rows;
}
int64_t SqliteWriter::oldest_received_ms() const {
  return impl_->oldest_received_ms;
}
int64_t SqliteWriter::WalBytes() const {
  return impl_->database ? impl_->database->WalBytes() : 0;
}
int64_t SqliteWriter::FileBytes() const {
  return impl_->database ? impl_->database->FileBytes() : 0;
}

Status SqliteWriter::CheckpointIfDue(bool force) {
  SPROCKETS_ASSERT(impl_->database && !impl_->open);
  Database& database = *impl_->database;
  if (force) return database.WalBytes() > 0 ? database.Checkpoint() : Status();
  // A WAL that is written again in place needs no new blocks: commits take a sixth less time.
  return database.UncheckpointedBytes() < kCheckpointAtBytes ? Status() : database.Checkpoint(Database::WalRoom::kKeep);
}

Status SqliteWriter::Seal(const SpillFolder& folder) {
  SPROCKETS_ASSERT(impl_->database && !impl_->open);
  Status finished = impl_->rows > 0 ? impl_->Finish() : Status();
  impl_->Close();
  if (finished.ok()) {
    finished = impl_->rows > 0 ? folder.Move(number(), SpillFileInfo::State::kActive, SpillFileInfo::State::kSealed)
                               : folder.Remove(impl_->file);
  }
  return std::move(finished).Prefixed("sealing spill file " + impl_->file.path.native());
}

Status SqliteWriter::Impl::Finish() {
  std::vector<SealedStream> sealed;
  for (const auto& [name, stream] : streams) sealed.push_back({stream->id, stream->totals});
  RETURN_IF_ERROR(database->Checkpoint());
  RETURN_IF_ERROR(database->LeaveWal());
  return WriteTotals(*database, sealed);
}

void SqliteWriter::Abandon() {
  impl_->Close();
}

void SqliteWriter::Impl::Close() {
  streams.clear();
  touched.clear();
  insert_stream = Statement();
  insert_connection = Statement();
  database.reset();
}

}  // namespace sprockets
