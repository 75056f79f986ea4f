// The rows of a batch into SQLite by the virtual table, one INSERT … SELECT a batch, against one INSERT that is bound
// and stepped for each row; same table, same rows, same page size, same durable commits. One iteration is one commit.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/events.h"
#include "bench/scratch_folder.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/spill/catalogue.h"
#include "shared/spill/sqlite.h"
#include "shared/spill/sqlite_batch.h"

namespace sprockets::bench {
namespace {

constexpr int64_t kCheckpointBytes = 8 << 20;
constexpr size_t kPayloadBytes = 300;

/// Rows with a client's id and one field, certainly never sent.
class Rows {
 public:
  explicit Rows(size_t count) : payload_(Payload(kPayloadBytes)) {
    ids_.reserve(count);
    events_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      ids_.push_back(EventId(i));
      events_.push_back(ViewOf(payload_, ids_.back()));
      rows_.push_back({0, WallClockMs(), 0x9a3c51f7, &events_.back()});
    }
  }
  /// With the next tickets.
  std::span<const BatchTable::Row> Next() {
    for (BatchTable::Row& row : rows_) row.ticket = ++ticket_;
    return rows_;
  }

 private:
  const std::string payload_;
  std::vector<std::string> ids_;
  std::vector<EventView> events_;
  std::vector<BatchTable::Row> rows_;
  int64_t ticket_ = 0;
};

/// Stores a batch within a transaction of `database`.
class ByVirtualTable {
 public:
  /// `batch` must outlive the database, and this must not.
  Status Prepare(Database& database, BatchTable& batch) {
    batch_ = &batch;
    RETURN_IF_ERROR(batch.Register(database));
    const std::string into = "INSERT OR FAIL INTO " + QuoteIdentifier(kStream) + " (" + std::string(kBatchColumns);
    ASSIGN_OR_RETURN(insert_, database.Prepare(into + ", \"data\") " + BatchTable::SelectFields(1)));
    return {};
  }
  Status Insert(std::span<const BatchTable::Row> rows) {
    batch_->Show(rows);
    return insert_.Run();
  }

 private:
  BatchTable* batch_ = nullptr;
  Statement insert_;
};

class ByBindAndStep {
 public:
  Status Prepare(Database& database, BatchTable&) {
    const std::string into = "INSERT OR FAIL INTO " + QuoteIdentifier(kStream) + " (" + std::string(kBatchColumns);
    ASSIGN_OR_RETURN(insert_, database.Prepare(into + ", \"data\") VALUES (?, ?, ?, NULL, NULL, NULL, ?, ?)"));
    return {};
  }
  Status Insert(std::span<const BatchTable::Row> rows) {
    for (const BatchTable::Row& row : rows) {
      insert_.BindInteger(1, row.ticket);
      insert_.BindBytes(2, row.event->event_id());
      insert_.BindInteger(3, row.received_ms);
      insert_.BindInteger(4, row.checksum);
      insert_.BindBytes(5, row.event->fields[1]);
      RETURN_IF_ERROR(insert_.Run());
    }
    return {};
  }

 private:
  Statement insert_;
};

Result<Database> CreateDatabase(const std::filesystem::path& path, int64_t page_bytes) {
  Database::Options options;
  options.journal = Database::Journal::kWal;
  options.page_bytes = page_bytes;
  options.initialize = [](Database& created) {
    return created.Execute("CREATE TABLE " + QuoteIdentifier(kStream) + " (" + std::string(kOwnColumns) +
                           ", \"data\" ANY) STRICT");
  };
  return Database::Open(path, options);
}

template <typename Way>
Status CommitOne(Database& database, Way& way, std::span<const BatchTable::Row> rows) {
  RETURN_IF_ERROR(database.Begin());
  RETURN_IF_ERROR(way.Insert(rows));
  RETURN_IF_ERROR(database.Commit());
  const bool due = database.UncheckpointedBytes() > kCheckpointBytes;
  return due ? database.Checkpoint(Database::WalRoom::kKeep) : Status();
}

template <typename Way>
Status Measure(benchmark::State& state) {
  const ScratchFolder scratch;
  Rows rows(static_cast<size_t>(state.range(0)));
  BatchTable batch;
  ASSIGN_OR_RETURN(Database database, CreateDatabase(scratch.path() / "rows.sqlite", state.range(1) * 1024));
  Way way;
  RETURN_IF_ERROR(way.Prepare(database, batch));
  for (auto _ : state) RETURN_IF_ERROR(CommitOne(database, way, rows.Next()));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
  return {};
}

template <typename Way>
void StoreRows(benchmark::State& state) {
  if (const Status done = Measure<Way>(state); !done.ok()) state.SkipWithError(done.error().message.c_str());
}

void RowsACommit(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "page_kib"})->UseRealTime()->Unit(benchmark::kMicrosecond);
  for (const int64_t page_kib : {4, 16}) {
    for (const int64_t rows : {16, 64, 473, 1024}) benchmark->Args({rows, page_kib});
  }
}
BENCHMARK(StoreRows<ByVirtualTable>)->Apply(RowsACommit);
BENCHMARK(StoreRows<ByBindAndStep>)->Apply(RowsACommit);

}  // namespace
}  // namespace sprockets::bench
