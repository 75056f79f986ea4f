// The verify command: Redis against PostgreSQL and against the set's users and groups; and mending what differs.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "replayer/access/access_control.h"
#include "replayer/archive/pending_scores.h"
#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/commands/skipped_list.h"
#include "replayer/redis/server.h"
#include "replayer/structure/rebuild.h"
#include "replayer/structure/repair.h"
#include "replayer/terminal/stop.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int kMostRounds = 5;          // that a difference is looked for
constexpr int64_t kFirstPauseMs = 200;  // between them; each is twice as long as the one before
constexpr uint64_t kMostLines = 100;    // for people; --json prints every difference

std::string TextLine(const Difference& difference) {
  std::string line = difference.type + " " + Escape(difference.key);
  if (difference.member) line += " " + (difference.member->empty() ? std::string("\"\"") : Escape(*difference.member));
  line += ": " + std::string(NameOf(difference.problem));
  if (difference.expected) line += ", expected " + Escape(*difference.expected);
  if (difference.actual) line += ", found " + Escape(*difference.actual);
  return line + "\n";
}

/// Differences, as 64 bits each: of a live key there may be hundreds of thousands.
class Suspects {
 public:
  void Add(const Difference& difference) { hashes_.push_back(HashOf(difference)); }
  void Sort() { std::sort(hashes_.begin(), hashes_.end()); }
  bool Contains(const Difference& difference) const {
    return std::binary_search(hashes_.begin(), hashes_.end(), HashOf(difference));
  }
  size_t size() const { return hashes_.size(); }

 private:
  static uint64_t HashOf(const Difference& difference) { return std::hash<std::string>()(DifferenceJson(difference)); }
  std::vector<uint64_t> hashes_;
};

struct VerifyOptions {
  std::filesystem::path folder;  // of the schema set
  Stores stores;
  std::string only = "*";  // glob over the names of rebuild/*.sql
  ProgressStyle progress = ProgressStyle::kAuto;
};

class Verifier {
 public:
  Verifier(const VerifyOptions& options, const SkippedList& skipped, Output& output)
      : options_(options), skipped_(skipped), output_(output) {}

  /// Compares everything; with `mending`, what differs is mended, too.
  Status Run(bool mending) {
    total_ = {};
    equal_.clear();
    ASSIGN_OR_RETURN(std::vector<Structure> structures, ReadStructures(options_.folder, options_.only));
    skipped_.Demand(&structures);
    ASSIGN_OR_RETURN(Postgres postgres,
                     Postgres::Connect(options_.stores.postgres.url, options_.stores.postgres.wait_ms));
    ASSIGN_OR_RETURN(Server server, Server::Connect(options_.stores.redis.url, options_.stores.redis.deadline_ms));
    RedisClient& redis = server.client();
    postgres.WhileWaiting([&redis] { redis.KeepAlive(); });
    std::set<std::string> to_rebuild;
    Status guarded;
    for (const Structure& structure : structures) {
      ASSIGN_OR_RETURN(const bool has_table, HasItsTable(postgres, structure));
      if (!has_table) continue;
      const uint64_t differences = total_.differences;
      const Status compared = CompareOne(postgres, redis, structure, mending, &to_rebuild);
      if (!compared.ok() && compared.error().code != ErrorCode::kRefused) return compared;
      if (compared.ok() && total_.differences == differences && seen_equal_) equal_.push_back(structure);
      if (compared.ok()) continue;
      if (!guarded.ok()) LogError("not-mended", {{"why", guarded.error().message}});
      guarded = compared;
    }
    if (options_.only == "*") RETURN_IF_ERROR(CheckAccess(redis, mending));
    if (structures.empty() && !access_compared_) {
      return Error{ErrorCode::kUsage, options_.folder.native() +
                                          " has no file rebuild/*.sql and no users or groups that could "
                                          "be compared: there is nothing to verify"};
    }
    if (to_rebuild.empty()) return guarded;
    ASSIGN_OR_RETURN(std::vector<ConsumerGroup> groups, ReadGroups(options_.folder));
    ASSIGN_OR_RETURN(const auto lock, RedisLock::Take(options_.stores.redis.url, options_.stores.redis.deadline_ms));
    Rebuilder rebuilder(postgres, redis, RebuildOptions(), std::move(groups), owners_);
    RETURN_IF_ERROR(rebuilder.Begin(*lock));
    for (const Structure& structure : structures) {
      if (!to_rebuild.contains(structure.name)) continue;
      Progress progress(options_.progress, structure.name);
      const auto rebuilt = rebuilder.Rebuild(structure, progress);
      if (rebuilt.ok()) continue;
      if (!IsRefusal(rebuilt.error().code)) return rebuilt.error();
      // What a guard protects does not keep the others from being mended.
      if (!guarded.ok()) LogError("not-mended", {{"why", guarded.error().message}});
      guarded = rebuilt.error();
    }
    return guarded;
  }
  const Compared& total() const { return total_; }
  /// Those that the last run has seen equal. One that others write so fast that no look found it equal is none.
  const std::vector<Structure>& equal() const { return equal_; }
  KeyOwners& owners() { return owners_; }
  /// Were users and groups compared, too?
  bool access_compared() const { return access_compared_; }

