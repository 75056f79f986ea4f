// The snapshot command: what is to be kept, and what is said about it.
#include "replayer/snapshot/snapshot.h"

#include <memory>
#include <string>

#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/terminal/stop.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kMostSnapshots = 100'000;

class Snapshot : public Command {
 public:
  Snapshot()
      : Command("snapshot",
                "Writes sorted sets and consumer groups of Redis into PostgreSQL, for restore to bring back.") {}

  void Declare(OptionTable& options) override {
    AddPostgres(options, &options_.stores.postgres);
    AddRedis(options, &options_.stores.redis);
    options.Text("keys", "GLOB", "only sorted sets and streams whose key matches", &options_.keys);
    options.Integer("keep-snapshots", "N", "remove all but the newest N snapshots afterwards", 1, kMostSnapshots,
                    &options_.keep);
    options.Duration("keep-for", "remove snapshots that are older, but never the newest one; 0s: however old",
                     &options_.keep_ms);
    AddProgress(options, &options_.progress);
  }

  Result<Outcome> Run(Output& output) override {
    CatchStopSignals();
    ASSIGN_OR_RETURN(const TakenSnapshot taken, TakeSnapshot(options_));
    const SnapshotCounts& counts = taken.counts;
    Outcome outcome;
    outcome.counts = {{"snapshot", taken.number}, {"log_position", taken.log_position},
                      {"zsets", counts.zsets},    {"members", counts.members},
                      {"groups", counts.groups},  {"pending", counts.pending},
                      {"removed", taken.removed}};
    outcome.duration_ms = output.ElapsedMs();
    outcome.result = "taken";
    const auto count = [](int64_t number) { return FormatCount(static_cast<uint64_t>(number)); };
    outcome.text = "snapshot " + std::to_string(taken.number) + ": " + count(counts.zsets) + " sorted sets with " +
                   count(counts.members) + " members, " + count(counts.groups) + " groups with " +
                   count(counts.pending) + " pending entries, in " + FormatDuration(*outcome.duration_ms) + "; " +
                   count(taken.removed) + " old snapshots removed\n";
    return outcome;
  }

 private:
  SnapshotOptions options_;
};

}  // namespace

std::unique_ptr<Command> SnapshotCommand() {
  return std::make_unique<Snapshot>();
}

}  // namespace sprockets
