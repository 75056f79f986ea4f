#include "sidecar/disk/folder_reader.h"

#include <algorithm>
#include <utility>

#include "shared/base/log.h"

namespace sprockets {

Result<FolderReader> FolderReader::Open(const SpillFolder& folder, const Options& options) {
  FolderReader reader(folder, options);
  ASSIGN_OR_RETURN(reader.files_, folder.List());
  std::erase_if(reader.files_, [](const SpillFileInfo& info) { return info.quarantined; });
  return reader;
}

Result<EarlierEvents> FolderReader::ReadNext() {
  if (files_.empty()) files_.swap(postponed_);
  if (files_.empty()) return EarlierEvents();
  const SpillFileInfo info = std::move(files_.back());
  files_.pop_back();
  EarlierEvents events;
  const Status read = Read(info, &events);
  if (read.ok()) return events;
  switch (TroubleOf(read.error())) {
    case FileTrouble::kGone:
      break;
    case FileTrouble::kLater:
      postponed_.insert(postponed_.begin(), info);
      if (complained_.insert(info.number).second) {
        LogWarning("spill-file-not-read",
                   {{"file", info.path.filename().string()}, {"why", read.error().message}, {"next", "tried again"}});
      }
      break;
    case FileTrouble::kUnreadable:
      RETURN_IF_ERROR(Quarantine(folder_, info, read.error()));
      break;
    case FileTrouble::kFatal:
      incomplete_ = true;
      return read.error();
  }
  return EarlierEvents();
}

Status FolderReader::Read(const SpillFileInfo& info, EarlierEvents* events) {
  const bool waits = info.state != SpillFileInfo::State::kDrained;
  // Files follow one another in time, so as many rows as the window has places are enough, if they are also as many
  // bytes as may have been left unanswered. Suspect files are read in any case.
  const bool has_place = rows_ < options_.window_capacity || bytes_ < 2 * options_.max_inflight_bytes;
  if (!waits && !has_place && !info.suspect) return {};
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, OpenWaitingOrDrained(folder_, info));
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->Streams());
  if (file->info().state != SpillFileInfo::State::kDrained) {
    SpillReport::File known{info.path.filename(), 0, info.bytes, file->begun_ms()};
    for (const SpilledStream& stream : streams) known.rows += stream.rows_left;
    waiting_[info.number] = known;
  }
  if (options_.window_capacity == 0) return {};
  for (const SpilledStream& stream : streams) {
    if (file->info().suspect) {
      RETURN_IF_ERROR(ReadUnknown(*file, stream, events));
    } else if (has_place) {
      RETURN_IF_ERROR(ReadSpilled(*file, stream, events));
    }
  }
  rows_ += events->spilled.size();
  return {};
}

Status FolderReader::ReadSpilled(SpillFile& file, const SpilledStream& stream, EarlierEvents* events) {
  size_t rows = 0;
  int64_t& bytes_of_stream = bytes_of_stream_[stream.name];
  return file.VisitNewestFirst(stream, [&](const SpilledEvent& row) {
    // What a killed life had committed and not answered was bounded in bytes. That life need not be the last one.
    const bool maybe_unanswered = bytes_of_stream < 2 * options_.max_inflight_bytes;
    if (!maybe_unanswered && (rows >= options_.window_capacity || !WouldKeep(row.received_ms))) return false;
    for (const std::string_view word : row.event.fields) {
      bytes_of_stream += static_cast<int64_t>(word.size());
      bytes_ += static_cast<int64_t>(word.size());
    }
    ++rows;
    Window::Restored restored{options_.hasher.Of(row.event), kStreamBegin, row.ticket};
    restored.when_ms = row.received_ms;
    restored.clients_id = !row.own_id;
    restored.maybe_unanswered = maybe_unanswered;
    events->spilled.push_back(restored);
    if (!row.own_id) {
      newest_ms_.push(row.received_ms);
      if (newest_ms_.size() > options_.window_capacity) newest_ms_.pop();
    }
    return true;
  });
}

// Ids that we made count, too: their clients were told them with the UNKNOWN.
Status FolderReader::ReadUnknown(SpillFile& file, const SpilledStream& stream, EarlierEvents* events) {
  return file.VisitNewestFirst(stream, [&](const SpilledEvent& row) {
    if (unknown_ >= options_.most_unknown) {
      incomplete_ = true;
      return false;
    }
    ++unknown_;
    const StreamId anchor = row.doubt ? std::min(row.doubt->anchor, stream.tail) : stream.tail;
    events->unknown.push_back({options_.hasher.Of(row.event), anchor});
    return true;
  });
}

bool FolderReader::WouldKeep(int64_t received_ms) const {
  return newest_ms_.size() < options_.window_capacity || newest_ms_.top() < received_ms;
}

FileTrouble TroubleOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
      return FileTrouble::kGone;
    case ErrorCode::kFull:
    case ErrorCode::kBusy:
    case ErrorCode::kStarved:
    case ErrorCode::kForbidden:
      return FileTrouble::kLater;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
      return FileTrouble::kUnreadable;
    default:
      return FileTrouble::kFatal;
  }
}

Result<std::unique_ptr<SpillFile>> OpenWaitingOrDrained(const SpillFolder& folder, const SpillFileInfo& listed) {
  auto file = folder.OpenFile(listed);
  if (file.ok() || file.error().code != ErrorCode::kNotFound || listed.state == SpillFileInfo::State::kDrained)
    return file;
  SpillFileInfo drained = listed;
  drained.state = SpillFileInfo::State::kDrained;
  drained.path = folder.PathOf(drained.number, drained.state);
  return folder.OpenFile(drained);
}

Status Quarantine(const SpillFolder& folder, const SpillFileInfo& info, const Error& error) {
  LogError("spill-file-quarantined", {{"file", info.path.filename().string()}, {"error", error.message}});
  return folder.MarkQuarantined(info.number);
}

}  // namespace sprockets
