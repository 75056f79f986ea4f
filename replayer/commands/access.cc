// The access command: users and groups of a schema set.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "replayer/access/access_control.h"
#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr size_t kMaxRightsShown = 1024;

/// A line about what anybody may still do without a user name; empty: nothing.
std::string WordsOfDefault(const std::optional<std::string>& open) {
  if (!open) return "";
  return "default stays open: who names no user gets in " + Escape(*open, kMaxRightsShown) +
         "; access --close-default closes it\n";
}

/// Prints what would change.
Result<Outcome> Compare(const AccessSet& set, RedisClient& redis, const std::optional<std::string>& open,
                        Output& output) {
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
  outcome.text = WordsOfDefault(open) + (compared.differences == 0 ? "verified\n" : "left\n");
  if (compared.differences > 0) outcome.exit_code = ExitCode::kDiffers;
  return outcome;
}

/// `open`: what anybody may still do without a user name.
Outcome AccessOutcome(const AccessReport& report, const std::optional<std::string>& open, const Output& output) {
  Outcome outcome;
  outcome.counts = {{"users_changed", report.users_changed},
                    {"groups_created", report.groups_created},
                    {"checks", report.checks},
                    {"saved", report.saved},
                    {"default_open", open.has_value()}};
  outcome.duration_ms = output.ElapsedMs();
  outcome.result = "verified";
  outcome.text = "access: " + std::to_string(report.users_changed) + " users changed, " +
                 std::to_string(report.groups_created) + " groups created, " + std::to_string(report.checks) +
                 " checks hold, " + (report.saved ? "saved" : "not saved") + "\n";
  outcome.text += WordsOfDefault(open) + outcome.result + "\n";
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
    options.Flag("close-default", "also close the user default, if the set does: nobody gets in without a user name",
                 &close_default_);
    options.Flag("dry-run", "only say what would change", &dry_run_);
  }

  Result<Outcome> Run(Output& output) override {
    ASSIGN_OR_RETURN(AccessSet set, ReadAccessSet(folder_));
    ASSIGN_OR_RETURN(RedisClient redis, RedisClient::Connect(target_.url, target_.deadline_ms));
    const bool has_default =
        std::any_of(set.users.begin(), set.users.end(), [](const AclUser& user) { return user.name == kDefaultUser; });
    if (close_default_ && !has_default)
      return UsageError("--close-default: the set has no line for the user default in access/users.acl");
    std::optional<std::string> open;
    if (!close_default_) {
      ASSIGN_OR_RETURN(set, LeaveDefaultOpen(std::move(set), redis));
      ASSIGN_OR_RETURN(open, WhatStaysOpen(redis));
    }
    if (dry_run_) return Compare(set, redis, open, output);
    ASSIGN_OR_RETURN(const AccessReport report, ApplyAccess(set, redis, OwnUser::kChangeLast));
    return AccessOutcome(report, open, output);
  }

 private:
  std::filesystem::path folder_;
  RedisTarget target_{.url = {}, .deadline_ms = kWholeKeyDeadlineMs};
  bool dry_run_ = false;
  bool close_default_ = false;
};

}  // namespace

std::unique_ptr<Command> AccessCommand() {
  return std::make_unique<Access>();
}

}  // namespace sprockets
