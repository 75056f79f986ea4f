// Events of any bytes through a spill file: what was committed is read back byte for byte and in order, however the
// file came to be sealed; what was rolled back is not there.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <fuzzer/FuzzedDataProvider.h>
#include <memory>
#include <optional>
#include <vector>

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite_file.h"
#include "tests/fuzz/any_event.h"
#include "tests/fuzz/scratch.h"

namespace sprockets::fuzz {
namespace {

std::optional<Doubt> TakeDoubt(FuzzedDataProvider& input) {
  if (!input.ConsumeBool()) return std::nullopt;
  Doubt doubt;
  doubt.anchor = {input.ConsumeIntegral<uint64_t>(), input.ConsumeIntegral<uint64_t>()};
  if (input.ConsumeBool()) {
    doubt.connection = ConnectionId{input.ConsumeRandomLengthString(40), input.ConsumeIntegral<int64_t>()};
  }
  return doubt;
}

/// Fills the file; the rows that were committed.
std::vector<Row> WriteRows(FuzzedDataProvider& input, SpillWriter& writer, bool names_entries) {
  std::vector<Row> rows;
  int64_t ticket = 1;
  for (int batches = 0; batches < 4 && input.remaining_bytes() > 0; ++batches) {
    const size_t committed = rows.size();
    std::deque<AnyEvent> events;
    std::deque<EventView> views;
    std::deque<std::optional<Doubt>> doubts;
    std::vector<SpillRow> batch;
    while (batch.size() < 4 && input.remaining_bytes() > 0) {
      const EventView& view = views.emplace_back(events.emplace_back(TakeEvent(input)).View());
      const std::optional<Doubt>& doubt = doubts.emplace_back(TakeDoubt(input));
      const int64_t received_ms = input.ConsumeIntegral<int64_t>();
      std::optional<StreamId> id;
      int64_t origin = 0;
      if (names_entries) {
        id = StreamId{input.ConsumeIntegral<uint64_t>(), input.ConsumeIntegralInRange<uint64_t>(1, UINT64_MAX)};
        origin = input.ConsumeIntegralInRange<int64_t>(0, ticket - 1);
      }
      batch.push_back({ticket, received_ms, &view, doubt ? &*doubt : nullptr, {}, id, origin});
      rows.emplace_back(ticket++, received_ms, view, doubt, id, origin);
    }
    Must(writer.Begin());
    Must(writer.AppendAll(batch));
    if (input.ConsumeIntegralInRange(0, 5) > 0) {
      Must(writer.Commit());
    } else {
      writer.Rollback();
      rows.resize(committed);
    }
  }
  SPROCKETS_ASSERT(writer.rows() == static_cast<int64_t>(rows.size()));
  return rows;
}

std::vector<Row> ReadRows(const SpillFileInfo& info) {
  SqliteFile file = Must(SqliteFile::Open(info));
  Must(file.Verify());
  std::vector<Row> rows;
  size_t moved = 0;
  for (const SpilledStream& stream : Must(file.Streams())) {
    const size_t before = rows.size();
    Must(file.Visit(stream, 0, 0, [&rows](const SpilledEvent& spilled) {
      rows.emplace_back(spilled);
      return true;
    }));
    SPROCKETS_ASSERT(static_cast<int64_t>(rows.size() - before) == stream.rows && stream.rows_left == stream.rows);
    for (size_t at = before + 1; at < rows.size(); ++at) SPROCKETS_ASSERT(rows[at - 1].ticket < rows[at].ticket);
  }
  for (const Row& row : rows) moved += row.origin != 0 ? 1 : 0;
  SPROCKETS_ASSERT(Must(file.Moves()).size() == moved);
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.ticket < b.ticket; });
  return rows;
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  using namespace sprockets::fuzz;
  static const ScratchFolder scratch;
  const DiskFolder folder = Must(DiskFolder::Open(scratch.path() / "spill"));
  FuzzedDataProvider input(data, size);
  const int kind = input.ConsumeIntegralInRange(0, 3);
  const bool left_behind = kind % 2 != 0;

  SpillWriter::Options options;
  options.number = 1;
  options.producer = "prod";
  options.event_id_field = kEventIdField;
  options.names_entries = kind >= 2;
  std::unique_ptr<SpillWriter> writer = Must(folder.CreateActive(options));
  const std::vector<Row> written = WriteRows(input, *writer, options.names_entries);
  if (left_behind) {
    writer->Abandon();
    SPROCKETS_ASSERT(Must(RecoverLeftBehind(folder)).rows == static_cast<int64_t>(written.size()));
  } else {
    Must(writer->Seal(folder));
  }

  const std::vector<SpillFileInfo> files = Must(folder.List());
  SPROCKETS_ASSERT(files.size() == (written.empty() ? 0 : 1));  // a file without rows is not kept
  for (const SpillFileInfo& file : files) {
    SPROCKETS_ASSERT(file.state == SpillFileInfo::State::kSealed && !file.suspect && !file.quarantined);
    SPROCKETS_ASSERT(ReadRows(file) == written);
    Must(folder.Remove(file));
  }
  return 0;
}
