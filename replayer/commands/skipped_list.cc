#include "replayer/commands/skipped_list.h"

#include <algorithm>
#include <utility>

#include "replayer/outcome.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/skipped_writes.h"

namespace sprockets {
namespace {

constexpr int64_t kCommitMs = 5'000;  // longer than a handler takes from its write to Redis to its COMMIT
constexpr size_t kMostSkippedLines = 20;

}  // namespace

void SkippedList::AddOption(OptionTable& options) {
  options.Path("spill-dir", "DIR",
               "the sidecar's spill folder, to strike off what the sidecar skipped while Redis was away", &folder_);
}

Status SkippedList::Read() {
  if (folder_.empty()) return {};
  const Result<DiskFolder> folder = DiskFolder::OpenExisting(folder_);
  if (!folder.ok()) {
    // It may come from the environment, for other commands; and it is no reason to leave Redis without its keys.
    LogWarning("skipped-not-looked-for", {{"why", folder.error().message}});
    folder_.clear();
    return {};
  }
  folder_ = folder.value().path();
  Result<std::vector<SkippedKey>> listed = SkippedWrites(folder_).List();
  if (!listed.ok()) {
    LogWarning("skipped-not-looked-for", {{"why", listed.error().message}});
    folder_.clear();
    return {};
  }
  read_ = std::move(listed).value();
  int64_t last_ms = 0;
  for (const SkippedKey& each : read_) last_ms = std::max(last_ms, each.last_ms);
  const int64_t wait_ms = std::min(last_ms + kCommitMs - WallClockMs(), kCommitMs);
  if (wait_ms <= 0) return {};
  LogInfo("waiting", {{"ms", wait_ms},
                      {"why",
                       "the sidecar skipped a write a moment ago, and its transaction may not "
                       "have committed yet"}});
  if (!SleepUnlessStopped(wait_ms)) return Error{ErrorCode::kBusy, "stopped"};
  return {};
}

void SkippedList::Demand(std::vector<Structure>* structures) const {
  for (Structure& structure : *structures) {
    for (const SkippedKey& each : read_) {
      if (!Names(structure, each.key)) continue;
      structure.written_keys.insert(each.key);
      if (structure.values == Structure::Values::kAtMost) structure.values = Structure::Values::kExact;
    }
  }
}

Status SkippedList::StrikeOff(const Structure& structure, KeyOwners& owners) {
  const std::vector<std::string> given = owners.KeysOf(structure.name);
  const std::set<std::string> gives(given.begin(), given.end());
  std::vector<SkippedKey> restored;
  for (const SkippedKey& each : read_) {
    if (Names(structure, each.key) || gives.contains(each.key)) restored.push_back(each);
  }
  RETURN_IF_ERROR(SkippedWrites(folder_).StrikeOff(restored).Prefixed("striking off what was skipped"));
  for (const SkippedKey& each : restored) restored_.insert(each.key);
  return {};
}

std::string SkippedList::Text() const {
  std::string text;
  size_t lines = 0;
  for (const SkippedKey& each : read_) {
    if (++lines > kMostSkippedLines) continue;
    text += Describe(each, WallClockMs());
    text += restored_.contains(each.key) ? "; restored\n" : "; not restored by this run\n";
  }
  if (lines > kMostSkippedLines) text += "… and " + FormatCount(lines - kMostSkippedLines) + " more\n";
  return text;
}

nlohmann::ordered_json SkippedList::Json() const {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const SkippedKey& each : read_)
    keys.push_back(
        {{"key", JsonOfBytes(each.key)}, {"writes", each.writes}, {"restored", restored_.contains(each.key)}});
  return keys;
}

}  // namespace sprockets
