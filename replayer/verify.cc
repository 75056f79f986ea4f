// The verify command: Redis against PostgreSQL and against the set's users and groups; and mending what differs.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "replayer/access_control.h"
#include "replayer/commands.h"
#include "replayer/rebuild.h"
#include "replayer/server.h"
#include "replayer/stop.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/text.h"

namespace sprockets {
namespace {

constexpr uint64_t kMostLines = 100;  // for people; --json prints every difference

std::string TextLine(const Difference& difference) {
  std::string line = difference.type + " " + Escape(difference.key);
  if (!difference.member.empty()) line += " " + Escape(difference.member);
  line += ": " + difference.problem;
  if (difference.expected) line += ", expected " + Escape(*difference.expected);
  if (difference.actual) line += ", found " + Escape(*difference.actual);
  return line + "\n";
}

/// Mends one member in place. What needs the whole key (a stream, a wrong type, a missing key) is noted for a rebuild.
class Repairer {
 public:
  Repairer(RedisClient& redis, std::set<std::string>* to_rebuild) : pipeline_(redis), to_rebuild_(to_rebuild) {}

  Status Mend(const Structure& structure, const Difference& difference) {
    const bool whole_key = difference.member.empty() && structure.kind != RedisKind::kString;
    if (difference.problem == "expiry") return MendExpiry(difference);
    if (difference.problem == "type" || whole_key || structure.kind == RedisKind::kStream ||
        structure.kind == RedisKind::kString) {
      to_rebuild_->insert(structure.name);
      return {};
    }
    const bool remove = difference.problem == "extra";
    std::vector<std::string_view> words;
    if (structure.kind == RedisKind::kZset && remove) words = {"ZREM", difference.key, difference.member};
    if (structure.kind == RedisKind::kZset && !remove)
      words = {"ZADD", difference.key, *difference.expected, difference.member};
    if (structure.kind == RedisKind::kHash && remove) words = {"HDEL", difference.key, difference.member};
    if (structure.kind == RedisKind::kHash && !remove)
      words = {"HSET", difference.key, difference.member, *difference.expected};
    if (structure.kind == RedisKind::kSet) words = {remove ? "SREM" : "SADD", difference.key, difference.member};
    return pipeline_.Add(words);
  }
  Status Finish() { return pipeline_.Finish(); }

 private:
  Status MendExpiry(const Difference& difference) {
    if (*difference.expected == "-1") return pipeline_.Add(std::array<std::string_view, 2>{"PERSIST", difference.key});
    return pipeline_.Add(std::array<std::string_view, 3>{"PEXPIREAT", difference.key, *difference.expected});
  }

  Pipeline pipeline_;
  std::set<std::string>* to_rebuild_;
};

class Verifier {
 public:
  Verifier(const Config& config, std::ostream& out) : config_(config), out_(out) {}

  /// Compares everything; with `mending`, what differs is mended, too.
  Status Run(bool mending) {
    total_ = {};
    ASSIGN_OR_RETURN(const std::vector<Structure> structures, ReadStructures(config_.set.folder, config_.set.only));
    ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(*config_.postgres, config_.set.postgres_wait_ms));
    ASSIGN_OR_RETURN(Server server, Server::Connect(*config_.redis, config_.set.redis_deadline_ms));
    RedisClient& redis = server.client();
    std::set<std::string> to_rebuild;
    for (const Structure& structure : structures) {
      RETURN_IF_ERROR(CompareOne(postgres, redis, structure, mending, &to_rebuild));
    }
    if (config_.set.only == "*") RETURN_IF_ERROR(CheckAccess(redis, mending));
    if (to_rebuild.empty()) return {};
    ASSIGN_OR_RETURN(std::vector<ConsumerGroup> groups, ReadGroups(config_.set.folder));
    Rebuilder rebuilder(postgres, redis, config_.set, std::move(groups));
    RETURN_IF_ERROR(rebuilder.Begin());
    for (const Structure& structure : structures) {
      if (!to_rebuild.contains(structure.name)) continue;
      Progress progress(config_.progress, structure.name);
      RETURN_IF_ERROR(rebuilder.Rebuild(structure, progress));
    }
    return {};
  }
  const Compared& total() const { return total_; }
  /// Were users and groups compared, too?
  bool access_compared() const { return access_compared_; }

