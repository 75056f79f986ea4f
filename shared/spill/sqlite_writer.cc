// The hot path is AppendAll: one cached statement stores all rows of a stream, values are read as views, no allocation
// a row. One thread.
#include "shared/spill/sqlite_writer.h"

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "shared/base/text.h"
#include "shared/spill/catalogue.h"
#include "shared/spill/layout.h"
#include "shared/spill/sqlite.h"
#include "shared/spill/sqlite_batch.h"
#include "shared/spill/sqlite_tables.h"

namespace sprockets {
namespace {

constexpr int64_t kCheckpointAtBytes = 4 * 1024 * 1024;
constexpr size_t kKeptRows = 16;           // as many a stream has room for between batches: there may be many streams
constexpr int64_t kPageBytes = 16 * 1024;  // a quarter of the page writes of SQLite's own choice

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
    Statement insert_fields;
    Statement insert_raw;
    std::vector<BatchTable::Row> fields_rows;  // of AppendAll's, by how they are stored
    std::vector<BatchTable::Row> raw_rows;
    StreamTotals totals;     // the open transaction's rows included
    StreamTotals committed;  // what totals go back to
    StreamTotals noted;      // as they stand in the catalogue
    bool touched = false;    // by the open transaction
  };

  Status Start(const DiskFolder& folder);
  Status Add(std::span<const SpillRow> added);
  Status Gather(const SpillRow& row);
  Status NoteMove(const StreamTable& stream, const SpillRow& row);
  Status Insert(Statement& insert, std::span<const BatchTable::Row> inserted);
  void ForgetGathered();
  Result<StreamTable*> TableFor(const EventView& event, StreamId stream_tail);
  Status CreateTable(const EventView& event, StreamId stream_tail, StreamTable* stream);
  Result<int64_t> RowOf(const ConnectionId& connection);
  Status Finish();
  Status NoteTotals();
  void EndTransaction();
  void Measure();
  void Close();

  Options options;
  SpillFileInfo file;
  BatchTable batch;
  std::optional<Database> database;  // nothing once it is closed
  Statement insert_stream;
  Statement insert_connection;
  Statement insert_move;  // of a journal
  std::unordered_map<std::string, std::unique_ptr<StreamTable>, TransparentHash, std::equal_to<>> streams;
  std::unordered_set<std::string> folded_tables;  // every table's name as SQLite compares it
  std::map<ConnectionId, int64_t> connections;    // to the row of _connections
  int64_t next_stream_id = 1;
  int64_t wal_bytes = 0;  // this and the next as they were after the last write, so that nobody need ask the system
  int64_t all_bytes = 0;
  int64_t rows = 0;  // this and the next count committed rows only
  int64_t oldest_received_ms = 0;
  bool totals_due = false;  // a checkpoint came after they were noted

  // Of the open transaction.
  bool open = false;
  bool failed = false;  // SQLite may have rolled back by itself: an insert now would commit on its own
  std::vector<StreamTable*> touched;
  std::vector<std::string> new_streams;
  std::vector<ConnectionId> new_connections;
  int64_t new_rows = 0;
  int64_t new_oldest_ms = 0;

  // Of AppendAll.
  std::vector<StreamTable*> gathered;  // whose rows are to be inserted
  std::deque<std::string> made;        // what rows refer to and no event holds: it must not move
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
  database_options.page_bytes = kPageBytes;
  SPROCKETS_ASSERT(options.sync_commits || options.names_entries);
  database_options.sync_commits = options.sync_commits;
  database_options.user_version = !options.names_entries ? kSpillFormatVersion
                                  : options.sync_commits ? kJournalFormatVersion
                                                         : kLateSyncedJournalVersion;
  database_options.initialize = [this](Database& created) { return InitializeFile(created, options); };
  ASSIGN_OR_RETURN(database, Database::Open(file.path, database_options));
  RETURN_IF_ERROR(batch.Register(*database));
  ASSIGN_OR_RETURN(insert_stream, database->Prepare("INSERT INTO _streams (id, name, table_name, event_id_at, tail) "
                                                    "VALUES (?, ?, ?, ?, ?)"));
  ASSIGN_OR_RETURN(insert_connection,
                   database->Prepare("INSERT INTO _connections (id, run_id, client_id) VALUES (?, ?, ?)"));
  if (options.names_entries) {
    ASSIGN_OR_RETURN(insert_move, database->Prepare("INSERT INTO _moves (stream_id, ticket, origin) VALUES (?, ?, ?)"));
  }
  Measure();
  return folder.Sync();
}

void SqliteWriter::Impl::Measure() {
  wal_bytes = database->WalBytes();
  all_bytes = database->FileBytes();
}

Status SqliteWriter::Begin() {
  SPROCKETS_ASSERT(impl_->database && !impl_->open);
  RETURN_IF_ERROR(impl_->database->Begin());
  Status noted = impl_->NoteTotals();
  if (!noted.ok()) {
    impl_->database->Rollback();
    return noted;
  }
  impl_->open = true;
  return {};
}

// After each checkpoint, with the next commit: so a recovery believes the totals for what was checkpointed, and the
// rows that it must read are in the WAL. It takes a moment, however large the file is.
Status SqliteWriter::Impl::NoteTotals() {
  if (!totals_due) return {};
  std::vector<SealedStream> changed;
  for (const auto& [name, stream] : streams) {
    if (!(stream->noted == stream->committed)) changed.push_back({stream->id, stream->committed});
  }
  return UpdateTotals(*database, changed);
}

Status SqliteWriter::AppendAll(std::span<const SpillRow> rows) {
  SPROCKETS_ASSERT(impl_->open && !impl_->failed);
  Status status = impl_->Add(rows);
  impl_->ForgetGathered();
  impl_->failed = !status.ok();
  return status;
}

