#include "shared/spill/start_up.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "shared/base/log.h"
#include "shared/spill/file.h"
#include "shared/spill/file_trouble.h"

namespace sprockets {

namespace {

Result<int64_t> HighestTicketIn(const SpillFolder& folder, const SpillFileInfo& info) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, OpenWaitingOrDrained(folder, info));
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->UncountedStreams());
  int64_t highest = 0;
  for (const SpilledStream& stream : streams) highest = std::max(highest, stream.last_ticket);
  return highest;
}

Result<int64_t> HighestTicketIn(const SpillFolder& folder, std::span<const SpillFileInfo> files) {
  int64_t highest = 0;
  for (const SpillFileInfo& info : files) {
    if (info.quarantined) continue;
    const Result<int64_t> ticket = HighestTicketIn(folder, info);
    if (ticket.ok()) {
      highest = std::max(highest, ticket.value());
      continue;
    }
    const FileTrouble trouble = TroubleOf(ticket.error());
    if (trouble == FileTrouble::kFatal) return ticket.error();
    if (trouble == FileTrouble::kUnreadable) RETURN_IF_ERROR(Quarantine(folder, info, ticket.error()));
  }
  return highest;
}

bool IsLeftBehind(const SpillFileInfo& info) {
  return info.state == SpillFileInfo::State::kActive && !info.suspect && !info.quarantined;
}

Status Recover(const SpillFolder& folder) {
  ASSIGN_OR_RETURN(const RecoveryReport recovered, RecoverLeftBehind(folder));
  if (recovered.sealed > 0) LogInfo("spill-recovered", {{"files", recovered.sealed}, {"rows", recovered.rows}});
  for (const std::string& name : recovered.quarantined) LogError("spill-file-quarantined", {{"file", name}});
  for (const std::string& name : recovered.suspect) LogError("spill-file-suspect", {{"file", name}});
  return {};
}

bool StateFileIsThere(const SpillFolder& folder) {
  Result<StateFile> state = StateFile::OpenExisting(folder);
  return state.ok() && state.value().Close().ok();
}

// Nobody shall think that a start hangs.
Result<FileLock> LockForWriting(const SpillFolder& folder, int64_t wait_ms) {
  Result<FileLock> at_once = folder.LockForWriting(0);
  if (at_once.ok() || at_once.error().code != ErrorCode::kBusy || wait_ms == 0) return at_once;
  LogInfo("folder-in-use", {{"folder", folder.path().native()},
                            {"why", "another sidecar or a drain has its lock"},
                            {"waits_at_most_ms", wait_ms}});
  return folder.LockForWriting(wait_ms);
}

}  // namespace

Result<OpenedFolder> OpenSpillFolder(const SpillFolder& folder, int64_t lock_wait_ms) {
  ASSIGN_OR_RETURN(FileLock lock,
                   LockForWriting(folder, lock_wait_ms).Prefixed("another sidecar uses this spill folder"));
  RETURN_IF_ERROR(folder.SpendReserve());
  // To list 10,000 drained files takes a while, so it is done once where nothing was left behind.
  ASSIGN_OR_RETURN(std::vector<SpillFileInfo> files, folder.List());
  if (std::any_of(files.begin(), files.end(), IsLeftBehind)) {
    RETURN_IF_ERROR(Recover(folder));
    ASSIGN_OR_RETURN(files, folder.List());
  }
  const bool has_files = !files.empty();
  // The state file says which tickets are taken, and the newest file whether it is an older copy of itself. Without it
  // every file has to be asked, drained ones, too.
  std::span<const SpillFileInfo> asked = files;
  if (has_files && StateFileIsThere(folder)) asked = asked.last(1);
  ASSIGN_OR_RETURN(const int64_t highest_ticket, HighestTicketIn(folder, asked));
  OpenedFolder opened{std::move(lock), {}, std::move(files)};
  ASSIGN_OR_RETURN(opened.state,
                   StateFile::Open(folder, {.folder_has_files = has_files, .highest_ticket = highest_ticket}));
  if (opened.state->connections_lost())
    LogWarning("state-file-lost", {{"cost",
                                    "until Redis restarts, the drain cannot prove that an event in doubt is missing, "
                                    "and counts it as unproven"}});
  if (const Status kept = folder.KeepReserve(); !kept.ok()) LogWarning("no-reserve", {{"why", kept.error().message}});
  return opened;
}

}  // namespace sprockets