 private:
  Status CompareOne(Postgres& postgres, RedisClient& redis, const Structure& structure, bool mending,
                    std::set<std::string>* to_rebuild) {
    Progress progress(config_.progress, structure.name);
    std::vector<Difference> to_mend;
    const auto take = [&](const Difference& difference) {
      progress.MakeRoom();
      Print(difference);
      if (mending) to_mend.push_back(difference);
      return true;
    };
    RETURN_IF_ERROR(postgres.BeginSnapshot());
    const auto compare = [&]() -> Result<Compared> {
      ASSIGN_OR_RETURN(Source source, Source::Open(postgres, structure));
      ASSIGN_OR_RETURN(const Compared found, Compare(source, structure, redis, "", take));
      if (found.differences > 0) RETURN_IF_ERROR(source.RefuseDuplicate());
      return found;
    };
    const Result<Compared> compared = compare();
    postgres.Rollback();
    if (!compared.ok()) return compared.error();
    total_.keys += compared.value().keys;
    total_.rows += compared.value().rows;
    total_.differences += compared.value().differences;
    if (mending) RETURN_IF_ERROR(GuardRepair(structure, compared.value(), to_mend));
    Repairer repairer(redis, to_rebuild);
    for (const Difference& difference : to_mend) RETURN_IF_ERROR(repairer.Mend(structure, difference));
    return repairer.Finish();
  }

  /// What rebuild's guards refuse is not done member by member either.
  static Status GuardRepair(const Structure& structure, const Compared& compared,
                            const std::vector<Difference>& to_mend) {
    const auto extra = [](const Difference& difference) {
      return difference.problem == "extra" && !difference.member.empty();
    };
    const auto removed = static_cast<uint64_t>(std::count_if(to_mend.begin(), to_mend.end(), extra));
    if (removed <= compared.rows) return {};
    return Error{ErrorCode::kRefused, structure.name + ": Redis holds " + FormatCount(removed) +
                                          " members that the source lacks, more than the source has rows (" +
                                          FormatCount(compared.rows) + "): if that is right, rebuild --force does it"};
  }

  Status CheckAccess(RedisClient& redis, bool mending) {
    const Result<AccessSet> read = ReadAccessSet(config_.set.folder);
    if (!read.ok()) {
      // A secret that is not at hand says nothing about the keys.
      LogWarning("access-not-compared", {{"why", read.error().message}});
      return {};
    }
    const AccessSet& set = read.value();
    const auto take = [&](const Difference& difference) {
      Print(difference);
      return true;
    };
    const Result<Compared> compared = CompareAccess(set, redis, take);
    if (!compared.ok()) {
      if (compared.error().message.find("NOPERM") == std::string::npos) return compared.error();
      LogWarning("access-not-compared", {{"why", compared.error().message}});
      return {};
    }
    access_compared_ = true;
    total_.differences += compared.value().differences;
    if (!mending || compared.value().differences == 0) return {};
    const Result<AccessReport> applied = ApplyAccess(set, redis);
    return applied.ok() ? Status() : Status(applied.error());
  }

  void Print(const Difference& difference) {
    if (config_.json) {
      out_ << DifferenceJson(difference);
    } else if (++lines_ <= kMostLines) {
      out_ << TextLine(difference);
    } else if (lines_ == kMostLines + 1) {
      out_ << "… and more: --json prints all of them\n";
    }
  }

  const Config& config_;
  std::ostream& out_;
  Compared total_;
  bool access_compared_ = false;
  uint64_t lines_ = 0;
};

}  // namespace

int RunVerify(const Config& config, std::ostream& out) {
  CatchStopSignals();
  const int64_t begun_ms = SteadyClockMs();
  Verifier verifier(config, out);
  Status status = verifier.Run(config.set.repair);
  const uint64_t found = verifier.total().differences;
  // What was mended is looked at again: only that says that it is mended.
  if (status.ok() && config.set.repair && found > 0) status = verifier.Run(false);
  if (!status.ok()) return Fail(config, "verify", status.error(), out);
  const Compared& total = verifier.total();
  const std::string result = total.differences == 0 ? "verified" : "differs";
  if (config.json) {
    out << R"({"command":"verify","keys":)" << total.keys << R"(,"read":)" << total.rows << R"(,"differences":)"
        << total.differences << R"(,"repaired":)" << (config.set.repair ? found - total.differences : 0)
        << R"(,"access_compared":)" << (verifier.access_compared() ? "true" : "false") << R"(,"duration_ms":)"
        << SteadyClockMs() - begun_ms << R"(,"result":")" << result << "\"}\n";
  } else {
    out << "verify: " << FormatCount(total.keys) << " keys, " << FormatCount(total.rows) << " rows, "
        << FormatCount(total.differences) << " differences";
    if (config.set.repair) out << ", " << FormatCount(found - total.differences) << " mended";
    if (!verifier.access_compared()) out << ", users and groups not compared";
    out << ", in " << FormatDuration(SteadyClockMs() - begun_ms) << "\n" << result << "\n";
  }
  return total.differences == 0 ? 0 : 1;
}

}  // namespace sprockets