Status SqliteWriter::Impl::Add(std::span<const SpillRow> added) {
  for (const SpillRow& row : added) RETURN_IF_ERROR(Gather(row));
  for (StreamTable* stream : gathered) {
    RETURN_IF_ERROR(Insert(stream->insert_fields, stream->fields_rows));
    RETURN_IF_ERROR(Insert(stream->insert_raw, stream->raw_rows));
  }
  return {};
}

Status SqliteWriter::Impl::Insert(Statement& insert, std::span<const BatchTable::Row> inserted) {
  if (inserted.empty()) return {};
  batch.Show(inserted);
  return insert.Run();
}

Status SqliteWriter::Impl::Gather(const SpillRow& row) {
  const EventView& event = *row.event;
  SPROCKETS_ASSERT(event.has_event_id() && event.fields[event.event_id_at - 1] == options.event_id_field);
  SPROCKETS_ASSERT(row.id.has_value() == options.names_entries && row.origin >= 0 && row.origin < row.ticket);
  ASSIGN_OR_RETURN(StreamTable* const stream, TableFor(event, row.stream_tail));
  const bool fits = stream->layout && stream->layout->Fits(event);
  const uint32_t names = fits ? stream->names_checksum : ChecksumOfNames(event);
  BatchTable::Row stored{row.ticket, row.received_ms,
                         ChecksumOfRow(names, row.ticket, row.received_ms, event, row.doubt, row.id, row.origin),
                         row.event};
  if (row.id) {
    stored.id = *row.id;
    stored.origin = row.origin;
    RETURN_IF_ERROR(NoteMove(*stream, row));
  }
  if (row.doubt != nullptr) {
    stored.anchor = row.doubt->needs_proof ? made.emplace_back(ToString(row.doubt->anchor)) : kRepeatAnchor;
    if (row.doubt->connection) {
      ASSIGN_OR_RETURN(stored.connection, RowOf(*row.doubt->connection));
    }
  }
  if (!event.options.empty()) {
    EncodeWords(event.options, &made.emplace_back());
    stored.options = made.back();
  }
  if (!fits) {
    EncodeWords(event.fields, &made.emplace_back());
    stored.raw = made.back();
  }
  if (stream->fields_rows.empty() && stream->raw_rows.empty()) gathered.push_back(stream);
  (fits ? stream->fields_rows : stream->raw_rows).push_back(stored);

  if (!std::exchange(stream->touched, true)) touched.push_back(stream);
  stream->totals.Add(row.ticket, stored.checksum);
  new_oldest_ms = new_rows == 0 ? row.received_ms : std::min(new_oldest_ms, row.received_ms);
  ++new_rows;
  return {};
}

// Moves can be found without a look at all the rows.
Status SqliteWriter::Impl::NoteMove(const StreamTable& stream, const SpillRow& row) {
  if (row.origin == 0) return {};
  insert_move.BindInteger(1, stream.id);
  insert_move.BindInteger(2, row.ticket);
  insert_move.BindInteger(3, row.origin);
  return insert_move.Run();
}

void SqliteWriter::Impl::ForgetGathered() {
  for (StreamTable* stream : gathered) {
    for (std::vector<BatchTable::Row>* rows_of : {&stream->fields_rows, &stream->raw_rows}) {
      rows_of->clear();
      if (rows_of->capacity() > kKeptRows) *rows_of = {};
    }
  }
  gathered.clear();
  made.clear();
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
  RETURN_IF_ERROR(database->Execute(CreateTableSql(table, stream->layout, options.names_entries)));

  const std::string tail = ToString(stream_tail);
  insert_stream.BindInteger(1, stream->id);
  insert_stream.BindBlob(2, event.stream);
  insert_stream.BindBytes(3, table);
  insert_stream.BindNull(4);
  insert_stream.BindBytes(5, tail);
  if (stream->layout) {
    insert_stream.BindInteger(4, static_cast<int64_t>(stream->layout->event_id_at()));
    ASSIGN_OR_RETURN(stream->insert_fields,
                     database->Prepare(InsertFieldsSql(table, *stream->layout, options.names_entries)));
  }
  ASSIGN_OR_RETURN(stream->insert_raw, database->Prepare(InsertRawSql(table, options.names_entries)));
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
  const Status committed = impl_->database->Commit();
  impl_->Measure();
  if (!committed.ok()) {
    impl_->failed = true;
    return committed;
  }
  if (std::exchange(impl_->totals_due, false)) {
    for (const auto& [name, stream] : impl_->streams) stream->noted = stream->committed;
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

Status SqliteWriter::Sync() {
  SPROCKETS_ASSERT(impl_->database && !impl_->open);
  return impl_->database->SyncWal();
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
  impl_->Measure();
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
  return impl_->database ? impl_->wal_bytes : 0;
}
int64_t SqliteWriter::FileBytes() const {
  return impl_->database ? impl_->all_bytes : 0;
}

Status SqliteWriter::CheckpointIfDue(bool force) {
  SPROCKETS_ASSERT(impl_->database && !impl_->open);
  Database& database = *impl_->database;
  const bool due = force ? impl_->wal_bytes > 0 : database.UncheckpointedBytes() >= kCheckpointAtBytes;
  if (!due) return {};
  // A WAL that is written again in place needs no new blocks: commits take a sixth less time.
  Status done = database.Checkpoint(force ? Database::WalRoom::kRelease : Database::WalRoom::kKeep);
  impl_->totals_due = done.ok();
  impl_->Measure();
  return done;
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
  RETURN_IF_ERROR(database->SyncEachCommit());
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
  insert_move = Statement();
  database.reset();
}

}  // namespace sprockets
