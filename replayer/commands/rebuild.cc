// The rebuild command: what is to be done, and what is said about it.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/commands/from_journal.h"
#include "replayer/commands/skipped_list.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/follow.h"
#include "replayer/structure/rebuild_run.h"
#include "replayer/terminal/stop.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kMostJobs = 16;  // each has a connection to either side

std::string_view WordOfState(RebuiltStructure::State state) {
  switch (state) {
    case RebuiltStructure::State::kUnchanged:
      return "unchanged";
    case RebuiltStructure::State::kRebuilt:
      return "rebuilt";
    case RebuiltStructure::State::kWouldChange:
      return "would change";
    case RebuiltStructure::State::kDrilled:
      return "drilled";
    case RebuiltStructure::State::kPassedOver:
      return "passed over";
  }
  return "";
}

nlohmann::ordered_json JsonOf(const RebuiltStructure& structure) {
  return {{"name", structure.name}, {"state", WordOfState(structure.state)}, {"keys", structure.keys},
          {"rows", structure.rows}, {"load_ms", structure.load_ms},          {"verify_ms", structure.verify_ms}};
}

std::string LineOf(const RebuiltStructure& structure) {
  std::string line = structure.name + ": " + std::string(WordOfState(structure.state)) + ", " +
                     FormatCount(structure.keys) + " keys, " + FormatCount(structure.rows) + " rows";
  if (structure.load_ms + structure.verify_ms > 0)
    line += ", loaded in " + FormatDuration(structure.load_ms) + ", compared in " + FormatDuration(structure.verify_ms);
  return line + "\n";
}

/// What came to its end is reported, even where something else failed.
Outcome OutcomeOf(const RebuildOutcome& run, const SkippedList& skipped, const Output& output) {
  bool would_change = false;
  uint64_t rows = 0;
  Outcome outcome;
  nlohmann::ordered_json& structures = outcome.details["structures"] = nlohmann::ordered_json::array();
  for (const RebuiltStructure& structure : run.structures) {
    would_change |= structure.state == RebuiltStructure::State::kWouldChange;
    rows += structure.rows;
    structures.push_back(JsonOf(structure));
    outcome.text += LineOf(structure);
  }
  outcome.text += skipped.Text();
  if (!skipped.empty()) outcome.details["skipped"] = skipped.Json();
  outcome.counts["read"] = rows;
  outcome.duration_ms = output.ElapsedMs();
  if (!run.status.ok()) {
    outcome.result = "failed";
    outcome.error = run.status.error().message;
    outcome.exit_code = ExitCodeOf(run.status.error().code);
    return outcome;
  }
  outcome.result = would_change ? "left" : "verified";
  outcome.text += outcome.result + "\n";
  if (would_change) outcome.exit_code = ExitCode::kDiffers;
  return outcome;
}

class Rebuild : public Command {
 public:
  Rebuild()
      : Command("rebuild",
                "Builds the Redis structures of a schema set from PostgreSQL, and verifies each before it replaces the "
                "live key.") {}

  void Declare(OptionTable& options) override {
    AddSchema(options, &folder_, /*unless=*/from_journal_.is_wanted());
    AddStructures(options, &run_.stores, &only_, /*unless=*/from_journal_.is_wanted());
    from_journal_.AddOptions(options);
    skipped_.AddOption(options);
    options.Integer("jobs", "N", "build this many structures at once; they are swapped in the order of their files", 1,
                    kMostJobs, &run_.jobs);
    options.Flag("follow",
                 "run until stopped, for use as a service: add new rows of files that say -- follow:", &follow_);
    options.Duration("poll", "with --follow: how often to look for rows that nobody announced",
                     &follow_options_.poll_ms);
    options.NonEmptyText("into", "PREFIX",
                         "a drill: build under names with this prefix, compare, print the time, remove",
                         "a prefix is missing, drill: for example", &run_.rebuild.into);
    options.Flag("force", "override the guards: let a much smaller source replace a key, and let a stream lose events",
                 &run_.rebuild.force);
    options.Flag("dry-run", "only say what would change", &run_.rebuild.dry_run);
    AddProgress(options, &run_.progress);
  }

  Status Check() const override {
    const auto& [into, force, dry_run] = run_.rebuild;
    if (follow_options_.poll_ms < 1) return UsageError("--poll must be at least 1ms");
    if (follow_ && (dry_run || into)) return UsageError("--follow does not go with --dry-run or --into");
    if (*from_journal_.is_wanted() && (follow_ || into))
      return UsageError("--from-journal does not go with --follow or --into");
    if (*from_journal_.is_wanted() && only_ != "*")
      return UsageError("--only names files of a set; with --from-journal, --streams names streams");
    RETURN_IF_ERROR(from_journal_.Check());
    if (into && (dry_run || force)) return UsageError("--into does not go with --dry-run or --force");
    return {};
  }

  Result<Outcome> Run(Output& output) override {
    CatchStopSignals();
    if (*from_journal_.is_wanted()) return from_journal_.Run(run_, output);
    if (follow_) return Follow();
    Result<RebuildOutcome> run = RebuildAll();
    return OutcomeOf(run.ok() ? run.value() : RebuildOutcome{{}, run.error()}, skipped_, output);
  }

 private:
  Result<RebuildOutcome> RebuildAll() {
    ASSIGN_OR_RETURN(std::vector<Structure> structures, ReadStructures(folder_, only_));
    if (structures.empty()) return UsageError(folder_.native() + " has no file rebuild/*.sql");
    ASSIGN_OR_RETURN(const std::vector<ConsumerGroup> groups, ReadGroups(folder_));
    RETURN_IF_ERROR(skipped_.Read());
    skipped_.Demand(&structures);
    KeyOwners owners;
    RebuildOutcome outcome = RebuildSideBySide(run_, structures, groups, owners);
    const Status struck_off = StrikeOff(outcome.structures, structures, owners);
    if (outcome.status.ok()) outcome.status = struck_off;
    return outcome;
  }

  /// What the live keys of the structures that came to their end lacked.
  Status StrikeOff(const std::vector<RebuiltStructure>& rebuilt, const std::vector<Structure>& structures,
                   KeyOwners& owners) {
    for (const RebuiltStructure& each : rebuilt) {
      using State = RebuiltStructure::State;
      if (each.state != State::kUnchanged && each.state != State::kRebuilt) continue;
      const auto is_it = [&](const Structure& structure) { return structure.name == each.name; };
      RETURN_IF_ERROR(skipped_.StrikeOff(*std::find_if(structures.begin(), structures.end(), is_it), owners));
    }
    return {};
  }

  /// Says nothing at its end, which a signal asked for.
  Result<Outcome> Follow() {
    ASSIGN_OR_RETURN(const std::vector<Structure> structures, ReadStructures(folder_, only_));
    ASSIGN_OR_RETURN(const std::vector<ConsumerGroup> groups, ReadGroups(folder_));
    follow_options_.stores = run_.stores;
    follow_options_.rebuild = run_.rebuild;
    follow_options_.progress = run_.progress;
    RETURN_IF_ERROR(FollowSet(follow_options_, structures, groups));
    return Outcome();
  }

  std::filesystem::path folder_;
  std::string only_ = "*";
  RebuildRunOptions run_;
  FromJournal from_journal_;
  SkippedList skipped_;
  bool follow_ = false;
  FollowOptions follow_options_;
};

}  // namespace

std::unique_ptr<Command> RebuildCommand() {
  return std::make_unique<Rebuild>();
}

}  // namespace sprockets
