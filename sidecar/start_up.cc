#include "sidecar/start_up.h"

#include <algorithm>

#include "shared/log.h"
#include "shared/spill_file.h"

namespace sprockets {

namespace {

constexpr int64_t kLockWaitMs = 30'000;

// A drain may run while we start: a file that waited when the folder was listed may lie in drained/ now.
Result<SpillFile> OpenWaitingOrDrained(const SpillFolder& folder, const SpillFileInfo& listed) {
  auto file = SpillFile::Open(listed);
  if (file.ok() || file.error().code != ErrorCode::kNotFound || listed.state == SpillFileInfo::State::kDrained)
    return file;
  SpillFileInfo drained = listed;
  drained.state = SpillFileInfo::State::kDrained;
  drained.path = folder.PathOf(drained.number, drained.state);
  return SpillFile::Open(drained);
}

// What one file holds, into the window. Rows of a suspect file as unknown: all of them.
class FileReader {
 public:
  FileReader(const WindowSources& sources, bool is_last, Window* window)
      : sources_(sources), is_last_(is_last), window_(window) {}

  Status Read(SpillFile& file) {
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.Streams());
    const bool suspect = file.info().suspect;
    for (const SpilledStream& stream : streams) {
      bytes_ = 0;
      stream_rows_ = 0;
      const auto enter_spilled = [&](const SpilledEvent& row) { return EnterSpilled(row); };
      const auto enter_unknown = [&](const SpilledEvent& row) { return EnterUnknown(stream, row); };
      RETURN_IF_ERROR(file.VisitNewestFirst(
          stream, suspect ? std::function<bool(const SpilledEvent&)>(enter_unknown) : enter_spilled));
    }
    return {};
  }
  size_t rows() const { return rows_; }
  bool all_unknown_kept() const { return all_unknown_kept_; }

 private:
  bool EnterSpilled(const SpilledEvent& row) {
    // What a killed life had committed and not answered stands at the end of its last file, and was bounded in bytes.
    const bool maybe_unanswered = is_last_ && bytes_ < 2 * sources_.max_inflight_bytes;
    const bool has_place = stream_rows_ < window_->capacity() && window_->WouldKeep(row.received_ms);
    if (!has_place && !maybe_unanswered) return false;
    for (const std::string_view word : row.event.fields) bytes_ += static_cast<int64_t>(word.size());
    ++stream_rows_;
    ++rows_;
    Window::Restored restored{sources_.hasher.Of(row.event), kStreamBegin, row.ticket};
    restored.when_ms = row.received_ms;
    restored.clients_id = !row.own_id;
    restored.maybe_unanswered = maybe_unanswered;
    window_->Restore(restored);
    return true;
  }

  // Ids that we made count, too: their clients were told them with the UNKNOWN.
  bool EnterUnknown(const SpilledStream& stream, const SpilledEvent& row) {
    all_unknown_kept_ = window_->has_room_for_unknown();
    if (!all_unknown_kept_) return false;
    const StreamId anchor = row.doubt ? std::min(row.doubt->anchor, stream.tail) : stream.tail;
    return window_->AddUnknown(sources_.hasher.Of(row.event), anchor);
  }

  const WindowSources& sources_;
  const bool is_last_;
  Window* const window_;
  int64_t bytes_ = 0;       // of the stream that is being read
  size_t stream_rows_ = 0;  // likewise
  size_t rows_ = 0;
  bool all_unknown_kept_ = true;
};

Status ReadFile(const SpillFileInfo& info, OpenedFolder* opened) {
  ASSIGN_OR_RETURN(SpillFile file, OpenWaitingOrDrained(opened->folder, info));
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.Streams());
  SpillReport::File known{info.path.filename(), 0, info.bytes, file.begun_ms()};
  for (const SpilledStream& stream : streams) {
    known.rows += stream.rows_left;
    opened->highest_ticket = std::max(opened->highest_ticket, stream.last_ticket);
  }
  if (file.info().state != SpillFileInfo::State::kDrained) opened->files[info.number] = known;
  return {};
}

