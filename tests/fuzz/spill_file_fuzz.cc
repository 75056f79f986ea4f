// A spill file whose bytes were changed, cut or swapped: reading it ends in an answer, and no row is believed that is
// not as it was written. The input is not the file but what befalls it, so that the seeds are small and fit every
// version of the format: a file that holds events of every kind is written at the start.
//
// An input can also forge: change a row and its checksum in accord. No checksum can tell that, so it is recognized here
// by the checksum that only the changed file holds.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fuzzer/FuzzedDataProvider.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shared/spill/disk_folder.h"
#include "shared/spill/layout.h"
#include "shared/spill/sqlite_file.h"
#include "tests/fuzz/any_event.h"
#include "tests/fuzz/scratch.h"

namespace sprockets::fuzz {
namespace {

using RowKey = std::pair<std::string, int64_t>;  // stream and ticket
using State = SpillFileInfo::State;

/// A spill file as it lies on the disk, and what is in it.
struct Original {
  State state;
  std::string database;
  std::string wal;
  std::map<RowKey, Row> rows;
};

AnyEvent Event(std::string stream, std::vector<std::string> fields) {
  return {std::move(stream), {}, std::move(fields)};
}

/// Rows in columns and in _raw, in doubt and not, in tables of several kinds, in several commits. In a journal, every
/// third one moves the one before it.
Original MakeOriginal(const SpillFolder& folder, State state, bool is_journal) {
  const ConnectionId connection{std::string(40, 'a'), 17};
  const Doubt doubt{{1'700'000'000'000, 3}, connection};
  SpillWriter::Options options;
  options.number = 1;
  options.producer = "prod";
  options.event_id_field = kEventIdField;
  options.names_entries = is_journal;
  const std::unique_ptr<SpillWriter> writer = Must(folder.CreateActive(options));

  Original original{state, {}, {}, {}};
  int64_t ticket = 1;
  const auto append = [&](const AnyEvent& event, const std::optional<Doubt>& in_doubt) {
    std::optional<StreamId> id;
    if (is_journal) id = StreamId{1'700'000'000'000, static_cast<uint64_t>(ticket) << 16};
    const int64_t origin = is_journal && ticket % 3 == 0 ? ticket - 1 : 0;
    Must(writer->Append(ticket, 1000 + ticket, event.View(), in_doubt, {1'600'000'000'000, 1}, id, origin));
    original.rows[{event.stream, ticket}] = Row(ticket, 1000 + ticket, event.View(), in_doubt, id, origin);
    ++ticket;
  };
  for (int batch = 0; batch < 3; ++batch) {
    Must(writer->Begin());
    for (int i = 0; i < 3; ++i) {
      const std::string id = "e-" + std::to_string(ticket);
      append(Event("bounty-stream", {"github_id", std::to_string(ticket), "amount", "150", "event_id", id}), {});
      append(Event("bounty-stream", {"other", "layout", "event_id", id + "r", "event_id", "twice"}), doubt);
      append(Event(std::string("odd\0name", 8), {"_leading", "\xff\x00", "event_id", "prod-" + std::to_string(i)}), {});
    }
    Must(writer->Commit());
  }
  Must(writer->Begin());
  append(Event("payloads", {"event_id", "large", "body", std::string(6000, 'x')}), doubt);
  Must(writer->Commit());
  if (state == State::kSealed) {
    Must(writer->Seal(folder));
  } else {
    writer->Abandon();
  }
  const std::filesystem::path path = folder.PathOf(1, state);
  original.database = ReadBytes(path);
  original.wal = ReadBytes(path.native() + "-wal");
  return original;
}

/// What befalls the bytes: a few are replaced, parts trade places, the end is cut off.
void Damage(FuzzedDataProvider& input, std::string* bytes) {
  for (int i = 0; i < 8 && input.remaining_bytes() > 0 && !bytes->empty(); ++i) {
    const size_t at = input.ConsumeIntegralInRange<size_t>(0, bytes->size() - 1);
    switch (input.ConsumeIntegralInRange(0, 4)) {
      case 0:
        bytes->resize(at);
        break;
      case 1: {
        constexpr size_t kPage = 4096;
        const size_t from = at / kPage * kPage;
        const size_t to = input.ConsumeIntegralInRange<size_t>(0, bytes->size() - 1) / kPage * kPage;
        const std::string page = bytes->substr(from, kPage);
        bytes->replace(to, std::min(page.size(), bytes->size() - to), page);
        break;
      }
      default: {
        const std::string change = input.ConsumeRandomLengthString(8);
        bytes->replace(at, std::min(change.size(), bytes->size() - at), change);
      }
    }
  }
}

/// Does `number` stand in `bytes` as SQLite stores it: big-endian, without leading zeros?
bool Holds(const std::string& bytes, uint64_t number) {
  std::string stored;
  for (; number > 0; number >>= 8) stored.insert(stored.begin(), static_cast<char>(number));
  return bytes.find(stored) != std::string::npos;
}

/// What one file yields.
class Reading {
 public:
  Reading(const Original& original, std::string bytes) : original_(original), bytes_(std::move(bytes)) {}