 private:
  /// A difference is told, and mended, only when both sides were asked again, in a new state of the database, and it is
  /// still the same: what somebody writes meanwhile, and what is on its way from one side to the other, is none.
  Status CompareOne(Postgres& postgres, RedisClient& redis, const Structure& structure, bool mending,
                    std::set<std::string>* to_rebuild) {
    Suspects suspects;
    Suspects told;
    const auto suspect = [&](const Difference& difference) { suspects.Add(difference); };
    ASSIGN_OR_RETURN(Compared compared, Look(postgres, redis, structure, suspect));
    KeyGuards guards(redis, structure);
    Repairer repairer(redis, to_rebuild);
    int64_t pause_ms = kFirstPauseMs;
    for (int round = 1; suspects.size() > 0 && round < kMostRounds; ++round, pause_ms *= 2) {
      for (int64_t slept_ms = 0; slept_ms < pause_ms; slept_ms += kFirstPauseMs) {
        if (!SleepUnlessStopped(kFirstPauseMs)) return Error{ErrorCode::kBusy, "stopped"};
        redis.KeepAlive();
      }
      suspects.Sort();
      const Suspects before = std::exchange(suspects, {});
      std::vector<Difference> confirmed;
      const auto look_again = [&](const Difference& difference) {
        if (told.Contains(difference)) return;
        if (!before.Contains(difference)) return suspects.Add(difference);
        confirmed.push_back(difference);
      };
      ASSIGN_OR_RETURN(compared, Look(postgres, redis, structure, look_again));
      for (const Difference& difference : confirmed) {
        Print(difference);
        told.Add(difference);
      }
      told.Sort();
      total_.differences += confirmed.size();
      if (mending) RETURN_IF_ERROR(MendAll(structure, confirmed, guards, repairer));
    }
    seen_equal_ = suspects.size() == 0;
    total_.keys += compared.keys;
    total_.rows += compared.rows;
    return guards.refusal();
  }

  Result<Compared> Look(Postgres& postgres, RedisClient& redis, const Structure& declared,
                        const std::function<void(const Difference&)>& on_difference) {
    Progress progress(options_.progress, declared.name);
    // Scores on their way are in the same snapshot as the totals that they come from.
    PendingScores pending;
    const auto take = [&](const Difference& difference) {
      if (declared.kind == RedisKind::kZset && pending.Covers(difference.key, difference.member)) return true;
      progress.MakeRoom();
      on_difference(difference);
      return true;
    };
    RETURN_IF_ERROR(postgres.BeginSnapshot());
    const auto compare = [&]() -> Result<Compared> {
      if (declared.kind == RedisKind::kZset) {
        ASSIGN_OR_RETURN(pending, PendingScores::Read(postgres));
      }
      ASSIGN_OR_RETURN(const Structure structure, OnlyUsedKeys(declared, redis));
      ASSIGN_OR_RETURN(Source source, Source::Open(postgres, structure));
      std::vector<ComparedKey> keys;
      const bool gives_keys = !structure.key;
      ASSIGN_OR_RETURN(const Compared found, Compare(source, structure, redis, "", take, gives_keys ? &keys : nullptr));
      if (found.differences > 0) RETURN_IF_ERROR(source.RefuseDuplicate());
      for (const ComparedKey& key : keys) RETURN_IF_ERROR(owners_.Claim(key.key, structure.name));
      return found;
    };
    const Result<Compared> compared = compare();
    postgres.Rollback();
    return compared;
  }

  static Status MendAll(const Structure& structure, const std::vector<Difference>& confirmed, KeyGuards& guards,
                        Repairer& repairer) {
    ASSIGN_OR_RETURN(const std::set<std::string> kept, guards.Protected(confirmed));
    for (const Difference& difference : confirmed) {
      if (kept.contains(difference.key)) continue;
      RETURN_IF_ERROR(
          repairer.Mend(structure, difference).Prefixed(structure.name + ": key " + Escape(difference.key)));
    }
    return repairer.Finish().Prefixed(structure.name);
  }

