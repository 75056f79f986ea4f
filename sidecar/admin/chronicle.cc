#include "sidecar/admin/chronicle.h"

#include <algorithm>
#include <utility>

#include "shared/base/text.h"

namespace sprockets {

namespace {

constexpr int64_t kRefusalsTogetherMs = 60'000;  // told once in so long

uint64_t StoredOf(const Snapshot& snapshot) {
  return snapshot.Counter(snapshot.keeps_journal() ? "journaled" : "spilled");
}

}  // namespace

void Chronicle::Tell(const Snapshot& now, std::string text) {
  notes_.push_front({now.now, std::move(text)});
  if (notes_.size() > kNotes) notes_.pop_back();
}

void Chronicle::Observe(const Snapshot& now) {
  if (history_.empty() || now.now.ms - history_.back().when_ms >= kEveryMs || now.now.ms < history_.back().when_ms) {
    history_.push_back({now.now.ms, now.Counter("accepted"), now.Counter("landed"), StoredOf(now),
                        now.Counter("refused") + now.Counter("unknown"), now.rows_waiting()});
    if (history_.size() > kPoints) history_.pop_front();
  }
  Seen seen;
  seen.connected = now.delivery.redis.connected;
  seen.takes_events = now.delivery.redis.takes_events;
  seen.writable = now.spill.writable.value_or(true);
  seen.blocked = now.delivery.journal && now.delivery.journal->blocked;
  seen.held = now.delivery.journal && now.delivery.journal->held_ms > 0;
  for (const StreamRefusal& refusal : now.probes.refused) seen.refused.push_back(refusal.name);
  seen.stored = StoredOf(now);
  seen.answered_retry = now.Counter("refused");
  seen.answered_unknown = now.Counter("unknown");
  seen.rows = now.rows_waiting();
  seen.quarantined = now.spill.states.quarantined;
  seen.suspect = now.spill.states.suspect;
  seen.drained = now.spill.states.drained;
  if (!seen_) {
    Tell(now, "The sidecar started.");
    seen_ = Seen();
    seen_->rows = seen.rows;
    seen_->drained = seen.drained;
  }
  seen.refusals_told = seen_->refusals_told;
  const Seen before = *std::exchange(seen_, std::move(seen));
  TellOfRedis(now, before);
  TellOfDisk(now, before);
  TellOfStreams(now, before);
}

void Chronicle::TellOfRedis(const Snapshot& now, const Seen& before) {
  const RedisFacts& redis = now.delivery.redis;
  if (before.connected && !redis.connected) Tell(now, "Redis was lost" + Because(redis.last_error) + ".");
  if (!before.connected && redis.connected) Tell(now, "Redis is connected.");
  if (redis.connected && before.connected && before.takes_events && !redis.takes_events)
    Tell(now, "Redis refuses events" + Because(redis.last_error) + ".");
  if (before.connected && !before.takes_events && redis.takes_events) Tell(now, "Redis takes events again.");
  if (!before.held && seen_->held) Tell(now, "Nothing is sent to Redis for now: somebody asked for SPROCKETS HOLD.");
  if (before.held && !seen_->held) Tell(now, "The hold is over: events go to Redis again.");
}

void Chronicle::TellOfDisk(const Snapshot& now, const Seen& before) {
  if (before.writable && !seen_->writable) Tell(now, "The disk takes nothing" + Because(now.spill.write_error) + ".");
  if (!before.writable && seen_->writable) Tell(now, "The disk takes events again.");
  if (!before.blocked && seen_->blocked) Tell(now, "A COMMIT to the journal failed. It is tried again.");
  if (before.blocked && !seen_->blocked) Tell(now, "The journal can be written again.");
  if (!now.keeps_journal() && before.rows == 0 && seen_->rows > 0) Tell(now, "Events wait on disk.");
  if (!now.keeps_journal() && before.rows > 0 && seen_->rows == 0) Tell(now, "No event waits on disk any more.");
  if (seen_->drained > before.drained)
    Tell(now, FormatCount(seen_->drained - before.drained) + " spill file(s) drained.");
  if (seen_->quarantined > before.quarantined)
    Tell(now, "A spill file cannot be read. It is set aside until drain --salvage.");
  if (seen_->suspect > before.suspect) Tell(now, "A spill file is suspect, because its disk reported an error.");
}

void Chronicle::TellOfStreams(const Snapshot& now, const Seen& before) {
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const StreamRefusal& refusal : now.probes.refused) {
    if (!has(before.refused, refusal.name))
      Tell(now, "Redis refuses the stream " + Escape(refusal.name, 64) + Because(refusal.why) + ".");
  }
  for (const std::string& name : before.refused) {
    if (!has(seen_->refused, name)) Tell(now, "Redis takes the stream " + Escape(name, 64) + " again.");
  }
  const uint64_t retry = seen_->answered_retry - before.answered_retry;
  const uint64_t unknown = seen_->answered_unknown - before.answered_unknown;
  if (retry + unknown == 0 || now.now.ms - before.refusals_told.ms < kRefusalsTogetherMs) return;
  seen_->refusals_told = now.now;
  Tell(now, "Clients got " + FormatCount(retry) + " RETRY and " + FormatCount(unknown) +
                " UNKNOWN: they must send these events again.");
}

}  // namespace sprockets
