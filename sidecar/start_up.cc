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

// Reads what is good of one file into the window. False: the window is full.
Result<bool> FillFromFile(SpillFile& file, const IdentityHasher& hasher, Window* window) {
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.Streams());
  bool room = true;
  for (const SpilledStream& stream : streams) {
    const auto enter_spilled = [&](const SpilledEvent& row) {
      if (!row.own_id) room = window->AddOlderSpilled(hasher.Of(row.event), row.ticket);
      return room;
    };
    // Ids that we made count, too: their clients were told them with the UNKNOWN.
    const auto enter_unknown = [&](const SpilledEvent& row) {
      window->AddUnknown(hasher.Of(row.event), row.doubt ? std::min(row.doubt->anchor, stream.tail) : stream.tail);
      return true;
    };
    const bool suspect = file.info().suspect;
    RETURN_IF_ERROR(file.VisitNewestFirst(
        stream, suspect ? std::function<bool(const SpilledEvent&)>(enter_unknown) : enter_spilled));
  }
  return room;
}

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

// No room for its checkpoint, no descriptor left, or a drain is at work on it.
bool MayBeReadLater(const Error& error) {
  return error.code == ErrorCode::kFull || error.code == ErrorCode::kBusy || error.code == ErrorCode::kStarved;
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
  for (const SpillFileInfo& info : files) {
    if (info.quarantined) continue;
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

Result<bool> FillWindow(const SpillFolder& folder, const IdentityHasher& hasher, Window* window) {
  if (window->capacity() == 0) return true;
  ASSIGN_OR_RETURN(std::vector<SpillFileInfo> files, folder.List());
  bool room = true;
  bool complete = true;
  for (auto info = files.rbegin(); info != files.rend(); ++info) {
    // Suspect files are read even when the window is full: what is unknown is never forgotten.
    if (info->quarantined || (!room && !info->suspect)) continue;
    auto file = OpenWaitingOrDrained(folder, *info);
    Status filled;
    if (file.ok()) {
      auto more = FillFromFile(file.value(), hasher, window);
      if (more.ok()) {
        room = room && more.value();
      } else {
        filled = std::move(more).error();
      }
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
