#include "sidecar/delivery/redis_first.h"

#include <utility>

#include "shared/base/clock.h"
#include "shared/base/log.h"

namespace sprockets {

RedisFirst::RedisFirst(uv_loop_t* loop, const LoopClock* clock, Upstream::Options redis,
                       std::vector<ConnectionId> earlier, bool earlier_lost, const RouterOptions& options, Disk* disk)
    : disk_(disk),
      redis_(loop, clock, std::move(redis), std::move(earlier), earlier_lost),
      router_(options, IdentityHasher(), RouterSinks{&redis_, disk, &log_}) {}

void RedisFirst::Start(std::function<void(const std::string&)> on_unusable, std::function<void()> on_lost) {
  redis_.Start(&router_, disk_, std::move(on_unusable), std::move(on_lost));
}

// Redis keeps its deadline: no answer within --redis-timeout ends the connection, and the rest is spilled.
void RedisFirst::Stop() {
  router_.StopSending();
  redis_.Stop();
}

void RedisFirst::LogStopped() const {
  const RouterCounters& counters = router_.counters();
  LogInfo("stopped", {{"accepted", counters.accepted},
                      {"landed", counters.landed},
                      {"spilled", counters.spilled},
                      {"in_doubt", counters.in_doubt}});
}

DeliveryFacts RedisFirst::Facts(WallTime now) const {
  const RedisLink& link = redis_.link();
  const RouterCounters& counters = router_.counters();
  DeliveryFacts facts;
  facts.mode = "redis";
  facts.redis = {.connected = redis_.connected(),
                 .takes_events = router_.breaker().closed(),
                 .run_id = link.run_id(),
                 .replication_id = link.replication_id(),
                 .database = link.url().database,
                 .since = redis_.changed_at(),
                 .durability = link.durability(),
                 .last_error = redis_.last_error()};
  facts.counters = {{"accepted", counters.accepted},
                    {"landed", counters.landed},
                    {"spilled", counters.spilled},
                    {"in_doubt", counters.in_doubt},
                    {"deduplicated", counters.deduplicated},
                    {"refused", counters.refused},
                    {"unknown", counters.unknown},
                    {"invalid", counters.invalid},
                    {"other_payload", counters.other_payload},
                    {"settled", counters.settled}};
  facts.events_in_flight = router_.events_in_flight();
  facts.bytes_in_flight = router_.bytes_in_flight();
  facts.unanswered = router_.events_unanswered();
  facts.oldest_age_ms = now.ms - router_.OldestUnanswered(now).ms;
  return facts;
}

DeliveryProbes RedisFirst::Probes() const {
  const RouterCounters& counters = router_.counters();
  DeliveryProbes probes;
  probes.other_streams = {counters.accepted, counters.landed, counters.spilled};
  for (const StreamState* stream : router_.first_streams()) {
    probes.streams.push_back({stream->name, stream->counters});
    probes.other_streams -= stream->counters;
  }
  for (const StreamState* stream : router_.refused_streams()) {
    if (probes.refused.size() == kNamedStreams) break;
    probes.refused.push_back({stream->name, stream->refusal});
  }
  probes.times_opened = router_.breaker().times_opened();
  if (const int64_t ms = redis_.link().answered_ms(); ms > 0) probes.answered_ms = ms;
  probes.window_used = router_.window().size();
  probes.window_capacity = router_.window().capacity();
  probes.disk_queue_bytes = router_.bytes_spilling();
  probes.to_redis = router_.redis_latency();
  probes.to_disk = router_.disk_latency();
  return probes;
}

void RedisFirst::MeasureAnswers() {
  if (!router_.to_redis().has_answers() && !router_.to_disk().has_answers()) return;
  const int64_t now_us = SteadyClockUs();
  router_.to_redis().EndTurn(now_us);
  router_.to_disk().EndTurn(now_us);
}

}  // namespace sprockets