// No room for its checkpoint, no descriptor left, no right to open it, or a drain is at work on it.
bool MayBeReadLater(const Error& error) {
  return error.code == ErrorCode::kFull || error.code == ErrorCode::kBusy || error.code == ErrorCode::kStarved ||
         error.code == ErrorCode::kForbidden;
}
bool IsUnreadable(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kIo;
}

// One bad file must not keep the sidecar from starting: it is set aside where it stands, for `drain --salvage`.
Status Quarantine(const SpillFolder& folder, const SpillFileInfo& info, const Error& error) {
  LogError("spill-file-quarantined", {{"file", info.path.filename().string()}, {"error", error.message}});
  return folder.MarkQuarantined(info.number);
}

}  // namespace

Result<OpenedFolder> OpenSpillFolder(const std::string& path) {
  ASSIGN_OR_RETURN(SpillFolder folder, SpillFolder::Open(path));
  ASSIGN_OR_RETURN(FileLock lock, folder.LockForWriting(kLockWaitMs).Prefixed("another sidecar has this spill folder"));
  RETURN_IF_ERROR(folder.SpendReserve());
  ASSIGN_OR_RETURN(const RecoveryReport recovered, RecoverLeftBehind(folder));
  if (recovered.sealed > 0) LogInfo("spill-recovered", {{"files", recovered.sealed}, {"rows", recovered.rows}});
  for (const std::string& name : recovered.quarantined) LogError("spill-file-quarantined", {{"file", name}});
  for (const std::string& name : recovered.suspect) LogError("spill-file-suspect", {{"file", name}});
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  OpenedFolder opened{folder, std::move(lock), {}, {}, 0};
  // Drained files tell nothing that the state file does not, and there may be thousands of them.
  bool tickets_known = false;
  if (Result<StateFile> state = StateFile::OpenExisting(opened.folder); state.ok()) {
    tickets_known = state.value().Close().ok();
  }
  for (const SpillFileInfo& info : files) {
    if (info.quarantined || (tickets_known && info.state == SpillFileInfo::State::kDrained)) continue;
    const Status read = ReadFile(info, &opened);
    if (read.ok() || read.error().code == ErrorCode::kNotFound)
      continue;  // gone for good: drained, and kept long enough
    if (MayBeReadLater(read.error())) continue;
    if (!IsUnreadable(read.error())) return read.error();
    RETURN_IF_ERROR(Quarantine(folder, info, read.error()));
  }
  ASSIGN_OR_RETURN(opened.state, StateFile::Open(folder, {.folder_has_files = !files.empty(),
                                                          .highest_ticket = opened.highest_ticket}));
  if (opened.state->connections_lost())
    LogWarning("state-file-lost", {{"cost", "what is in doubt is not proven absent until Redis restarts"}});
  if (const Status kept = folder.KeepReserve(); !kept.ok()) LogWarning("no-reserve", {{"why", kept.error().message}});
  return opened;
}

Result<bool> FillWindow(const SpillFolder& folder, const WindowSources& sources, Window* window) {
  if (window->capacity() == 0) return true;
  ASSIGN_OR_RETURN(std::vector<SpillFileInfo> files, folder.List());
  size_t rows = 0;
  bool complete = true;
  for (auto info = files.rbegin(); info != files.rend(); ++info) {
    // Files follow one another in time, so as many rows as the window has places are enough. Suspect files are read in
    // any case: nobody knows what became of their rows.
    if (info->quarantined || (rows >= window->capacity() && !info->suspect)) continue;
    auto file = OpenWaitingOrDrained(folder, *info);
    Status filled;
    if (file.ok()) {
      FileReader reader(sources, info == files.rbegin(), window);
      filled = reader.Read(file.value());
      rows += reader.rows();
      complete = complete && reader.all_unknown_kept();
    } else {
      filled = std::move(file).error();
    }
    if (filled.ok() || filled.error().code == ErrorCode::kNotFound) continue;
    if (MayBeReadLater(filled.error())) {
      LogWarning("spill-file-not-read", {{"file", info->path.filename().string()}, {"why", filled.error().message}});
      complete = false;
      continue;
    }
    if (!IsUnreadable(filled.error())) return std::move(filled).error();
    RETURN_IF_ERROR(Quarantine(folder, *info, filled.error()));
  }
  return complete;
}

}  // namespace sprockets
