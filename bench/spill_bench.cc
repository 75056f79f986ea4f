// How fast events become durable, by batch and payload size: the sidecar's SpillWriter against a raw SQLite loop that
// inserts the same rows. One iteration is one committed batch.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/events.h"
#include "bench/raw_table.h"
#include "bench/scratch_folder.h"
#include "shared/base/clock.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/file.h"

namespace sprockets::bench {
namespace {

template <typename Outcome>
void OrSkip(benchmark::State& state, const Outcome& outcome) {
  if (!outcome.ok()) state.SkipWithError(outcome.error().message.c_str());
}

void CountRows(benchmark::State& state) {
  const auto rows = static_cast<int64_t>(state.iterations()) * state.range(0);
  state.SetItemsProcessed(rows);
  state.SetBytesProcessed(rows * state.range(1));
}

Status CommitBatch(SpillWriter& writer, const std::vector<EventView>& events, int64_t* ticket) {
  RETURN_IF_ERROR(writer.Begin());
  for (const EventView& event : events) {
    RETURN_IF_ERROR(writer.Append(++*ticket, WallClockMs(), event, std::nullopt, kStreamBegin));
  }
  RETURN_IF_ERROR(writer.Commit());
  return writer.CheckpointIfDue();
}

void SpillEvents(benchmark::State& state) {
  const ScratchFolder scratch;
  auto folder = DiskFolder::Open(scratch.path());
  if (!folder.ok()) return state.SkipWithError(folder.error().message.c_str());
  SpillWriter::Options options;
  options.number = 1;
  options.producer = "bench";
  options.event_id_field = kEventIdField;
  options.begun_ms = WallClockMs();
  auto writer = folder.value().CreateActive(options);
  if (!writer.ok()) return state.SkipWithError(writer.error().message.c_str());

  const std::string payload = Payload(static_cast<size_t>(state.range(1)));
  std::vector<std::string> event_ids;
  for (int64_t i = 0; i < state.range(0); ++i) event_ids.push_back(EventId(static_cast<size_t>(i)));
  std::vector<EventView> events;
  for (const std::string& event_id : event_ids) events.push_back(ViewOf(payload, event_id));

  int64_t ticket = 0;
  for (auto _ : state) OrSkip(state, CommitBatch(*writer.value(), events, &ticket));
  CountRows(state);
}

void RawSqlite(benchmark::State& state) {
  const ScratchFolder scratch;
  auto table = RawTable::Create(scratch.path() / "raw.sqlite");
  if (!table.ok()) return state.SkipWithError(table.error().message.c_str());

  std::vector<RawRow> rows(static_cast<size_t>(state.range(0)));
  int64_t ticket = 0;
  for (RawRow& row : rows) {
    row.event_id = EventId(static_cast<size_t>(ticket));
    row.received_ms = WallClockMs();
    row.checksum = 0x9a3c51f7;
    row.data = Payload(static_cast<size_t>(state.range(1)));
  }
  for (auto _ : state) {
    for (RawRow& row : rows) row.ticket = ++ticket;
    OrSkip(state, table.value().InsertBatch(rows));
  }
  CountRows(state);
}

void BatchesAndPayloads(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"batch", "payload"})->UseRealTime()->Unit(benchmark::kMicrosecond);
  for (const int64_t batch : {1, 16, 256, 1024, 4096}) benchmark->Args({batch, 300});
  for (const int64_t payload : {64, 4096, 65536}) benchmark->Args({256, payload});
}
BENCHMARK(SpillEvents)->Apply(BatchesAndPayloads);
BENCHMARK(RawSqlite)->Apply(BatchesAndPayloads);

}  // namespace
}  // namespace sprockets::bench
