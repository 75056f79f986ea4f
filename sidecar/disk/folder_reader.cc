#include "sidecar/disk/folder_reader.h"

#include <algorithm>
#include <utility>

#include "shared/base/log.h"
#include "shared/spill/file_trouble.h"

namespace sprockets {

namespace {

// A portion: rows of 300 bytes take about ten milliseconds, and an event that is to be spilled waits no longer for it.
constexpr int64_t kTicketsAtOnce = 4096;

}  // namespace

FolderReader::FolderReader(const SpillFolder& folder, std::span<const SpillFileInfo> files, const Options& options)
    : folder_(folder), options_(options) {
  to_read_.now.reserve(options.window_capacity > 0 ? files.size() : 0);
  for (const SpillFileInfo& info : files) {
    if (info.quarantined) continue;
    if (options.window_capacity > 0) to_read_.now.push_back({info, {}});
    if (info.state != SpillFileInfo::State::kDrained) to_count_.now.push_back({info, {}});
  }
}

Result<EarlierEvents> FolderReader::ReadNext() {
  if (left() == 0) {
    to_read_.now.swap(to_read_.later);
    to_count_.now.swap(to_count_.later);
  }
  if (left() == 0) return EarlierEvents();
  const bool reads = !to_read_.now.empty();
  Queue& queue = reads ? to_read_ : to_count_;
  Task task = std::move(queue.now.back());
  queue.now.pop_back();
  EarlierEvents events;
  const Status done = reads ? Read(&task, &events) : Count(task.info);
  if (!done.ok()) {
    RETURN_IF_ERROR(HandleTrouble(done.error(), std::move(task), &queue));
    return EarlierEvents();
  }
  if (task.unread) queue.now.push_back(std::move(task));
  DropWhatFindsNoPlace();
  return events;
}

// Files follow one another in time, so as many rows as the window has places are enough, if they are also as many bytes
// as may have been left unanswered. Suspect files are read in any case, and so are those that could not be opened in
// their turn: newer than what was read instead.
void FolderReader::DropWhatFindsNoPlace() {
  if (rows_ < options_.window_capacity || bytes_ < 2 * options_.max_inflight_bytes) return;
  std::erase_if(to_read_.now, [](const Task& task) { return !task.unread && !task.info.suspect && !task.postponed; });
}

Status FolderReader::HandleTrouble(const Error& error, Task task, Queue* queue) {
  const SpillFileInfo info = task.info;
  switch (TroubleOf(error)) {
    case FileTrouble::kGone:
      break;
    case FileTrouble::kLater:
      task.postponed = true;
      queue->later.insert(queue->later.begin(), std::move(task));
      if (complained_.insert(info.number).second) {
        LogWarning("spill-file-not-read",
                   {{"file", info.path.filename().string()}, {"why", error.message}, {"next", "tried again"}});
      }
      break;
    case FileTrouble::kUnreadable:
      std::erase_if(to_count_.now, [&](const Task& other) { return other.info.number == info.number; });
      return Quarantine(folder_, info, error);
    case FileTrouble::kFatal:
      incomplete_ = incomplete_ || queue == &to_read_;
      return error;
  }
  return {};
}

Status FolderReader::Count(const SpillFileInfo& info) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, OpenWaitingOrDrained(folder_, info));
  if (file->info().state == SpillFileInfo::State::kDrained) return {};
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->Streams());
  SpillReport::File known{info.path.filename(), 0, info.bytes, file->begun_ms()};
  for (const SpilledStream& stream : streams) known.rows += stream.rows_left;
  waiting_[info.number] = known;
  return {};
}

// One portion. A file that is read to its end has nothing unread any more.
Status FolderReader::Read(Task* task, EarlierEvents* events) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, OpenWaitingOrDrained(folder_, task->info));
  if (!task->unread) RETURN_IF_ERROR(Begin(*file, task));
  RETURN_IF_ERROR(ReadPortion(*file, &*task->unread, events));
  rows_ += events->spilled.size();
  if (task->unread->parts.empty() || task->unread->up_to == 0) task->unread.reset();
  return {};
}

Status FolderReader::Begin(SpillFile& file, Task* task) {
  ASSIGN_OR_RETURN(std::vector<SpilledStream> streams, file.UncountedStreams());
  Unread& unread = task->unread.emplace(Unread{});
  for (SpilledStream& stream : streams) {
    unread.up_to = std::max(unread.up_to, stream.last_ticket);
    unread.parts.push_back({std::move(stream)});
  }
  return {};
}

