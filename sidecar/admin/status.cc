#include "sidecar/admin/status.h"

#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace sprockets {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostSkippedKeys = 100;  // that are named

constexpr std::string_view StateOf(bool takes_events) {
  return takes_events ? "closed" : "open";
}

Json RedisJson(const RedisFacts& redis) {
  return {{"state", redis.connected ? "connected" : "disconnected"},
          {"breaker", StateOf(redis.takes_events)},
          {"run_id", redis.run_id},
          {"replid", redis.replication_id},
          {"db", redis.database},
          {"durability", redis.durability ? NameOf(*redis.durability) : "journal"},
          {"meaning", redis.durability ? MeaningOf(*redis.durability) : kMeaningOfJournal},
          {"since_ms", redis.since.ms},
          {"last_error", redis.last_error}};
}

Json JournalJson(const JournalFacts& journal) {
  Json streams = Json::array();
  for (const JournalFacts::Stream& stream : journal.streams) {
    streams.push_back({{"stream", stream.name},
                       {"committed", ToString(stream.committed)},
                       {"landed", ToString(stream.landed)},
                       {"refusal", stream.refusal}});
  }
  return {{"lag_ms", journal.lag_ms}, {"behind", std::move(streams)}, {"ahead_of_clock_ms", journal.ahead_of_clock_ms},
          {"guard", journal.guarded}, {"blocked", journal.blocked},   {"held_ms", journal.held_ms}};
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

std::string StatusJson(const DeliveryFacts& delivery, const RelayFacts& relay, const SpillReport& spill,
                       const SkipFacts& skips, std::optional<WallTime> described, WallTime now) {
  Json counters = Json::object();
  for (const auto& [name, value] : delivery.counters) counters[std::string(name)] = value;
  Json status = {{"mode", delivery.mode},
                 {"redis", RedisJson(delivery.redis)},
                 {"counters", std::move(counters)},
                 {"relay", {{"connections", relay.connections}, {"commands", relay.commands}}},
                 {"spill", SpillJson(spill)},
                 {"skipped", SkipsJson(skips)},
                 {"in_flight",
                  {{"events", delivery.events_in_flight},
                   {"bytes", delivery.bytes_in_flight},
                   {"unanswered", delivery.unanswered},
                   {"oldest_age_ms", delivery.oldest_age_ms}}},
                 {"report_age_ms", nullptr}};
  if (delivery.journal) status["journal"] = JournalJson(*delivery.journal);
  if (described) status["report_age_ms"] = now.ms - described->ms;
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string InfoSection(const DeliveryFacts& delivery, int64_t active_rows, size_t skipped_keys) {
  std::string section;
  const auto line = [&](std::string_view name, std::string_view value) {
    section.append(name).append(":").append(value).append("\r\n");
  };
  line("mode", delivery.mode);
  line("breaker", StateOf(delivery.redis.takes_events));
  for (const auto& [name, value] : delivery.counters) line(name, std::to_string(value));
  line("spill_rows_active", std::to_string(active_rows));
  line("skipped_keys", std::to_string(skipped_keys));
  return section;
}

}  // namespace sprockets
