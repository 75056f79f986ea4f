// The rebuild command: what is to be done, and what is said about it.
#include <string>
#include <vector>

#include "replayer/commands/commands.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/follow.h"
#include "replayer/structure/rebuild_run.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

std::string_view WordOf(RebuiltStructure::State state) {
  switch (state) {
    case RebuiltStructure::State::kUnchanged:
      return "unchanged";
    case RebuiltStructure::State::kRebuilt:
      return "rebuilt";
    case RebuiltStructure::State::kWouldChange:
      return "would change";
    case RebuiltStructure::State::kDrilled:
      return "drilled";
  }
  return "";
}

RebuildOutcome RebuildAll(const Config& config) {
  const auto all = [&]() -> Result<RebuildOutcome> {
    ASSIGN_OR_RETURN(const std::vector<Structure> structures, ReadStructures(config.set.folder, config.set.only));
    if (structures.empty()) return Error{ErrorCode::kUsage, config.set.folder.native() + " has no file rebuild/*.sql"};
    ASSIGN_OR_RETURN(const std::vector<ConsumerGroup> groups, ReadGroups(config.set.folder));
    return RebuildSideBySide(config, structures, groups);
  };
  Result<RebuildOutcome> outcome = all();
  return outcome.ok() ? std::move(outcome).value() : RebuildOutcome{{}, std::move(outcome).error()};
}

int Follow(const Config& config, std::ostream& out) {
  const auto run = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::vector<Structure> structures, ReadStructures(config.set.folder, config.set.only));
    ASSIGN_OR_RETURN(const std::vector<ConsumerGroup> groups, ReadGroups(config.set.folder));
    return FollowSet(config, structures, groups);
  };
  const Status followed = run();
  if (followed.ok()) return 0;
  return Fail(config, "rebuild", followed.error(), out);
}

}  // namespace

int RunRebuild(const Config& config, std::ostream& out) {
  CatchStopSignals();
  if (config.set.follow) return Follow(config, out);
  const int64_t begun_ms = SteadyClockMs();
  const RebuildOutcome run = RebuildAll(config);
  if (!run.status.ok()) LogError("rebuild-failed", {{"error", run.status.error().message}});
  bool would_change = false;
  uint64_t rows = 0;
  std::string json;
  for (const RebuiltStructure& structure : run.structures) {
    would_change |= structure.state == RebuiltStructure::State::kWouldChange;
    rows += structure.rows;
    if (config.json) {
      json += json.empty() ? R"({"name":)" : R"(,{"name":)";
      AppendJsonString(json, structure.name);
      json += R"(,"state":")" + std::string(WordOf(structure.state)) + R"(","keys":)" + std::to_string(structure.keys) +
              R"(,"rows":)" + std::to_string(structure.rows) + R"(,"load_ms":)" + std::to_string(structure.load_ms) +
              R"(,"verify_ms":)" + std::to_string(structure.verify_ms) + "}";
    } else {
      out << structure.name << ": " << WordOf(structure.state) << ", " << FormatCount(structure.keys) << " keys, "
          << FormatCount(structure.rows) << " rows";
      if (structure.load_ms + structure.verify_ms > 0)
        out << ", loaded in " << FormatDuration(structure.load_ms) << ", compared in "
            << FormatDuration(structure.verify_ms);
      out << "\n";
    }
  }
  const std::string result = !run.status.ok() ? "failed" : would_change ? "left" : "verified";
  if (config.json) {
    out << R"({"command":"rebuild","read":)" << rows << R"(,"duration_ms":)" << SteadyClockMs() - begun_ms
        << R"(,"result":")" << result << "\"";
    if (!run.status.ok()) {
      std::string error;
      AppendJsonString(error, run.status.error().message);
      out << R"(,"error":)" << error;
    }
    out << R"(,"structures":[)" << json << "]}\n";
  } else if (run.status.ok()) {
    out << result << "\n";
  }
  if (!run.status.ok()) return ExitCodeOf(run.status.error());
  return would_change ? 1 : 0;
}

}  // namespace sprockets
