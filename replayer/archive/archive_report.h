// What archive tells of itself, from its figures and from the lag of its group. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "replayer/admin/service_report.h"
#include "replayer/archive/archive_figures.h"
#include "replayer/archive/lag_watch.h"

namespace sprockets {

struct ArchiveView {
  ArchiveFigures figures;
  std::map<std::string, StreamLag> lags;
  int64_t wall_ms = 0;
  int64_t steady_ms = 0;
  int64_t stalled_after_ms = 0;  // so long may an entry have been the oldest that waits
};

std::vector<ServiceReason> ReasonsOf(const ArchiveView& view);
/// The first kMostStreamLabels streams have labels of their own; the others are "other".
void AddFigures(const ArchiveView& view, Metrics* to);
nlohmann::ordered_json DetailsOf(const ArchiveView& view);

inline constexpr size_t kMostStreamLabels = 100;

}  // namespace sprockets
