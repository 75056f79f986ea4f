// What becomes of the files that a killed sidecar left behind: every step may be killed itself and is then taken again.
// At the start, on the thread that holds the folder's lock.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shared/base/log.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

/// Seals one file, or removes it if it holds no row. Returns its rows.
Result<int64_t> SealLeftBehind(const SpillFolder& folder, const SpillFileInfo& info) {
  int64_t rows = 0;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder.OpenFile(info));
    if (!file->wal_damage().empty())
      LogWarning("spill-file-end-lost", {{"file", info.path.filename().string()}, {"what", file->wal_damage()}});
    ASSIGN_OR_RETURN(rows, file->FinishAsSealed());
  }
  RETURN_IF_ERROR(rows > 0 ? folder.Move(info.number, SpillFileInfo::State::kActive, SpillFileInfo::State::kSealed)
                           : folder.Remove(info));
  return rows;
}

}  // namespace

Result<RecoveryReport> RecoverLeftBehind(const SpillFolder& folder) {
  RecoveryReport report;
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  for (const SpillFileInfo& file : files) {
    if (file.state != SpillFileInfo::State::kActive || file.suspect || file.quarantined) continue;
    auto rows = SealLeftBehind(folder, file);
    if (rows.ok()) {
      report.sealed += rows.value() > 0 ? 1 : 0;
      report.rows += rows.value();
      continue;
    }
    switch (rows.error().code) {
      case ErrorCode::kForeign:
      case ErrorCode::kStarved:
      case ErrorCode::kForbidden:
        return std::move(rows).error();
      case ErrorCode::kFull:
      case ErrorCode::kBusy:
        // Its rows are whole but not under a name that says so: as if in doubt, a drain that has the space settles
        // them.
        RETURN_IF_ERROR(folder.MarkSuspect(file.number));
        report.suspect.push_back(rows.error().message);
        break;
      default:
        if (folder.HasNoBytes(file)) {
          RETURN_IF_ERROR(folder.Remove(file));
        } else {
          RETURN_IF_ERROR(folder.MarkQuarantined(file.number));
          report.quarantined.push_back(rows.error().message);
        }
    }
  }
  return report;
}

}  // namespace sprockets
