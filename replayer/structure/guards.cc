#include "replayer/structure/guards.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "replayer/structure/live_keys.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

using Fields = std::vector<std::string_view>;  // name, value, …
using Json = nlohmann::json;

/// Where the field of this name is in `fields`, the n-th of them, from 0; their end: nowhere.
size_t Find(const Fields& fields, std::string_view name, size_t nth) {
  for (size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (fields[i] == name && nth-- == 0) return i;
  }
  return fields.size();
}

std::optional<std::string> LostMember(std::string_view source, std::string_view live) {
  if (!live.starts_with('{') || source == live) return {};
  const Json before = Json::parse(live, nullptr, /*allow_exceptions=*/false);
  const Json after = Json::parse(source, nullptr, /*allow_exceptions=*/false);
  if (!before.is_object() || !after.is_object()) return {};
  for (const auto& [name, value] : before.items()) {
    if (!after.contains(name)) return name;
  }
  return {};
}

}  // namespace

/// What Redis has and the source has not must not go by itself.
Status GuardLive(const LiveState& live) {
  if (live.extra_entry) {
    return Error{ErrorCode::kWouldLose, "the live stream holds an entry that the source lacks, " +
                                            Escape(*live.extra_entry) + ": let it reach PostgreSQL first" +
                                            std::string(kForceWayOut)};
  }
  if (live.lost_field) {
    return Error{ErrorCode::kWouldLose,
                 "an entry of the live stream has what the source does not give it, " + Escape(*live.lost_field) +
                     ": the query may be older than who writes the entries" + std::string(kForceWayOut)};
  }
  if (live.gone.empty()) return {};
  return Error{ErrorCode::kRefused, "the source has nothing for key " + Escape(live.gone.front()) +
                                        ", which is not empty in Redis" + std::string(kForceWayOut)};
}

std::optional<std::string> LostField(std::string_view source, std::string_view live) {
  Fields before;
  Fields after;
  if (!ParseWholeCommand(live, &before) || !ParseWholeCommand(source, &after)) return {};
  std::map<std::string_view, size_t> seen;  // how often each name has come: an entry may repeat it
  for (size_t i = 0; i + 1 < before.size(); i += 2) {
    const size_t at = Find(after, before[i], seen[before[i]]++);
    if (at == after.size()) return std::string(before[i]);
    if (const auto member = LostMember(after[at + 1], before[i + 1])) return *member;
  }
  return {};
}

bool IsLowered(const Difference& difference) {
  if (difference.problem != Problem::kDifferent || !difference.member || !difference.expected || !difference.actual)
    return false;
  const auto source = ParseNumber(*difference.expected);
  const auto live = ParseNumber(*difference.actual);
  return source && live && *source < *live;
}

Status GuardValues(RedisClient& redis, RedisKind kind, const std::map<std::string, uint64_t>& lowered) {
  for (const auto& [key, count] : lowered) {
    ASSIGN_OR_RETURN(const uint64_t live, CountOf(redis, kind, key));
    if (!LosesTooMuch(live, live - std::min(live, count))) continue;
    return Error{ErrorCode::kRefused, "the source has smaller values for " + FormatCount(count) + " of the " +
                                          FormatCount(live) + " members of key " + Escape(key) +
                                          std::string(kForceWayOut)};
  }
  return {};
}

/// A source that has lost its rows must not take Redis's away.
Status GuardRows(RedisClient& redis, const std::vector<KeyRows>& keys) {
  std::vector<std::string_view> names;
  for (const KeyRows& key : keys) names.push_back(key.key);
  ASSIGN_OR_RETURN(const std::vector<uint64_t> counts, CountsOfAnyKind(redis, names));
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!LosesTooMuch(counts[i], keys[i].rows)) continue;
    return Error{ErrorCode::kRefused, "the source has " + FormatCount(keys[i].rows) + " rows for key " +
                                          Escape(keys[i].key) + ", Redis has " + FormatCount(counts[i]) +
                                          std::string(kForceWayOut)};
  }
  return {};
}

}  // namespace sprockets
