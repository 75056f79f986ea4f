#include "shared/spill/sqlite_tables.h"

#include "shared/base/text.h"
#include "shared/spill/catalogue.h"
#include "shared/spill/schema.h"
#include "shared/spill/sqlite_batch.h"

namespace sprockets {

std::string CreateTableSql(const std::string& table, const std::optional<FieldLayout>& layout, bool names_entries) {
  std::string sql = "CREATE TABLE " + QuoteIdentifier(table) + " (";
  sql += names_entries ? kJournalColumns : kOwnColumns;
  for (size_t i = 0; layout && i < layout->names().size(); ++i) {
    if (i != layout->event_id_at()) sql += ", " + QuoteIdentifier(layout->names()[i]) + " ANY";
  }
  return sql + ") STRICT";
}

// What fails is rolled back as a whole, so SQLite need not be able to take back one statement: OR FAIL.
std::string InsertFieldsSql(const std::string& table, const FieldLayout& layout, bool names_entries) {
  std::string columns(names_entries ? kJournalBatchColumns : kBatchColumns);
  for (size_t i = 0; i < layout.names().size(); ++i) {
    if (i != layout.event_id_at()) columns += ", " + QuoteIdentifier(layout.names()[i]);
  }
  return "INSERT OR FAIL INTO " + QuoteIdentifier(table) + " (" + columns + ") " +
         BatchTable::SelectFields(layout.columns(), names_entries);
}

std::string InsertRawSql(const std::string& table, bool names_entries) {
  const std::string columns(names_entries ? kJournalBatchColumns : kBatchColumns);
  return "INSERT OR FAIL INTO " + QuoteIdentifier(table) + " (" + columns + ", _raw) " +
         BatchTable::SelectRaw(names_entries);
}

Status InitializeFile(Database& database, const SpillWriterOptions& options) {
  RETURN_IF_ERROR(database.Execute(kSpillSchema));
  if (options.names_entries) RETURN_IF_ERROR(database.Execute(kMovesTable));
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

}  // namespace sprockets
