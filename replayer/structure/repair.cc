#include "replayer/structure/repair.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "replayer/structure/compare.h"
#include "replayer/structure/guards.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

// KEYS: the key. ARGV: its kind, the member, what it was seen to have ("absent", or "is" and the value), and what it
// shall have, likewise. Changes nothing if it is otherwise by now: somebody has written it since. Scores are compared
// as numbers.
constexpr std::string_view kMendMember = R"(
local kind, member, now = ARGV[1], ARGV[2]
if kind == 'zset' then now = redis.call('ZSCORE', KEYS[1], member)
elseif kind == 'hash' then now = redis.call('HGET', KEYS[1], member)
else now = redis.call('SISMEMBER', KEYS[1], member) == 1 and '' end
if (ARGV[3] == 'absent') ~= (not now) then return 0 end
if now and now ~= ARGV[4] and not (kind == 'zset' and tonumber(now) == tonumber(ARGV[4])) then return 0 end
if ARGV[5] == 'absent' then redis.call(({zset = 'ZREM', hash = 'HDEL', set = 'SREM'})[kind], KEYS[1], member)
elseif kind == 'zset' then redis.call('ZADD', KEYS[1], ARGV[6], member)
elseif kind == 'hash' then redis.call('HSET', KEYS[1], member, ARGV[6])
else redis.call('SADD', KEYS[1], member) end
return 1)";

}  // namespace

Status Repairer::Mend(const Structure& structure, const Difference& difference) {
  if (difference.problem == Problem::kExpiry) return MendExpiry(difference);
  const bool in_place = structure.kind != RedisKind::kStream && structure.kind != RedisKind::kString;
  if (difference.problem == Problem::kType || !difference.member || !in_place) {
    to_rebuild_->insert(structure.name);
    return {};
  }
  const bool seen = difference.problem != Problem::kMissing;
  const bool wanted = difference.problem != Problem::kExtra;
  const std::string actual = difference.actual.value_or("");
  const std::string expected = difference.expected.value_or("");
  return pipeline_.Add(std::array<std::string_view, 10>{"EVAL", kMendMember, "1", difference.key, difference.type,
                                                        *difference.member, seen ? "is" : "absent", actual,
                                                        wanted ? "is" : "absent", expected});
}

Status Repairer::MendExpiry(const Difference& difference) {
  if (*difference.expected == "-1") return pipeline_.Add(std::array<std::string_view, 2>{"PERSIST", difference.key});
  return pipeline_.Add(std::array<std::string_view, 3>{"PEXPIREAT", difference.key, *difference.expected});
}

Result<std::set<std::string>> KeyGuards::Protected(const std::vector<Difference>& confirmed) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> changes;  // by key: members that go, that come
  for (const Difference& difference : confirmed) {
    if (IsExtraMember(difference)) ++changes[difference.key].first;
    if (difference.member && difference.problem == Problem::kMissing) ++changes[difference.key].second;
  }
  std::map<std::string, uint64_t> lowered;
  for (const Difference& difference : confirmed) {
    if (IsLowered(difference)) ++lowered[difference.key];
  }
  std::set<std::string> keys;
  for (const auto& [key, count] : lowered) {
    const Status guarded = GuardValues(redis_, structure_.kind, {{key, count}});
    if (guarded.ok()) continue;
    if (!IsRefusal(guarded.error().code)) return guarded.error();
    keys.insert(key);
    refusal_ = Status(guarded).Prefixed(structure_.name);
  }
  for (const auto& [key, change] : changes) {
    const auto& [gone, come] = change;
    if (gone == 0) continue;
    ASSIGN_OR_RETURN(const uint64_t live, CountOf(redis_, structure_.kind, key));
    const uint64_t left = live + come - std::min(gone, live + come);
    if (!LosesTooMuch(live, left)) continue;
    keys.insert(key);
    refusal_ =
        Error{ErrorCode::kRefused, structure_.name + ": key " + Escape(key) + " would lose " + FormatCount(gone) +
                                       " of " + FormatCount(live) +
                                       " members, which the source lacks: if that is right, rebuild --force does it"};
  }
  return keys;
}

}  // namespace sprockets
