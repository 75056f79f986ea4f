#include "shared/spill/sqlite_batch.h"

#include <string>

#include <sqlite3.h>

#include "shared/spill/layout.h"
#include "shared/spill/sqlite.h"

namespace sprockets {

namespace {

constexpr const char* kBatchTable = "_batch";  // no stream's table has a name that begins like this
constexpr std::string_view kBatchOwn = "ticket, event_id, received_ms, anchor, conn, options, checksum";
constexpr std::string_view kJournalOwn = ", id, origin";

std::string FieldColumns(size_t fields) {
  std::string columns;
  for (size_t i = 0; i < fields; ++i) columns += ", f" + std::to_string(i);
  return columns;
}

void GiveBlob(sqlite3_context* context, std::string_view bytes) {
  sqlite3_result_blob64(context, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
}

void GiveBytes(sqlite3_context* context, std::string_view bytes) {
  if (!IsSqlText(bytes)) return GiveBlob(context, bytes);
  sqlite3_result_text64(context, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC, SQLITE_UTF8);
}

// SQLite keeps the buffer that it copies this into from one row to the next.
void GiveId(sqlite3_context* context, StreamId id) {
  char buffer[kMaxStreamIdBytes];
  const std::string_view text = WriteStreamId(id, buffer);
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

std::string OwnColumns(bool names_entries) {
  std::string columns(kBatchOwn);
  if (names_entries) columns += kJournalOwn;
  return columns;
}

// Field number `field`, the event id's not counted.
std::string_view ValueOf(const EventView& event, size_t field) {
  const size_t value_at = 2 * field + 1;
  return event.fields[value_at < event.event_id_at ? value_at : value_at + 2];
}

}  // namespace

// SQLite's view of it: see https://sqlite.org/vtab.html for what each function owes.
struct BatchTable::Module {
  enum Column {
    kTicket,
    kEventId,
    kReceivedMs,
    kAnchor,
    kConnection,
    kOptions,
    kChecksum,
    kId,
    kOrigin,
    kRaw,
    kFirstField
  };
  struct Table {
    sqlite3_vtab base;
    const BatchTable* rows;
  };
  struct Cursor {
    sqlite3_vtab_cursor base;
    std::span<const Row> rows;
    size_t at;
  };
  static Cursor* From(sqlite3_vtab_cursor* cursor) { return reinterpret_cast<Cursor*>(cursor); }

  static int Connect(sqlite3* database, void* rows, int, const char* const*, sqlite3_vtab** table, char**) {
    const std::string columns =
        "CREATE TABLE x (" + OwnColumns(/*names_entries=*/true) + ", raw" + FieldColumns(kMaxFieldColumns) + ")";
    if (const int declared = sqlite3_declare_vtab(database, columns.c_str()); declared != SQLITE_OK) return declared;
    *table = &(new Table{{}, static_cast<const BatchTable*>(rows)})->base;
    return SQLITE_OK;
  }
  static int Disconnect(sqlite3_vtab* table) {
    delete reinterpret_cast<Table*>(table);
    return SQLITE_OK;
  }
  static int BestIndex(sqlite3_vtab*, sqlite3_index_info*) { return SQLITE_OK; }
  static int Open(sqlite3_vtab* table, sqlite3_vtab_cursor** cursor) {
    *cursor = &(new Cursor{{}, reinterpret_cast<Table*>(table)->rows->rows_, 0})->base;
    return SQLITE_OK;
  }
  static int Close(sqlite3_vtab_cursor* cursor) {
    delete From(cursor);
    return SQLITE_OK;
  }
  static int Filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
    From(cursor)->at = 0;
    return SQLITE_OK;
  }
  static int Next(sqlite3_vtab_cursor* cursor) {
    ++From(cursor)->at;
    return SQLITE_OK;
  }
  static int Eof(sqlite3_vtab_cursor* cursor) { return From(cursor)->at >= From(cursor)->rows.size() ? 1 : 0; }
  static int RowId(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
    *id = static_cast<sqlite3_int64>(From(cursor)->at);
    return SQLITE_OK;
  }
  static int Give(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int column) {
    const Row& row = From(cursor)->rows[From(cursor)->at];
    switch (column) {
      case kTicket:
        sqlite3_result_int64(context, row.ticket);
        break;
      case kEventId:
        GiveBytes(context, row.event->event_id());
        break;
      case kReceivedMs:
        sqlite3_result_int64(context, row.received_ms);
        break;
      case kAnchor:
        if (!row.anchor.empty()) GiveBytes(context, row.anchor);
        break;
      case kConnection:
        if (row.connection) sqlite3_result_int64(context, *row.connection);
        break;
      case kOptions:
        if (row.options) GiveBlob(context, *row.options);
        break;
      case kChecksum:
        sqlite3_result_int64(context, row.checksum);
        break;
      case kId:
        GiveId(context, row.id);
        break;
      case kOrigin:
        if (row.origin != 0) sqlite3_result_int64(context, row.origin);
        break;
      case kRaw:
        GiveBlob(context, row.raw);
        break;
      default:
        GiveBytes(context, ValueOf(*row.event, static_cast<size_t>(column - kFirstField)));
        break;
    }
    return SQLITE_OK;
  }

  // Without xCreate it is there without a CREATE VIRTUAL TABLE, and leaves no trace in the file.
  static const sqlite3_module& Get() {
    static const sqlite3_module module = [] {
      sqlite3_module all{};
      all.xConnect = Connect;
      all.xDisconnect = Disconnect;
      all.xBestIndex = BestIndex;
      all.xOpen = Open;
      all.xClose = Close;
      all.xFilter = Filter;
      all.xNext = Next;
      all.xEof = Eof;
      all.xColumn = Give;
      all.xRowid = RowId;
      return all;
    }();
    return module;
  }
};

Status BatchTable::Register(Database& database) {
  if (sqlite3_create_module(database.handle(), kBatchTable, &Module::Get(), this) == SQLITE_OK) return {};
  return Error{ErrorCode::kIo, "SQLite takes no virtual table"};
}

std::string BatchTable::SelectFields(size_t fields, bool names_entries) {
  return "SELECT " + OwnColumns(names_entries) + FieldColumns(fields) + " FROM " + kBatchTable;
}

std::string BatchTable::SelectRaw(bool names_entries) {
  return "SELECT " + OwnColumns(names_entries) + ", raw FROM " + kBatchTable;
}

}  // namespace sprockets
