#include "sidecar/admin/figures.h"

#include <map>
#include <set>

#include "shared/http/metrics.h"
#include "sidecar/admin/verdict.h"

namespace sprockets {

namespace {

constexpr const char* kOther = "other";
constexpr size_t kMostLabelBytes = 128;

double Seconds(int64_t ms) {
  return static_cast<double>(ms) / 1000;
}

double Number(auto value) {
  return static_cast<double>(value);
}

void AddEvents(const Snapshot& now, Metrics* to) {
  struct Plain {
    const char* counter;
    const char* name;
    const char* help;
  };
  static constexpr Plain kPlain[] = {
      {"deduplicated", "sprockets_events_deduplicated_total", "Events that were answered as copies of an earlier one."},
      {"in_doubt", "sprockets_events_in_doubt_total",
       "Events that were sent to Redis without an answer and were spilled as in doubt."},
      {"settled", "sprockets_events_settled_total",
       "Events that were not sent because their stream has them since an earlier life of the sidecar."},
      {"other_payload", "sprockets_events_other_payload_total", "New events under an id that another event had."},
      {"refills", "sprockets_journal_refills_total", "Times that a stream was sent again what Redis had forgotten."},
      {"overtaken", "sprockets_journal_overtaken_total",
       "Events that got another entry id because another writer's entry overtook them."},
      {"unproven", "sprockets_journal_unproven_total", "Events of which nobody can say whether Redis has had them."},
      {"reported", "sprockets_journal_reported_total",
       "Events that Redis had and lacks, and that may have been deleted on purpose."},
      {"rejected", "sprockets_journal_rejected_total", "Events that Redis will never take. Their journals are kept."},
  };
  for (const Plain& plain : kPlain) {
    for (const auto& [name, value] : now.delivery.counters)
      if (name == plain.counter) to->Counter(plain.name, plain.help, Number(value));
  }
  const char* refused = "sprockets_events_refused_total";
  const char* help =
      "Events that were not accepted, by the answer: retry, the event is not stored; unknown, it may be stored; "
      "invalid, it never will be.";
  to->Counter(refused, help, Number(now.Counter("refused")), {{"reason", "retry"}});
  to->Counter(refused, help, Number(now.Counter("unknown")), {{"reason", "unknown"}});
  to->Counter(refused, help, Number(now.Counter("invalid")), {{"reason", "invalid"}});
}

void AddStreams(const Snapshot& now, Metrics* to) {
  std::map<std::string, StreamCounters> by_label;
  const auto add = [&](const std::string& label, const StreamCounters& counters) {
    StreamCounters& sum = by_label[label];
    sum.accepted += counters.accepted;
    sum.landed += counters.landed;
    sum.spilled += counters.spilled;
  };
  add(kOther, now.probes.other_streams);
  for (const StreamProbe& stream : now.probes.streams) {
    const std::string label = LabelText(stream.name, kMostLabelBytes);
    add(by_label.contains(label) ? kOther : label, stream.counters);
  }
  for (const auto& [label, counters] : by_label) {
    const Metrics::Labels labels = {{"stream", label}};
    to->Counter("sprockets_events_accepted_total", "Events that clients sent and the sidecar took on.",
                Number(counters.accepted), labels);
    to->Counter("sprockets_events_landed_total", "Events that Redis has acknowledged.", Number(counters.landed),
                labels);
    to->Counter("sprockets_events_spilled_total",
                "Events that were committed to disk: with --ack redis those that Redis did not take, with --ack disk "
                "all of them.",
                Number(counters.spilled), labels);
  }
  std::set<std::string> refused;
  for (const StreamRefusal& refusal : now.probes.refused) refused.insert(LabelText(refusal.name, kMostLabelBytes));
  to->Gauge("sprockets_streams_refused", "Streams that Redis refuses alone, at most 100 are counted.",
            Number(now.probes.refused.size()));
  for (const std::string& label : refused)
    to->Gauge("sprockets_stream_refused", "1 for a stream that Redis refuses alone.", 1, {{"stream", label}});
}

void AddRedis(const Snapshot& now, int64_t age_ms, Metrics* to) {
  const RedisFacts& redis = now.delivery.redis;
  to->Gauge("sprockets_redis_connected", "Whether the sidecar's own connection to Redis stands.", redis.connected);
  to->Gauge("sprockets_breaker_open", "Whether events are kept from Redis now.", !redis.takes_events);
  to->Counter("sprockets_breaker_opened_total", "Times that events could not go to Redis any more.",
              Number(now.probes.times_opened));
  to->Gauge("sprockets_redis_connection_changed_timestamp_seconds", "When the connection was last lost or found.",
            Seconds(redis.since.ms));
  if (now.redis_silent_ms)
    to->Gauge("sprockets_redis_answer_age_seconds", "Since Redis last answered anything.",
              Seconds(*now.redis_silent_ms + age_ms));
  to->Gauge("sprockets_in_flight_events", "Events on their way to Redis, with --ack redis.",
            Number(now.delivery.events_in_flight));
  to->Gauge("sprockets_in_flight_bytes", "Their bytes.", Number(now.delivery.bytes_in_flight));
}

void AddJournal(const Snapshot& now, Metrics* to) {
  if (!now.delivery.journal) return;
  const JournalFacts& journal = *now.delivery.journal;
  to->Gauge("sprockets_journal_lag_seconds", "Age of the oldest event that Redis does not have yet.",
            Seconds(journal.lag_ms));
  to->Gauge("sprockets_journal_streams_behind", "Streams with events that Redis does not have yet.",
            Number(journal.streams.size()));
  to->Gauge("sprockets_journal_blocked", "Whether a COMMIT has failed and is tried again.", journal.blocked);
  to->Gauge("sprockets_journal_held_seconds", "How long SPROCKETS HOLD still lasts.", Seconds(journal.held_ms));
}

void AddDisk(const Snapshot& now, int64_t age_ms, Metrics* to) {
  const SpillReport& spill = now.spill;
  to->Gauge("sprockets_spill_rows",
            "Rows in files that are not drained. With --ack disk the files are journals, and what has landed counts.",
            Number(spill.rows));
  to->Gauge("sprockets_spill_bytes", "Bytes of these files.", Number(spill.bytes));
  to->Gauge("sprockets_spill_oldest_age_seconds", "Age of the oldest row in them; 0: there is none.",
            spill.oldest_ms > 0 ? Seconds(now.now.ms - spill.oldest_ms) : 0);
  to->Gauge("sprockets_spill_max_bytes", "What they may take: --spill-max-bytes.", Number(now.setup.spill_max_bytes));
  if (spill.free_bytes >= 0)
    to->Gauge("sprockets_spill_disk_free_bytes", "What the disk below them still gives.", Number(spill.free_bytes));
  const std::pair<const char*, size_t> states[] = {{"active", spill.states.active},
                                                   {"sealed", spill.states.sealed},
                                                   {"suspect", spill.states.suspect},
                                                   {"quarantined", spill.states.quarantined},
                                                   {"drained", spill.states.drained}};
  for (const auto& [state, files] : states)
    to->Gauge("sprockets_spill_files", "Files in the spill folder, by state.", Number(files), {{"state", state}});
  if (spill.writable)
    to->Gauge("sprockets_spill_writable", "Whether the last durable write to the spill folder succeeded.",
              *spill.writable);
  if (now.spill_age_ms)
    to->Gauge("sprockets_spill_report_age_seconds", "Since the disk last answered; the figures above are of then.",
              Seconds(*now.spill_age_ms + age_ms));
  to->Gauge("sprockets_spill_queue_bytes", "Bytes of events on their way to disk.",
            Number(now.probes.disk_queue_bytes));
  to->Histogram("sprockets_commit_duration_seconds",
                "How long COMMIT took, its sync included; with --fsync-interval it has none.", spill.commits);
}

void AddAnswers(const Snapshot& now, Metrics* to) {
  const char* name = "sprockets_answer_duration_seconds";
  const char* help =
      "From the turn that read an event to the turn that answered it, by who has it: redis, or disk with its COMMIT "
      "and sync.";
  to->Histogram(name, help, now.probes.to_redis, {{"path", "redis"}});
  to->Histogram(name, help, now.probes.to_disk, {{"path", "disk"}});
  to->Gauge("sprockets_unanswered_events", "Events that wait for their answer.", Number(now.delivery.unanswered));
  to->Gauge("sprockets_unanswered_oldest_age_seconds", "How long the oldest of them waits, with --ack redis.",
            Seconds(now.delivery.oldest_age_ms));
}

void AddClients(const Snapshot& now, Metrics* to) {
  to->Gauge("sprockets_clients", "Clients that are connected.", Number(now.clients));
  to->Gauge("sprockets_clients_paused", "Clients that are not read, because too much is in flight.",
            Number(now.paused_clients));
  to->Gauge("sprockets_relay_connections", "Connections to Redis for relayed commands.", Number(now.relay.connections));
  to->Counter("sprockets_relayed_commands_total", "Commands that were relayed to Redis.", Number(now.relay.commands));
  to->Counter("sprockets_skipped_writes_total", "Writes that were skipped while Redis was away, once for each key.",
              Number(now.skipped_writes));
  to->Gauge("sprockets_skipped_keys", "Keys that missed writes and wait for a rebuild.", Number(now.skipped_keys));
  to->Gauge("sprockets_window_ids", "Event ids in the window of duplicates.", Number(now.probes.window_used));
  to->Gauge("sprockets_window_capacity_ids", "How many it holds: --dedupe-window.", Number(now.probes.window_capacity));
}

}  // namespace

std::string MetricsText(const Snapshot& snapshot, int64_t steady_ms) {
  Metrics metrics;
  const Verdict verdict = Judge(snapshot, steady_ms);
  const int64_t age_ms = std::max<int64_t>(0, steady_ms - snapshot.steady_ms);
  metrics.Gauge("sprockets_build_info", "1, with the version and the mode as labels.", 1,
                {{"version", SPROCKETS_VERSION}, {"ack", std::string(snapshot.delivery.mode)}});
  metrics.Gauge("sprockets_start_timestamp_seconds", "When the sidecar started.", Seconds(snapshot.started.ms));
  metrics.Gauge("sprockets_snapshot_age_seconds", "Since the sidecar's loop took the figures of this page.",
                Seconds(age_ms));
  metrics.Gauge("sprockets_ready", "What /ready says.", verdict.ready);
  metrics.Gauge("sprockets_takes_events", "Whether events are taken, be it to disk alone.", verdict.takes_events);
  AddEvents(snapshot, &metrics);
  AddStreams(snapshot, &metrics);
  AddAnswers(snapshot, &metrics);
  AddRedis(snapshot, age_ms, &metrics);
  AddJournal(snapshot, &metrics);
  AddDisk(snapshot, age_ms, &metrics);
  AddClients(snapshot, &metrics);
  return metrics.Text();
}

}  // namespace sprockets
