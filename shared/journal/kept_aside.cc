#include "shared/journal/kept_aside.h"

#include <memory>
#include <vector>

namespace sprockets {

Status VisitJournals(const SpillFolder& folder, const std::function<Result<bool>(SpillFile&)>& visit) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  for (const SpillFileInfo& info : files) {
    const bool is_written = info.state == SpillFileInfo::State::kActive && !info.suspect;
    if (is_written || info.quarantined || info.state == SpillFileInfo::State::kDrained) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(info);
    if (!file.ok() || !file.value()->names_entries()) continue;
    ASSIGN_OR_RETURN(const bool goes_on, visit(*file.value()));
    if (!goes_on) return {};
  }
  return {};
}

Status VisitRow(SpillFile& file, const SpilledStream& stream, int64_t ticket,
                const std::function<void(const SpilledEvent&)>& visit) {
  const auto take = [&](const SpilledEvent& row) {
    visit(row);
    return false;
  };
  return file.Visit(stream, ticket - 1, ticket, take);
}

Result<int64_t> KeepAside(const SpillFolder& folder, const std::string& stream, int64_t ticket, std::string_view why) {
  int64_t number = 0;
  Status visited = VisitJournals(folder, [&](SpillFile& file) -> Result<bool> {
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.UncountedStreams());
    for (const SpilledStream& each : streams) {
      if (each.name != stream || each.last_ticket < ticket) continue;
      bool is_here = false;
      RETURN_IF_ERROR(VisitRow(file, each, ticket, [&](const SpilledEvent&) { is_here = true; }));
      if (!is_here) return true;
      RETURN_IF_ERROR(file.Reject(each.id, ticket, why, each.cursor));
      number = file.info().number;
      return false;
    }
    return true;
  });
  if (!visited.ok()) return std::move(visited).error();
  return number;
}

}  // namespace sprockets
