// Copying the good rows of a damaged file.
#include "replayer/drain/salvage.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

constexpr int64_t kRowsPerCommit = 4096;
constexpr int64_t kMostLookUps = 1'000'000;  // behind one damaged page

/// Copies row by row; every row in doubt since the beginning of its stream.
class RowCopier {
 public:
  RowCopier(SpillFile& from, SpillWriter& to, DrainReport& report) : from_(from), to_(to), report_(report) {}

  Status CopyAll(const std::vector<SpilledStream>& streams) {
    RETURN_IF_ERROR(to_.Begin());
    for (const SpilledStream& stream : streams) RETURN_IF_ERROR(CopyStream(stream));
    return to_.Commit();
  }
  int64_t copied() const { return copied_; }
  int64_t bad() const { return bad_; }

 private:
  /// A damaged page ends a visit: the copy goes on behind it.
  Status CopyStream(const SpilledStream& stream) {
    int64_t after = 0;
    while (true) {
      Status failed;
      const auto copy = [&](const SpilledEvent& row) {
        after = row.ticket;
        failed = Copy(row);
        return failed.ok();
      };
      const auto name_bad = [&](int64_t ticket, std::string_view reason) {
        after = ticket;
        NameBad(stream, ticket, reason);
      };
      const Status visited = from_.Visit(stream, after, 0, copy, name_bad);
      RETURN_IF_ERROR(std::move(failed));
      if (visited.ok()) return {};
      const std::optional<int64_t> readable = FirstReadableBehind(stream, after);
      ++bad_;
      report_.Warn("rows-out-of-reach", {{"file", from_.info().path.filename().native()},
                                         {"stream", Escape(stream.name)},
                                         {"from_ticket", after + 1},
                                         {"to_ticket", readable.value_or(stream.last_ticket + 1) - 1},
                                         {"why", visited.error().message}});
      if (!readable) return {};
      after = *readable - 1;
    }
  }

  Status Copy(const SpilledEvent& row) {
    RETURN_IF_ERROR(to_.Append(row.ticket, row.received_ms, row.event, Doubt{kStreamBegin, std::nullopt}, kStreamBegin,
                               row.id, row.origin));
    if (++copied_ % kRowsPerCommit != 0) return {};
    RETURN_IF_ERROR(to_.Commit());
    return to_.Begin();
  }

  void NameBad(const SpilledStream& stream, int64_t ticket, std::string_view reason) {
    ++bad_;
    report_.Warn("bad-row", {{"file", from_.info().path.filename().native()},
                             {"stream", Escape(stream.name)},
                             {"ticket", ticket},
                             {"why", reason}});
  }

  /// Looked up ticket by ticket, since only a look-up that does not pass the damaged page succeeds.
  std::optional<int64_t> FirstReadableBehind(const SpilledStream& stream, int64_t after) {
    for (int64_t ticket = after + 1; ticket <= after + kMostLookUps; ++ticket) {
      std::optional<int64_t> found;
      const auto take = [&](int64_t number) { found = number; };
      const auto visitor = [&](const SpilledEvent& row) {
        take(row.ticket);
        return false;
      };
      const Status looked =
          from_.Visit(stream, ticket - 1, 0, visitor, [&](int64_t number, std::string_view) { take(number); });
      if (found) return found;
      if (looked.ok()) return std::nullopt;  // the end of the stream
    }
    return std::nullopt;
  }

  SpillFile& from_;
  SpillWriter& to_;
  DrainReport& report_;
  int64_t copied_ = 0;
  int64_t bad_ = 0;
};

/// Where an earlier drain led rows of the damaged file, the good ones are to be looked for.
Status CopyPlaces(const SpillFolder& folder, int64_t number, const std::vector<SpilledStream>& damaged) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  for (const SpillFileInfo& info : files) {
    if (info.number != number) continue;
    ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder.OpenFile(info));
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->Streams());
    for (const SpilledStream& stream : streams) {
      const auto is_same = [&](const SpilledStream& other) { return other.name == stream.name; };
      const auto source = std::find_if(damaged.begin(), damaged.end(), is_same);
      if (source == damaged.end()) continue;
      for (const LedTo& place : source->led_to) RETURN_IF_ERROR(file->KeepLedTo(stream.id, place));
    }
    RETURN_IF_ERROR(file->Close());
  }
  return {};
}

}  // namespace

Status Salvage(const SpillFolder& folder, const SpillFileInfo& info, DrainReport& report) {
  const std::string name = info.path.filename().native();
  if (!info.quarantined) return Error{ErrorCode::kRefused, name + " is not quarantined: drain takes it as it is"};
  const Result<FileLock> lock = folder.LockForWriting(0);
  if (!lock.ok())
    return Error{lock.error()}.Prefixed("salvage needs the sidecar stopped, because it makes a new spill file");

  const auto nothing_readable = [&](const Error& error) {
    return Error{error}.Prefixed("salvage: nothing of " + name +
                                 " can be read; keep it elsewhere if it may be worth more, and delete it here");
  };
  Result<std::unique_ptr<SpillFile>> opened = folder.OpenFile(info);
  if (!opened.ok()) return nothing_readable(opened.error());
  const std::unique_ptr<SpillFile> damaged = std::move(opened).value();
  const Result<std::vector<SpilledStream>> read = damaged->Streams();
  if (!read.ok()) return nothing_readable(read.error());
  const std::vector<SpilledStream>& streams = read.value();
  const Result<std::vector<ConnectionId>> connections = damaged->Connections();
  ASSIGN_OR_RETURN(const int64_t number, folder.NextNumber());
  SpillWriter::Options options;
  options.number = number;
  options.producer = damaged->producer();
  options.event_id_field = damaged->event_id_field();
  options.begun_ms = WallClockMs();
  options.database = damaged->database();
  options.names_entries = damaged->names_entries();
  options.connections_lost = damaged->connections_lost() || !connections.ok();
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillWriter> writer, folder.CreateActive(options));

  RowCopier copier(*damaged, *writer, report);
  RETURN_IF_ERROR(copier.CopyAll(streams));
  if (connections.ok() && !connections.value().empty()) {
    RETURN_IF_ERROR(writer->Begin());
    RETURN_IF_ERROR(writer->AddConnections(connections.value()));
    RETURN_IF_ERROR(writer->Commit());
  }
  RETURN_IF_ERROR(writer->Seal(folder));
  if (copier.copied() > 0) RETURN_IF_ERROR(folder.MarkSuspect(number));
  if (copier.copied() > 0) RETURN_IF_ERROR(CopyPlaces(folder, number, streams));
  const std::string damage = damaged->wal_damage();
  const bool complete = copier.bad() == 0 && damage.empty();
  // One that does not say so is kept, and each drain names it: it has the only trace of what could not be read.
  if (complete) (void)damaged->MarkDrained(WallClockMs());
  RETURN_IF_ERROR(damaged->Close());
  // Only now that the good rows are sealed may the original leave.
  RETURN_IF_ERROR(folder.Move(info.number, info.state, SpillFileInfo::State::kDrained));
  if (!damage.empty()) report.Warn("rows-out-of-reach", {{"file", name}, {"why", damage}});
  if (!complete) report.Worsen(DrainResult::kLeft);
  report.Warn("salvaged", {{"file", name}, {"rows", copier.copied()}, {"bad", copier.bad()}, {"as", number}});
  return {};
}

}  // namespace sprockets
