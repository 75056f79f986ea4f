// The yardstick of the spill.
#include "bench/raw_table.h"

namespace sprockets::bench {
namespace {

constexpr int64_t kCheckpointBytes = 4 << 20;

// As schema/spill.sql describes a stream's table.
constexpr char kCreate[] = R"sql(
  CREATE TABLE "bench-stream" (
    _ticket INTEGER PRIMARY KEY, _event_id ANY NOT NULL, _received_ms INTEGER NOT NULL, _anchor TEXT, _conn INTEGER,
    _options BLOB, _checksum INTEGER NOT NULL, _raw BLOB, "data" ANY) STRICT)sql";
constexpr char kInsert[] = R"sql(INSERT INTO "bench-stream" VALUES (?, ?, ?, NULL, NULL, NULL, ?, NULL, ?))sql";

}  // namespace

Result<RawTable> RawTable::Create(const std::filesystem::path& path) {
  Database::Options options;
  options.journal = Database::Journal::kWal;
  options.initialize = [](Database& created) { return created.Execute(kCreate); };
  ASSIGN_OR_RETURN(Database database, Database::Open(path, options));
  ASSIGN_OR_RETURN(Statement insert, database.Prepare(kInsert));
  return RawTable(std::move(database), std::move(insert));
}

Status RawTable::InsertBatch(std::span<const RawRow> rows) {
  RETURN_IF_ERROR(database_.Begin());
  for (const RawRow& row : rows) {
    insert_.BindInteger(1, row.ticket);
    insert_.BindBytes(2, row.event_id);
    insert_.BindInteger(3, row.received_ms);
    insert_.BindInteger(4, row.checksum);
    insert_.BindBytes(5, row.data);
    RETURN_IF_ERROR(insert_.Run());
  }
  RETURN_IF_ERROR(database_.Commit());
  const bool due = database_.UncheckpointedBytes() > kCheckpointBytes;
  return due ? database_.Checkpoint(Database::WalRoom::kKeep) : Status();
}

}  // namespace sprockets::bench