  void TakeRow(const SpilledEvent& spilled) {
    const Doubt* doubt = spilled.doubt ? &*spilled.doubt : nullptr;
    const uint32_t checksum = ChecksumOfRow(ChecksumOfNames(spilled.event), spilled.ticket, spilled.received_ms,
                                            spilled.event, doubt, spilled.id, spilled.origin);
    const Row row(spilled);
    const auto written = original_.rows.find({row.stream, row.ticket});
    const bool as_written = written != original_.rows.end() && written->second == row;
    SPROCKETS_ASSERT(as_written || Holds(bytes_, checksum));  // else a row was believed against its checksum
    sum_of_checksums_ += checksum;
    ++rows_;
  }

  /// For a sealed file that was found good: what is missing would show in its totals, if those were not forged, too.
  void CheckComplete() const { SPROCKETS_ASSERT(rows_ == original_.rows.size() || Holds(bytes_, sum_of_checksums_)); }

 private:
  const Original& original_;
  const std::string bytes_;
  size_t rows_ = 0;
  uint64_t sum_of_checksums_ = 0;
};

/// Opens, verifies and reads everything. False: somewhere it said no.
bool ReadAll(const SpillFileInfo& info, Reading* reading) {
  auto file = SqliteFile::Open(info);
  if (!file.ok()) return false;
  bool good = file.value().Verify().ok();
  good = file.value().Connections().ok() && good;
  good = file.value().RejectedRows().ok() && good;
  good = file.value().Moves().ok() && good;
  const auto streams = file.value().Streams();
  if (!streams.ok()) return false;
  const auto take = [reading](const SpilledEvent& spilled) {
    reading->TakeRow(spilled);
    return true;
  };
  for (const SpilledStream& stream : streams.value()) good = file.value().Visit(stream, 0, 0, take).ok() && good;
  return good;
}

void CheckSealed(const Original& original, const SpillFileInfo& info, const std::string& bytes) {
  Reading reading(original, bytes);
  if (ReadAll(info, &reading)) reading.CheckComplete();
}

/// As the next start does with a file that was left behind.
void CheckLeftBehind(const Original& original, const SpillFolder& folder, const SpillFileInfo& info,
                     const std::string& bytes) {
  if (!RecoverLeftBehind(folder).ok()) return;
  for (SpillFileInfo file : Must(folder.List())) {
    SPROCKETS_ASSERT(file.number == info.number);
    Reading reading(original, bytes);
    const bool good = ReadAll(file, &reading);
    SPROCKETS_ASSERT(good || file.quarantined || file.suspect);  // what was sealed is whole
  }
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  using namespace sprockets::fuzz;
  static const ScratchFolder scratch;
  const auto make = [](const char* name, State state, bool is_journal) {
    return MakeOriginal(Must(DiskFolder::Open(scratch.path() / name)), state, is_journal);
  };
  static const std::array<Original, 4> kOriginals = {
      make("active", State::kActive, false), make("sealed", State::kSealed, false),
      make("active-journal", State::kActive, true), make("sealed-journal", State::kSealed, true)};

  FuzzedDataProvider input(data, size);
  const Original& original = kOriginals[input.ConsumeIntegralInRange<size_t>(0, kOriginals.size() - 1)];
  const bool damage_wal = !original.wal.empty() && input.ConsumeBool();
  SpillFileInfo info;
  info.number = 1;
  info.state = original.state;
  info.quarantined = input.ConsumeIntegralInRange(0, 3) == 0;
  std::string database = original.database;
  std::string wal = original.wal;
  Damage(input, damage_wal ? &wal : &database);

  const DiskFolder folder = Must(DiskFolder::Open(scratch.path() / "damaged"));
  info.path = folder.PathOf(1, info.state);
  WriteBytes(info.path, database);
  if (!wal.empty()) WriteBytes(info.path.native() + "-wal", wal);
  if (original.state == State::kSealed) {
    CheckSealed(original, info, database);
  } else if (info.quarantined) {
    Reading reading(original, database + wal);
    (void)ReadAll(info, &reading);
  } else {
    CheckLeftBehind(original, folder, info, database + wal);
  }
  for (const State state : {State::kActive, State::kSealed}) {
    info.state = state;
    info.path = folder.PathOf(1, state);
    Must(folder.Remove(info));
  }
  return 0;
}
