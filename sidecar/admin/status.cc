#include "sidecar/admin/status.h"

#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace sprockets {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostSkippedKeys = 100;  // that are named

Json RedisJson(const Router& router, const RedisFacts& redis) {
  return {{"state", redis.connected ? "connected" : "disconnected"},
          {"breaker", NameOf(router.breaker().state())},
          {"run_id", redis.run_id},
          {"replid", redis.replication_id},
          {"db", redis.database},
          {"durability", NameOf(redis.durability)},
          {"meaning", MeaningOf(redis.durability)},
          {"since_ms", redis.since.ms},
          {"last_error", redis.last_error}};
}

Json CountersJson(const RouterCounters& counters) {
  return {{"accepted", counters.accepted},
          {"landed", counters.landed},
          {"spilled", counters.spilled},
          {"in_doubt", counters.in_doubt},
          {"deduplicated", counters.deduplicated},
          {"refused", counters.refused},
          {"unknown", counters.unknown},
          {"invalid", counters.invalid},
          {"other_payload", counters.other_payload}};
}

Json SpillJson(const SpillReport& spill) {
  Json files = Json::array();
  for (const SpillReport::File& file : spill.files) {
    Json entry = {{"name", file.name}, {"rows", nullptr}, {"bytes", file.bytes}, {"oldest_ms", file.oldest_ms}};
    if (file.rows >= 0) entry["rows"] = file.rows;
    files.push_back(std::move(entry));
  }
  return {{"rows", spill.rows}, {"bytes", spill.bytes}, {"oldest_ms", spill.oldest_ms}, {"files", std::move(files)}};
}

Json SkipsJson(const SkipFacts& skips) {
  int64_t writes = 0;
  Json keys = Json::array();
  for (const SkippedKey& each : skips.keys) {
    writes += each.writes;
    if (keys.size() == kMostSkippedKeys) continue;
    keys.push_back({{"key", each.key},
                    {"writes", each.writes},
                    {"first_ms", each.first_ms},
                    {"last_ms", each.last_ms},
                    {"command", each.command}});
  }
  return {{"keys", skips.keys.size()}, {"writes", writes}, {"first_keys", std::move(keys)}, {"error", skips.error}};
}

}  // namespace

std::string StatusJson(const Router& router, const RedisFacts& redis, const SpillReport& spill, const SkipFacts& skips,
                       std::optional<WallTime> described, WallTime now) {
  Json status = {{"mode", "redis"},
                 {"redis", RedisJson(router, redis)},
                 {"counters", CountersJson(router.counters())},
                 {"relay", {{"connections", redis.relay_connections}, {"commands", redis.relayed_commands}}},
                 {"spill", SpillJson(spill)},
                 {"skipped", SkipsJson(skips)},
                 {"in_flight",
                  {{"events", router.events_in_flight()},
                   {"bytes", router.bytes_in_flight()},
                   {"unanswered", router.events_unanswered()},
                   {"oldest_age_ms", now.ms - router.OldestUnanswered(now).ms}}},
                 {"report_age_ms", nullptr}};
  if (described) status["report_age_ms"] = now.ms - described->ms;
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string InfoSection(const Router& router, int64_t active_rows, size_t skipped_keys) {
  const RouterCounters& counters = router.counters();
  std::string section;
  const auto line = [&](std::string_view name, std::string_view value) {
    section.append(name).append(":").append(value).append("\r\n");
  };
  line("mode", "redis");
  line("breaker", NameOf(router.breaker().state()));
  line("accepted", std::to_string(counters.accepted));
  line("landed", std::to_string(counters.landed));
  line("spilled", std::to_string(counters.spilled));
  line("in_doubt", std::to_string(counters.in_doubt));
  line("spill_rows_active", std::to_string(active_rows));
  line("skipped_keys", std::to_string(skipped_keys));
  return section;
}

}  // namespace sprockets
