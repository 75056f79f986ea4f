#include "replayer/commands/from_journal.h"

#include <string>
#include <utility>

#include "replayer/commands/common_options.h"
#include "replayer/drain/pass.h"
#include "shared/base/text.h"
#include "shared/spill/disk_folder.h"

namespace sprockets {
namespace {

nlohmann::ordered_json JsonOf(const FilledStream& stream) {
  nlohmann::ordered_json json{{"stream", JsonOfBytes(stream.name)},
                              {"rows", stream.rows},
                              {"added", stream.added},
                              {"there", stream.there},
                              {"missing", stream.missing}};
  if (stream.missing > 0) json["first_missing"] = ToString(stream.first_missing);
  if (!stream.why.empty()) json["why"] = JsonOfBytes(stream.why);
  return json;
}

std::string LineOf(const FilledStream& stream, bool dry_run) {
  std::string line = Escape(stream.name) + ": " + FormatCount(stream.added) +
                     (dry_run ? " would be added, " : " added, ") + FormatCount(stream.there) + " there, " +
                     FormatCount(stream.missing) + " missing";
  if (stream.missing > 0) line += ", the first one " + ToString(stream.first_missing);
  if (!stream.why.empty()) line += "; not gone on with: " + Escape(stream.why);
  return line + "\n";
}

Outcome OutcomeOf(const FilledStreams& filled, const Status& status, bool dry_run, const Output& output) {
  FilledStream total;
  bool left = !filled.read_all;
  Outcome outcome;
  nlohmann::ordered_json& streams = outcome.details["streams"] = nlohmann::ordered_json::array();
  for (const FilledStream& stream : filled.streams) {
    total.rows += stream.rows;
    total.added += stream.added;
    total.there += stream.there;
    total.missing += stream.missing;
    left |= !stream.why.empty() || (dry_run && stream.added > 0);
    streams.push_back(JsonOf(stream));
    outcome.text += LineOf(stream, dry_run);
  }
  outcome.counts = {{"read", total.rows}, {"added", total.added}, {"there", total.there}, {"missing", total.missing}};
  outcome.duration_ms = output.ElapsedMs();
  if (!status.ok()) {
    outcome.result = "failed";
    outcome.error = status.error().message;
    outcome.exit_code = ExitCodeOf(status.error().code);
    return outcome;
  }
  outcome.result = left ? "left" : total.missing > 0 ? "missing" : "verified";
  if (outcome.result != "verified") outcome.exit_code = ExitCode::kDiffers;
  outcome.text += outcome.result + "\n";
  return outcome;
}

}  // namespace

void FromJournal::AddOptions(OptionTable& options) {
  options.Add({.name = "from-journal",
               .value = "DIR",
               .help = "instead: fill streams from the journals of this spill folder, each event under its own id"},
              [this](const Options& given) -> Status {
                is_wanted_ = given.Has("from-journal");
                if (!is_wanted_) return {};
                folder_ = given.Text("from-journal");
                if (!folder_.empty()) return {};
                return Error{ErrorCode::kUsage, given.Origin("from-journal") + ": the name of a folder is missing"};
              });
  options.Add({.name = "streams",
               .value = "GLOB",
               .help = "with --from-journal: only streams that match this pattern",
               .preset = "*"},
              [this](const Options& given) -> Status {
                options_.streams = given.Text("streams");
                // In the environment it may be meant for others.
                has_streams_ = given.Has("streams") && given.Origin("streams").starts_with("--");
                return {};
              });
  AddSocket(options, &options_.socket_path);
}

Status FromJournal::Check() const {
  if (has_streams_ && !is_wanted_) return UsageError("--streams goes with --from-journal; --only names files of a set");
  return {};
}

Result<Outcome> FromJournal::Run(const RebuildRunOptions& run, const Output& output) {
  options_.redis = run.stores.redis;
  options_.force = run.rebuild.force;
  options_.dry_run = run.rebuild.dry_run;
  options_.progress = run.progress;
  ASSIGN_OR_RETURN(const DiskFolder folder, DiskFolder::OpenExisting(folder_));
  FilledStreams filled;
  const Status status = FillFromJournals(options_, folder, &filled);
  const Result<KeptAside> kept = LookAtKeptAside(folder);
  filled.read_all = filled.read_all && kept.ok() && kept.value().damaged_files == 0;
  return OutcomeOf(filled, status, options_.dry_run, output);
}

}  // namespace sprockets
