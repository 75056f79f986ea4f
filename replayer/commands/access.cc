// The access command: users and groups of a schema set.
#include <filesystem>
#include <memory>
#include <string>

#include "replayer/access/access_control.h"
#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

/// Prints what would change.
Result<Outcome> Compare(const AccessSet& set, RedisClient& redis, Output& output) {
  const auto tell = [&](const Difference& difference) {
    if (output.json()) {
      output.out() << DifferenceJson(difference);
    } else {
      output.out() << "would change: " << difference.type << " " << Escape(difference.key)
                   << (difference.member ? " " + Escape(*difference.member) : "") << " is "
                   << NameOf(difference.problem) << "\n";
    }
    return true;
  };
  ASSIGN_OR_RETURN(const Compared compared, CompareAccess(set, redis, tell));
  ASSIGN_OR_RETURN([[maybe_unused]] const int checks, RehearseAccess(set, redis));
  Outcome outcome;
  outcome.text = compared.differences == 0 ? "verified\n" : "left\n";
  if (compared.differences > 0) outcome.exit_code = ExitCode::kDiffers;
  return outcome;
}

Outcome OutcomeOf(const AccessReport& report, const Output& output) {
  Outcome outcome;
  outcome.counts = {{"users_changed", report.users_changed},
                    {"groups_created", report.groups_created},
                    {"checks", report.checks},
                    {"saved", report.saved}};
  outcome.duration_ms = output.ElapsedMs();
  outcome.result = "verified";
  outcome.text = "access: " + std::to_string(report.users_changed) + " users changed, " +
                 std::to_string(report.groups_created) + " groups created, " + std::to_string(report.checks) +
                 " checks hold, " + (report.saved ? "saved" : "not saved") + "\n" + outcome.result + "\n";
  return outcome;
}

class Access : public Command {
 public:
  Access()
      : Command("access",
                "Creates the users and consumer groups of a schema set in Redis, and proves what the users may do.") {}

  void Declare(OptionTable& options) override {
    AddSchema(options, &folder_);
    AddRedis(options, &target_);
    options.Flag("dry-run", "only say what would change", &dry_run_);
  }

  Result<Outcome> Run(Output& output) override {
    ASSIGN_OR_RETURN(const AccessSet set, ReadAccessSet(folder_));
    ASSIGN_OR_RETURN(RedisClient redis, RedisClient::Connect(target_.url, target_.deadline_ms));
    if (dry_run_) return Compare(set, redis, output);
    ASSIGN_OR_RETURN(const AccessReport report, ApplyAccess(set, redis, OwnUser::kChangeLast));
    return OutcomeOf(report, output);
  }

 private:
  std::filesystem::path folder_;
  RedisTarget target_{.url = {}, .deadline_ms = kWholeKeyDeadlineMs};
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> AccessCommand() {
  return std::make_unique<Access>();
}

}  // namespace sprockets
