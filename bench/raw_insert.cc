// raw_insert SEALED_FILE BATCH NEW_FILE: inserts the rows of a sealed spill file, BATCH at a time, into a new SQLite
// file and prints rows per second and the seconds of CPU that they took. Half of bench/side_by_side's "spill" row.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "bench/raw_table.h"
#include "shared/base/text.h"
#include "shared/spill/file.h"
#include "shared/spill/sqlite.h"

namespace sprockets::bench {
namespace {

Result<std::vector<RawRow>> ReadRows(const std::filesystem::path& path) {
  Database::Options options;
  options.application_id = kSpillApplicationId;
  options.user_version = kSpillFormatVersion;
  ASSIGN_OR_RETURN(Database database, Database::Open(path, options));
  ASSIGN_OR_RETURN(Statement select, database.Prepare(R"sql(SELECT _ticket, _event_id, _received_ms, _checksum, "data"
                                                            FROM "bench-stream" ORDER BY _ticket)sql"));
  std::vector<RawRow> rows;
  while (true) {
    ASSIGN_OR_RETURN(const bool has_row, select.Step());
    if (!has_row) return rows;
    rows.push_back({select.Integer(0), std::string(select.Bytes(1)), select.Integer(2), select.Integer(3),
                    std::string(select.Bytes(4))});
  }
}

double CpuSeconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

struct Timing {
  double rows_per_second = 0;
  double cpu_seconds = 0;
};

Result<Timing> TimeInserts(std::span<const RawRow> rows, size_t batch, const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(RawTable table, RawTable::Create(path));
  const double cpu_before = CpuSeconds();
  const auto begun = std::chrono::steady_clock::now();
  for (size_t at = 0; at < rows.size(); at += batch) {
    RETURN_IF_ERROR(table.InsertBatch(rows.subspan(at, std::min(batch, rows.size() - at))));
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begun;
  return Timing{static_cast<double>(rows.size()) / elapsed.count(), CpuSeconds() - cpu_before};
}

Result<Timing> Run(std::span<char* const> args) {
  if (args.size() != 4) return Error{ErrorCode::kUsage, "usage: raw_insert SEALED_FILE BATCH NEW_FILE"};
  ASSIGN_OR_RETURN(const int64_t batch, ParseInteger(args[2], 1, 1'000'000));
  ASSIGN_OR_RETURN(const std::vector<RawRow> rows, ReadRows(args[1]));
  return TimeInserts(rows, static_cast<size_t>(batch), args[3]);
}

}  // namespace
}  // namespace sprockets::bench

int main(int argc, char** argv) {
  const auto timing = sprockets::bench::Run({argv, static_cast<size_t>(argc)});
  if (!timing.ok()) {
    std::fprintf(stderr, "raw_insert: %s\n", timing.error().message.c_str());
    return 1;
  }
  std::printf("%.0f %.6f\n", timing.value().rows_per_second, timing.value().cpu_seconds);
}
