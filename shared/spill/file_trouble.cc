#include "shared/spill/file_trouble.h"

#include <string>

#include "shared/base/log.h"

namespace sprockets {

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
  if (info.state == SpillFileInfo::State::kDrained) return {};  // each drain names it
  LogError("spill-file-quarantined", {{"file", info.path.filename().string()}, {"error", error.message}});
  return folder.MarkQuarantined(info.number);
}

}  // namespace sprockets
