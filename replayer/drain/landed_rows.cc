#include "replayer/drain/landed_rows.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <utility>

#include "shared/spill/journal_index.h"

namespace sprockets {
namespace {

/// The rows of each event that was moved, by stream and first row.
using RowsOfEvents = std::map<std::string, std::map<int64_t, std::set<int64_t>>, std::less<>>;

Status AddMoves(const SpillFolder& folder, const SpillFileInfo& info, RowsOfEvents* rows) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder.OpenFile(info));
  ASSIGN_OR_RETURN(const std::vector<SpillFile::Move> moves, file->Moves());
  if (moves.empty()) return {};
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->UncountedStreams());
  for (const SpillFile::Move& move : moves) {
    const auto is_its = [&](const SpilledStream& stream) { return stream.id == move.stream_id; };
    const auto stream = std::find_if(streams.begin(), streams.end(), is_its);
    if (stream == streams.end()) continue;
    std::set<int64_t>& tickets = (*rows)[stream->name][move.origin];
    tickets.insert(move.origin);
    tickets.insert(move.ticket);
  }
  return {};
}

}  // namespace

Result<int64_t> LandedRows::Known::UpTo(SpillFile& journal, const SpilledStream& stream) const {
  const auto mark = marks.find(stream.name);
  return mark == marks.end() ? 0 : LastTicketUpTo(journal, stream, mark->second.landed);
}

const std::vector<int64_t>& LandedRows::Known::SupersededOf(std::string_view stream) const {
  static const std::vector<int64_t> kNone;
  const auto found = superseded.find(stream);
  return found == superseded.end() ? kNone : found->second;
}

Status LandedRows::Know() {
  const auto known = Ask();
  return known.ok() ? Status() : Status(known.error());
}

Result<int64_t> LandedRows::CountWaiting(SpillFile& journal, const SpilledStream& stream) {
  ASSIGN_OR_RETURN(const Known* known, Ask());
  ASSIGN_OR_RETURN(const int64_t up_to, known->UpTo(journal, stream));
  return journal.CountAfter(stream, up_to, known->SupersededOf(stream.name));
}

Result<int64_t> LandedRows::CountWaiting(SpillFile& journal) {
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, journal.UncountedStreams());
  int64_t waiting = 0;
  for (const SpilledStream& stream : streams) {
    ASSIGN_OR_RETURN(const int64_t of_stream, CountWaiting(journal, stream));
    waiting += of_stream;
  }
  return waiting;
}

Status LandedRows::VisitWaiting(SpillFile& journal, const SpilledStream& stream,
                                const std::function<bool(const SpilledEvent&)>& visitor,
                                const std::function<void(int64_t, std::string_view)>& on_bad_row) {
  ASSIGN_OR_RETURN(const Known* known, Ask());
  const std::vector<int64_t>& superseded = known->SupersededOf(stream.name);
  const auto visit = [&](const SpilledEvent& row) {
    return std::binary_search(superseded.begin(), superseded.end(), row.ticket) || visitor(row);
  };
  ASSIGN_OR_RETURN(const int64_t up_to, known->UpTo(journal, stream));
  return journal.Visit(stream, up_to, 0, visit, on_bad_row);
}

Result<const LandedRows::Known*> LandedRows::Ask() {
  if (!known_) known_.emplace(Read());
  if (!known_->ok()) return known_->error();
  return &known_->value();
}

Result<LandedRows::Known> LandedRows::Read() const {
  Known known;
  RETURN_IF_ERROR(ReadMarks(&known));
  RETURN_IF_ERROR(ReadMoves(&known));
  return known;
}

/// The sidecar keeps the state file to itself, so its lock is asked first: that takes no time.
Status LandedRows::ReadMarks(Known* known) const {
  const Result<FileLock> lock = folder_.LockForWriting(0);
  if (!lock.ok() && lock.error().code == ErrorCode::kBusy)
    return Error{ErrorCode::kBusy, "a sidecar is at work: only its STATUS says what has landed"};
  if (!lock.ok()) return lock.error();
  const Result<StateFile> state = StateFile::OpenExisting(folder_);
  // Without it nobody knows of anything that it has landed.
  if (!state.ok()) return state.error().code == ErrorCode::kNotFound ? Status() : Status(state.error());
  known->marks = state.value().landed();
  return {};  // not closed: that would write to it
}

/// An event may be moved in a later file than its first row's. A file that cannot be read says so elsewhere.
Status LandedRows::ReadMoves(Known* known) const {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder_.List());
  RowsOfEvents rows;
  for (const SpillFileInfo& info : files) {
    if (info.quarantined || info.state == SpillFileInfo::State::kActive) continue;
    (void)AddMoves(folder_, info, &rows);
  }
  for (const auto& [stream, events] : rows) {
    std::vector<int64_t>& superseded = known->superseded[stream];
    for (const auto& [origin, tickets] : events) {
      superseded.insert(superseded.end(), tickets.begin(), std::prev(tickets.end()));
    }
    std::sort(superseded.begin(), superseded.end());
  }
  return {};
}

}  // namespace sprockets
