#include "sidecar/admin/page_json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "shared/http/metrics.h"

namespace sprockets {

namespace {

using PageValue = nlohmann::ordered_json;

constexpr size_t kMostFilesShown = 100;

std::string Dump(const PageValue& json) {
  return json.dump(-1, ' ', false, PageValue::error_handler_t::replace);
}

PageValue JudgedJson(const Verdict& verdict) {
  PageValue reasons = PageValue::array();
  for (const Reason& reason : verdict.reasons)
    reasons.push_back({{"code", reason.code}, {"text", reason.text}, {"takes_events", reason.takes_events}});
  return {{"alive", verdict.alive},
          {"ready", verdict.ready},
          {"takes_events", verdict.takes_events},
          {"headline", verdict.headline},
          {"reasons", std::move(reasons)}};
}

PageValue StreamsJson(const Snapshot& now) {
  PageValue streams = PageValue::array();
  const auto refusal_of = [&](const std::string& name) -> std::string {
    for (const StreamRefusal& refusal : now.probes.refused)
      if (refusal.name == name) return refusal.why;
    return "";
  };
  const auto journal_of = [&](const std::string& name) -> const JournalFacts::Stream* {
    if (!now.delivery.journal) return nullptr;
    for (const JournalFacts::Stream& stream : now.delivery.journal->streams)
      if (stream.name == name) return &stream;
    return nullptr;
  };
  for (const StreamProbe& stream : now.probes.streams) {
    const JournalFacts::Stream* behind = journal_of(stream.name);
    PageValue entry = {{"stream", LabelText(stream.name)},   {"accepted", stream.counters.accepted},
                       {"landed", stream.counters.landed},   {"stored", stream.counters.spilled},
                       {"refusal", refusal_of(stream.name)}, {"behind_since_ms", nullptr}};
    if (behind != nullptr) entry["behind_since_ms"] = std::max(behind->landed, StreamId{}).ms;
    streams.push_back(std::move(entry));
  }
  return streams;
}

PageValue FilesJson(const Snapshot& now) {
  PageValue files = PageValue::array();
  for (const SpillReport::File& file : now.spill.files) {
    if (files.size() == kMostFilesShown) break;
    PageValue entry = {{"name", file.name}, {"rows", nullptr}, {"bytes", file.bytes}, {"oldest_ms", file.oldest_ms}};
    if (file.rows >= 0) entry["rows"] = file.rows;
    files.push_back(std::move(entry));
  }
  return files;
}

PageValue HistoryJson(const Publication& publication, int64_t after_ms) {
  PageValue points = PageValue::array();
  for (const HistoryPoint& point : publication.history) {
    if (point.when_ms > after_ms)
      points.push_back({point.when_ms, point.accepted, point.landed, point.stored, point.refused, point.waiting});
  }
  return points;
}

}  // namespace

std::string VerdictJson(const Verdict& verdict) {
  return Dump(JudgedJson(verdict)) + "\n";
}

std::string PageJson(const Publication& publication, const Verdict& verdict, int64_t steady_ms,
                     int64_t history_after_ms) {
  const Snapshot& now = publication.snapshot;
  PageValue json = JudgedJson(verdict);
  PageValue next = PageValue::array();
  for (const Advice& advice : verdict.next) next.push_back({{"text", advice.text}, {"command", advice.command}});
  PageValue notes = PageValue::array();
  for (const Note& note : publication.notes) notes.push_back({{"when_ms", note.when.ms}, {"text", note.text}});
  PageValue counters = PageValue::object();
  for (const auto& [name, value] : now.delivery.counters) counters[std::string(name)] = value;
  json["next"] = std::move(next);
  json["notes"] = std::move(notes);
  json["mode"] = now.delivery.mode;
  json["version"] = SPROCKETS_VERSION;
  json["now_ms"] = now.now.ms;
  json["started_ms"] = now.started.ms;
  json["snapshot_age_ms"] = std::max<int64_t>(0, steady_ms - now.steady_ms);
  json["redis"] = {{"address", now.setup.redis},
                   {"connected", now.delivery.redis.connected},
                   {"takes_events", now.delivery.redis.takes_events},
                   {"since_ms", now.delivery.redis.since.ms},
                   {"times_opened", now.probes.times_opened},
                   {"last_error", now.delivery.redis.last_error}};
  json["counters"] = std::move(counters);
  json["clients"] = {{"connected", now.clients}, {"paused", now.paused_clients}};
  json["relay"] = {{"connections", now.relay.connections}, {"commands", now.relay.commands}};
  json["in_flight"] = {{"events", now.delivery.events_in_flight},
                       {"bytes", now.delivery.bytes_in_flight},
                       {"unanswered", now.delivery.unanswered},
                       {"oldest_age_ms", now.delivery.oldest_age_ms}};
  json["spill"] = {{"folder", now.setup.spill_dir},
                   {"rows", now.spill.rows},
                   {"rows_waiting", now.rows_waiting()},
                   {"bytes", now.spill.bytes},
                   {"max_bytes", now.setup.spill_max_bytes},
                   {"free_bytes", now.spill.free_bytes},
                   {"oldest_ms", now.spill.oldest_ms},
                   {"files", FilesJson(now)},
                   {"drained_files", now.spill.states.drained},
                   {"queue_bytes", now.probes.disk_queue_bytes}};
  json["skipped"] = {{"keys", now.skipped_keys}, {"writes", now.skipped_writes}};
  json["streams"] = StreamsJson(now);
  json["other_streams"] = {{"accepted", now.probes.other_streams.accepted},
                           {"landed", now.probes.other_streams.landed},
                           {"stored", now.probes.other_streams.spilled}};
  if (now.delivery.journal)
    json["journal"] = {{"lag_ms", now.delivery.journal->lag_ms},
                       {"streams_behind", now.delivery.journal->streams.size()},
                       {"held_ms", now.delivery.journal->held_ms}};
  json["history"] = HistoryJson(publication, history_after_ms);
  return Dump(json);
}

}  // namespace sprockets
