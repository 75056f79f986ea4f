// The common ground of writer and reader. Whichever thread owns the file.
#include "shared/spill/catalogue.h"

#include "shared/spill/file.h"

namespace sprockets {
namespace {

Status FinishTotals(Database& database, std::span<const SealedStream> streams) {
  RETURN_IF_ERROR(UpdateTotals(database, streams));
  int64_t rows = 0;
  for (const SealedStream& stream : streams) rows += stream.totals.rows;
  ASSIGN_OR_RETURN(Statement finish, database.Prepare("UPDATE _file SET streams = ?1, rows = ?2"));
  finish.BindInteger(1, static_cast<int64_t>(streams.size()));
  finish.BindInteger(2, rows);
  return finish.Run();
}

}  // namespace

Database::Options SpillDatabaseOptions() {
  Database::Options options;
  options.application_id = kSpillApplicationId;
  options.user_version = kLateSyncedJournalVersion;
  options.late_synced_version = kLateSyncedJournalVersion;
  options.cache_bytes = 4 * 1024 * 1024;
  options.busy_timeout_ms =
      30'000;  // the sidecar reads a file at its start for seconds, while the drainer commits to it
  return options;
}

Status UpdateTotals(Database& database, std::span<const SealedStream> streams) {
  ASSIGN_OR_RETURN(Statement update,
                   database.Prepare("UPDATE _streams SET rows = ?2, first_ticket = ?3, last_ticket = ?4, "
                                    "checksum = ?5 WHERE id = ?1"));
  for (const SealedStream& stream : streams) {
    update.BindInteger(1, stream.id);
    update.BindInteger(2, stream.totals.rows);
    update.BindInteger(3, stream.totals.first_ticket);
    update.BindInteger(4, stream.totals.last_ticket);
    update.BindInteger(5, stream.totals.checksum);
    RETURN_IF_ERROR(update.Run());
  }
  return {};
}

Status WriteTotals(Database& database, std::span<const SealedStream> streams) {
  RETURN_IF_ERROR(database.Begin());
  Status status = FinishTotals(database, streams);
  if (status.ok()) status = database.Commit();
  if (!status.ok()) database.Rollback();
  return status;
}

}  // namespace sprockets