// The newest rows of all streams together: tickets count over all of them.
Status FolderReader::ReadPortion(SpillFile& file, Unread* unread, EarlierEvents* events) {
  const int64_t after = std::max<int64_t>(0, unread->up_to - kTicketsAtOnce);
  // A journal's row has an id, and counts wherever it stands: what is in doubt there is committed again, under that id.
  const bool is_unknown = file.info().suspect && !file.names_entries();
  bool found = false;
  std::vector<Part> going_on;
  for (Part& part : unread->parts) {
    bool enough = false;
    const auto take = [&](const SpilledEvent& row) {
      found = true;
      enough = is_unknown ? !TakeUnknown(row, part, events) : !TakeSpilled(row, &part, events);
      return !enough;
    };
    RETURN_IF_ERROR(file.VisitNewestFirst(part.stream, after, unread->up_to, take));
    if (!enough) going_on.push_back(std::move(part));
  }
  unread->parts = std::move(going_on);
  unread->up_to = after;
  return found ? Status() : SkipGap(file, unread);
}

// Tickets are given in blocks, and a damaged catalogue may name any.
Status FolderReader::SkipGap(SpillFile& file, Unread* unread) {
  int64_t last = 0;
  for (const Part& part : unread->parts) {
    if (unread->up_to == 0) break;
    const auto look = [&](const SpilledEvent& row) {
      last = std::max(last, row.ticket);
      return false;
    };
    RETURN_IF_ERROR(file.VisitNewestFirst(part.stream, 0, unread->up_to, look));
  }
  unread->up_to = last;
  return {};
}

// False: of this stream the window needs no more.
bool FolderReader::TakeSpilled(const SpilledEvent& row, Part* part, EarlierEvents* events) {
  if (IsSuperseded(row)) return true;
  int64_t& bytes_of_stream = bytes_of_stream_[part->stream.name];
  // What a killed life had committed and not answered was bounded in bytes. That life need not be the last one. The
  // window keeps the newest of them: once it has as many as it can hold, older ones are no exception any more.
  const bool maybe_unanswered =
      bytes_of_stream < 2 * options_.max_inflight_bytes && maybe_unanswered_ < options_.most_unknown;
  if (!maybe_unanswered && (part->rows >= options_.window_capacity || !WouldKeep(row.received_ms))) return false;
  for (const std::string_view word : row.event.fields) {
    bytes_of_stream += static_cast<int64_t>(word.size());
    bytes_ += static_cast<int64_t>(word.size());
  }
  ++part->rows;
  Window::Restored restored{options_.hasher.Of(row.event), row.id.value_or(kStreamBegin), row.ticket};
  restored.origin = row.origin;
  restored.when_ms = row.received_ms;
  restored.clients_id = !row.own_id;
  restored.maybe_unanswered = maybe_unanswered;
  events->spilled.push_back(restored);
  if (!row.own_id) {
    maybe_unanswered_ += maybe_unanswered ? 1 : 0;
    newest_ms_.push(row.received_ms);
    if (newest_ms_.size() > options_.window_capacity) newest_ms_.pop();
  }
  return true;
}

bool FolderReader::IsSuperseded(const SpilledEvent& row) const {
  if (options_.moved.empty() || !row.id) return false;
  const auto moved = options_.moved.find(row.origin == 0 ? row.ticket : row.origin);
  return moved != options_.moved.end() && moved->second > row.ticket;
}

// Ids that we made count, too: their clients were told them with the UNKNOWN. False: no more are kept.
bool FolderReader::TakeUnknown(const SpilledEvent& row, const Part& part, EarlierEvents* events) {
  if (unknown_ >= options_.most_unknown) {
    incomplete_ = true;
    return false;
  }
  ++unknown_;
  const StreamId anchor = row.doubt ? std::min(row.doubt->anchor, part.stream.tail) : part.stream.tail;
  events->unknown.push_back({options_.hasher.Of(row.event), anchor});
  return true;
}

bool FolderReader::WouldKeep(int64_t received_ms) const {
  return newest_ms_.size() < options_.window_capacity || newest_ms_.top() < received_ms;
}

}  // namespace sprockets
