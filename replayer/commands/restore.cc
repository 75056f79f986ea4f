// The restore command: what is to be brought back, and what is said about it.
#include "replayer/snapshot/restore.h"

#include <limits>
#include <memory>
#include <string>

#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/terminal/stop.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

Outcome OutcomeOfRestore(const RestoredSnapshot& restored, const Output& output) {
  Outcome outcome;
  outcome.counts = {{"snapshot", restored.number},
                    {"log_position", restored.log_position},
                    {"archived_since", restored.archived_since},
                    {"zsets", restored.zsets},
                    {"members", restored.members},
                    {"zsets_from_sql", restored.from_sql},
                    {"zsets_kept", restored.zsets_kept},
                    {"groups", restored.groups},
                    {"groups_kept", restored.groups_kept},
                    {"groups_without_stream", restored.groups_without_stream},
                    {"pending", restored.pending},
                    {"pending_without_entry", restored.pending_without_entry}};
  outcome.duration_ms = output.ElapsedMs();
  if (restored.not_empty) {
    outcome.result = "not empty";
    outcome.text = "restore: Redis is not empty, so nothing was done\n";
    return outcome;
  }
  for (const RebuiltStructure& structure : restored.rebuilt) {
    outcome.text += structure.name + ": from SQL, " + FormatCount(structure.keys) + " keys, " +
                    FormatCount(structure.rows) + " rows\n";
  }
  outcome.text += "snapshot " + std::to_string(restored.number) + " of " + restored.taken_at + ": " +
                  FormatCount(restored.zsets) + " sorted sets with " + FormatCount(restored.members) + " members, " +
                  FormatCount(restored.groups) + " groups with " + FormatCount(restored.pending) +
                  " pending entries restored; there already: " + FormatCount(restored.zsets_kept) + " sorted sets, " +
                  FormatCount(restored.groups_kept) + " groups; from SQL: " + FormatCount(restored.from_sql) +
                  " sorted sets\n";
  if (restored.archived_since > 0) {
    outcome.text += FormatCount(static_cast<uint64_t>(restored.archived_since)) +
                    " entries were archived since: boards from SQL have them, restored ones do not\n";
  }
  const bool is_left = restored.groups_without_stream + restored.pending_without_entry > 0;
  if (restored.groups_without_stream > 0) {
    outcome.text +=
        FormatCount(restored.groups_without_stream) + " groups have no stream: rebuild it, then run restore again\n";
  }
  if (restored.pending_without_entry > 0) {
    outcome.text +=
        FormatCount(restored.pending_without_entry) + " pending entries are not in their streams any more\n";
  }
  outcome.result = is_left ? "left" : "restored";
  if (is_left) outcome.exit_code = ExitCode::kDiffers;
  outcome.text += outcome.result + "\n";
  return outcome;
}

class Restore : public Command {
 public:
  Restore() : Command("restore", "Brings sorted sets and consumer groups of a snapshot back that Redis has lost.") {}

  void Declare(OptionTable& options) override {
    AddPostgres(options, &options_.stores.postgres);
    AddRedis(options, &options_.stores.redis);
    options.Path("schema", "DIR", "a schema set, whose structures are rebuilt first: what it gives comes from SQL",
                 &options_.schema);
    options.Text("keys", "GLOB", "only sorted sets and streams whose key matches", &options_.keys);
    options.Integer("snapshot", "N", "this snapshot instead of the newest one", 1, std::numeric_limits<int64_t>::max(),
                    &options_.number);
    options.Flag("if-empty", "do nothing if Redis has any key", &options_.if_empty);
    options.Flag("force", "replace sorted sets that are there, and override the guards of rebuild", &options_.force);
    AddProgress(options, &options_.progress);
  }

  Status Check() const override {
    return options_.if_empty && options_.force ? UsageError("--if-empty does not go with --force") : Status();
  }

  Result<Outcome> Run(Output& output) override {
    CatchStopSignals();
    ASSIGN_OR_RETURN(const RestoredSnapshot restored, RestoreSnapshot(options_));
    return OutcomeOfRestore(restored, output);
  }

 private:
  RestoreOptions options_;
};

}  // namespace

std::unique_ptr<Command> RestoreCommand() {
  return std::make_unique<Restore>();
}

}  // namespace sprockets
