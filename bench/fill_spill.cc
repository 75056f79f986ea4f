// fill_spill FOLDER ROWS ROWS_A_FILE STATE: makes a spill folder with events of 300 bytes, as sidecars of earlier lives
// would have left it. STATE: sealed; drained; killed, as sealed, but the last file is still the active one; or
// journals, sealed ones of --ack disk, in which everything has landed. For the "start" rows of bench/side_by_side.py.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "bench/events.h"
#include "shared/ahead/entry_id.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/file.h"
#include "shared/spill/state_file.h"

// SQLite and the folder sync a dozen times a file: half an hour for 10,000 files. What is measured here need not
// survive a power cut, so this program has no syncs: these take the place of the C library's.
extern "C" int fsync(int /*fd*/) {
  return 0;
}
extern "C" int fdatasync(int /*fd*/) {
  return 0;
}

namespace sprockets::bench {
namespace {

constexpr int64_t kBatch = 4096;
constexpr EntryTag kTag = 1;
using State = SpillFileInfo::State;

/// What a batch of rows refers to.
struct Batch {
  std::vector<std::string> event_ids;
  std::vector<EventView> events;
  std::vector<SpillRow> rows;
};

/// What is the same for every row. In journals, `last_id` is the id of the last one.
struct Filling {
  StateFile* state;
  std::string payload;
  std::optional<StreamId> last_id;
};

Status MakeBatch(int64_t size, Filling* filling, Batch* batch) {
  *batch = {};
  batch->event_ids.reserve(static_cast<size_t>(size));
  batch->events.reserve(static_cast<size_t>(size));
  const int64_t now_ms = WallClockMs();
  for (int64_t i = 0; i < size; ++i) {
    ASSIGN_OR_RETURN(const int64_t ticket, filling->state->NextTicket());
    const std::string& event_id = batch->event_ids.emplace_back(EventId(static_cast<size_t>(ticket)));
    const EventView& event = batch->events.emplace_back(ViewOf(filling->payload, event_id));
    if (filling->last_id) filling->last_id = NextEntryId(kTag, *filling->last_id, static_cast<uint64_t>(now_ms));
    batch->rows.push_back({ticket, now_ms, &event, nullptr, kStreamBegin, filling->last_id});
  }
  return {};
}

Status FillFile(SpillWriter& writer, int64_t rows, Filling* filling) {
  Batch batch;
  while (writer.rows() < rows) {
    RETURN_IF_ERROR(MakeBatch(std::min(kBatch, rows - writer.rows()), filling, &batch));
    RETURN_IF_ERROR(writer.Begin());
    RETURN_IF_ERROR(writer.AppendAll(batch.rows));
    RETURN_IF_ERROR(writer.Commit());
    RETURN_IF_ERROR(writer.CheckpointIfDue());
  }
  return {};
}

/// As the drain leaves it: every cursor at its end.
Status Drain(const DiskFolder& folder, int64_t number) {
  SpillFileInfo info{.number = number, .state = State::kSealed, .path = folder.PathOf(number, State::kSealed)};
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder.OpenFile(info));
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->Streams());
  for (const SpilledStream& stream : streams) {
    RETURN_IF_ERROR(file->SaveCursor(stream.id, {.done_ticket = stream.last_ticket, .open = std::nullopt}));
  }
  RETURN_IF_ERROR(file->MarkDrained(WallClockMs()));
  RETURN_IF_ERROR(file->Close());
  return folder.Move(number, State::kSealed, State::kDrained);
}

Status Fill(const std::filesystem::path& path, int64_t rows, int64_t rows_a_file, std::string_view end) {
  ASSIGN_OR_RETURN(const DiskFolder folder, DiskFolder::Open(path));
  ASSIGN_OR_RETURN(StateFile state, StateFile::Open(folder, {}));
  const bool journals = end == "journals";
  Filling filling{&state, Payload(300), journals ? std::optional(kStreamBegin) : std::nullopt};
  if (journals) RETURN_IF_ERROR(state.AddTag(kTag));
  for (int64_t number = 1; rows > 0; ++number, rows -= rows_a_file) {
    SpillWriter::Options options;
    options.number = number;
    options.producer = "0123456789abcdef";
    options.event_id_field = kEventIdField;
    options.begun_ms = WallClockMs();
    options.names_entries = journals;
    ASSIGN_OR_RETURN(const std::unique_ptr<SpillWriter> writer, folder.CreateActive(options));
    RETURN_IF_ERROR(FillFile(*writer, std::min(rows, rows_a_file), &filling));
    if (end == "killed" && rows <= rows_a_file) {
      writer->Abandon();
      continue;
    }
    RETURN_IF_ERROR(writer->Seal(folder));
    if (end == "drained") RETURN_IF_ERROR(Drain(folder, number));
  }
  if (journals) {
    const LandedMark mark{std::string(kStream), *filling.last_id, *filling.last_id, "run", "replication"};
    RETURN_IF_ERROR(state.NoteLanded({&mark, 1}));
  }
  if (end != "killed") RETURN_IF_ERROR(state.NoteNothingInFlight());
  return state.Close();
}

Status Run(std::span<char* const> args) {
  constexpr std::string_view kUsage = "usage: fill_spill FOLDER ROWS ROWS_A_FILE sealed|drained|killed|journals";
  if (args.size() != 5) return Error{ErrorCode::kUsage, std::string(kUsage)};
  const std::string_view end = args[4];
  constexpr std::string_view kEnds[] = {"sealed", "drained", "killed", "journals"};
  if (std::ranges::find(kEnds, end) == std::end(kEnds)) return Error{ErrorCode::kUsage, std::string(kUsage)};
  ASSIGN_OR_RETURN(const int64_t rows, ParseInteger(args[2], 1, 1'000'000'000));
  ASSIGN_OR_RETURN(const int64_t rows_a_file, ParseInteger(args[3], 1, 1'000'000'000));
  return Fill(args[1], rows, rows_a_file, end);
}

}  // namespace
}  // namespace sprockets::bench

int main(int argc, char** argv) {
  const auto filled = sprockets::bench::Run({argv, static_cast<size_t>(argc)});
  if (filled.ok()) return 0;
  std::fprintf(stderr, "fill_spill: %s\n", filled.error().message.c_str());
  return 1;
}