  Status CheckAccess(RedisClient& redis, bool mending) {
    const Result<AccessSet> read = ReadAccessSet(options_.folder);
    if (!read.ok()) {
      // A secret that is not at hand says nothing about the keys.
      LogWarning("access-not-compared", {{"why", read.error().message}});
      return {};
    }
    const Result<AccessSet> open = LeaveDefaultOpen(read.value(), redis);
    if (!open.ok()) {
      if (open.error().code != ErrorCode::kNotPermitted) return open.error();
      LogWarning("access-not-compared", {{"why", open.error().message}});
      return {};
    }
    const AccessSet& set = open.value();
    if (set.users.size() < read.value().users.size())
      LogWarning("default-open", {{"why", "nobody has closed it"}, {"way_out", "access --close-default"}});
    const auto take = [&](const Difference& difference) {
      Print(difference);
      return true;
    };
    const Result<Compared> compared = CompareAccess(set, redis, take);
    if (!compared.ok()) {
      if (compared.error().code != ErrorCode::kNotPermitted) return compared.error();
      LogWarning("access-not-compared", {{"why", compared.error().message}});
      return {};
    }
    access_compared_ = !set.users.empty() || !set.groups.empty();
    total_.differences += compared.value().differences;
    if (!mending || compared.value().differences == 0) return {};
    const Result<AccessReport> applied = ApplyAccess(set, redis, OwnUser::kKeep);
    return applied.ok() ? Status() : Status(applied.error());
  }

  void Print(const Difference& difference) {
    if (output_.json()) {
      output_.out() << DifferenceJson(difference);
    } else if (++lines_ <= kMostLines) {
      output_.out() << TextLine(difference);
    } else if (lines_ == kMostLines + 1) {
      output_.out() << "… and more: --json prints all of them\n";
    }
  }

  const VerifyOptions& options_;
  const SkippedList& skipped_;
  Output& output_;
  Compared total_;
  std::vector<Structure> equal_;
  bool seen_equal_ = false;  // the structure that was compared last, by its last look
  KeyOwners owners_;
  bool access_compared_ = false;
  uint64_t lines_ = 0;
};

class Verify : public Command {
 public:
  Verify() : Command("verify", "Compares Redis with PostgreSQL by value, and users and groups with the schema set.") {}

  void Declare(OptionTable& options) override {
    AddSchema(options, &options_.folder);
    AddStructures(options, &options_.stores, &options_.only);
    options.Flag("repair", "repair the differences, and nothing else", &repair_);
    skipped_.AddOption(options);
    AddProgress(options, &options_.progress);
  }

  Result<Outcome> Run(Output& output) override {
    CatchStopSignals();
    Verifier verifier(options_, skipped_, output);
    if (repair_) RETURN_IF_ERROR(skipped_.Read());
    RETURN_IF_ERROR(verifier.Run(repair_));
    const uint64_t found = verifier.total().differences;
    // What was mended is looked at again: only that says that it is mended.
    if (repair_ && found > 0) RETURN_IF_ERROR(verifier.Run(false));
    for (const Structure& structure : verifier.equal()) {
      if (repair_) RETURN_IF_ERROR(skipped_.StrikeOff(structure, verifier.owners()));
    }
    const Compared& total = verifier.total();
    const uint64_t repaired = repair_ ? found - total.differences : 0;
    Outcome outcome;
    outcome.counts = {{"keys", total.keys},
                      {"read", total.rows},
                      {"differences", total.differences},
                      {"repaired", repaired},
                      {"access_compared", verifier.access_compared()}};
    outcome.duration_ms = output.ElapsedMs();
    outcome.result = total.differences == 0 ? "verified" : "differs";
    outcome.text = "verify: " + FormatCount(total.keys) + " keys, " + FormatCount(total.rows) + " rows, " +
                   FormatCount(total.differences) + " differences";
    if (repair_) outcome.text += ", " + FormatCount(repaired) + " mended";
    if (!verifier.access_compared()) outcome.text += ", users and groups not compared";
    outcome.text += ", in " + FormatDuration(*outcome.duration_ms) + "\n" + skipped_.Text() + outcome.result + "\n";
    if (!skipped_.empty()) outcome.details["skipped"] = skipped_.Json();
    if (total.differences > 0) outcome.exit_code = ExitCode::kDiffers;
    return outcome;
  }

 private:
  VerifyOptions options_;
  SkippedList skipped_;
  bool repair_ = false;
};

}  // namespace

std::unique_ptr<Command> VerifyCommand() {
  return std::make_unique<Verify>();
}

}  // namespace sprockets
