// The access command.
#include <string>

#include "replayer/access/access_control.h"
#include "replayer/commands/commands.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

int PrintDifferences(const Config& config, const AccessSet& set, RedisClient& redis, std::ostream& out) {
  const auto tell = [&](const Difference& difference) {
    if (config.json) {
      out << DifferenceJson(difference);
      return true;
    }
    out << "would change: " << difference.type << " " << Escape(difference.key)
        << (difference.member ? " " + Escape(*difference.member) : "") << " is " << NameOf(difference.problem) << "\n";
    return true;
  };
  const Result<Compared> compared = CompareAccess(set, redis, tell);
  if (!compared.ok()) return Fail(config, "access", compared.error(), out);
  if (const Result<int> checks = RehearseAccess(set, redis); !checks.ok())
    return Fail(config, "access", checks.error(), out);
  const bool same = compared.value().differences == 0;
  if (!config.json) out << (same ? "verified\n" : "left\n");
  return same ? 0 : 1;
}

}  // namespace

int RunAccess(const Config& config, std::ostream& out) {
  const int64_t begun_ms = SteadyClockMs();
  const auto fail = [&](const Error& error) { return Fail(config, "access", error, out); };
  const Result<AccessSet> set = ReadAccessSet(config.set.folder);
  if (!set.ok()) return fail(set.error());
  Result<RedisClient> redis = RedisClient::Connect(*config.redis, config.set.redis_deadline_ms);
  if (!redis.ok()) return fail(redis.error());
  if (config.set.dry_run) return PrintDifferences(config, set.value(), redis.value(), out);
  const Result<AccessReport> applied = ApplyAccess(set.value(), redis.value(), OwnUser::kChangeLast);
  if (!applied.ok()) return fail(applied.error());
  const AccessReport& report = applied.value();
  if (config.json) {
    out << R"({"command":"access","users_changed":)" << report.users_changed << R"(,"groups_created":)"
        << report.groups_created << R"(,"checks":)" << report.checks << R"(,"saved":)"
        << (report.saved ? "true" : "false") << R"(,"duration_ms":)" << SteadyClockMs() - begun_ms
        << ",\"result\":\"verified\"}\n";
  } else {
    out << "access: " << report.users_changed << " users changed, " << report.groups_created << " groups created, "
        << report.checks << " checks hold, " << (report.saved ? "saved" : "not saved") << "\nverified\n";
  }
  return 0;
}

}  // namespace sprockets
