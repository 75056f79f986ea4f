#include "sidecar/admin/verdict.h"

#include <algorithm>
#include <utility>

#include "shared/base/text.h"

namespace sprockets {

namespace {

constexpr size_t kMostStreamsTold = 10;

std::string ShellWord(const std::string& word) {
  const bool is_plain = !word.empty() && word.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-./:=@%+") == std::string::npos;
  if (is_plain) return word;
  std::string quoted = "'";
  for (const char c : word) c == '\'' ? quoted.append("'\\''") : quoted.append(1, c);
  return quoted + "'";
}

bool IsLoginRefused(std::string_view error) {
  for (const std::string_view code : {"WRONGPASS", "NOAUTH", "NOPERM", "invalid password", "invalid username"})
    if (error.find(code) != std::string_view::npos) return true;
  return false;
}

// "1 event waits", "12 431 events wait".
std::string EventsWait(int64_t rows) {
  return FormatCount(static_cast<uint64_t>(rows)) + (rows == 1 ? " event waits" : " events wait");
}

class Judgement {
 public:
  Judgement(const Snapshot& snapshot, int64_t steady_ms)
      : now_(snapshot), age_ms_(std::max<int64_t>(0, steady_ms - snapshot.steady_ms)) {}

  Verdict Make() {
    verdict_.alive = age_ms_ < kLoopPatienceMs;
    if (!verdict_.alive)
      Add("loop-stuck", "The sidecar's loop has not turned for " + FormatDuration(age_ms_) + ".", false);
    LookAtRedis();
    LookAtDisk();
    LookAtStreams();
    verdict_.ready = verdict_.reasons.empty();
    verdict_.takes_events = std::all_of(verdict_.reasons.begin(), verdict_.reasons.end(),
                                        [](const Reason& reason) { return reason.takes_events; });
    Advise();
    verdict_.headline = Headline();
    return std::move(verdict_);
  }

 private:
  void Add(std::string code, std::string text, bool takes_events) {
    verdict_.reasons.push_back({std::move(code), std::move(text), takes_events});
  }
  void Next(std::string text, std::string command = "") {
    verdict_.next.push_back({std::move(text), std::move(command)});
  }

  void LookAtRedis() {
    const RedisFacts& redis = now_.delivery.redis;
    if (!redis.connected && IsLoginRefused(redis.last_error)) {
      login_refused_ = true;
      Add("redis-refuses-login", "Redis refuses the sidecar's login" + Because(redis.last_error) + ".", true);
    } else if (!redis.connected) {
      Add("redis-away", "Redis is away" + Because(redis.last_error) + ".", true);
    } else if (now_.keeps_journal() ? !redis.last_error.empty() : !redis.takes_events) {
      Add("redis-refuses-events", "Redis answers and refuses events" + Because(redis.last_error) + ".", true);
    } else if (!now_.redis_silent_ms || *now_.redis_silent_ms + age_ms_ >= kRedisPatienceMs) {
      Add("redis-silent", "Redis has not answered lately.", true);
    }
    if (!redis.connected && now_.probes.reads_tails)
      Add("mode-changed", "The mode was changed lately: events with a client's id may be refused until Redis is there.",
          false);
    if (now_.delivery.journal && now_.delivery.journal->held_ms > 0)
      Add("held",
          "Nothing is sent to Redis for " + FormatDuration(now_.delivery.journal->held_ms) + ", by SPROCKETS HOLD.",
          true);
  }

  // With --ack redis, events need the disk only while Redis does not take them.
  void LookAtDisk() {
    const SpillReport& spill = now_.spill;
    const bool without = !now_.keeps_journal() && now_.delivery.redis.takes_events;
    if (!now_.spill_age_ms || *now_.spill_age_ms + age_ms_ >= kDiskPatienceMs) {
      Add("disk-silent", "The disk has not answered lately.", without);
    } else if (!spill.writable.value_or(false)) {
      Add("disk-not-writable", "The disk takes nothing" + Because(spill.write_error) + ".", without);
    } else if (spill.bytes >= now_.setup.spill_max_bytes && !now_.keeps_journal()) {
      Add("spill-full", "The spill files have reached --spill-max-bytes.", without);
    }
    if (spill.states.quarantined > 0)
      Add("file-quarantined", "A spill file is damaged: what it holds is not in Redis, as far as anybody knows.", true);
    if (now_.delivery.journal && !now_.delivery.journal->refusal.empty())
      Add("journal-refuses", "The disk refused the last event" + Because(now_.delivery.journal->refusal) + ".", false);
    if (now_.delivery.journal && now_.delivery.journal->blocked)
      Add("journal-blocked", "A COMMIT to the journal failed. Until one succeeds, events are refused.", false);
  }

  // A stream that Redis refuses is spilled, so its events are taken.
  void LookAtStreams() {
    for (const StreamRefusal& refusal : now_.probes.refused) {
      if (std::count_if(verdict_.reasons.begin(), verdict_.reasons.end(),
                        [](const Reason& reason) { return reason.code == "stream-refused"; }) == kMostStreamsTold)
        break;
      Add("stream-refused", "Redis refuses the stream " + Escape(refusal.name, 64) + Because(refusal.why) + ".", true);
    }
  }

  bool Has(std::string_view code) const {
    return std::any_of(verdict_.reasons.begin(), verdict_.reasons.end(),
                       [&](const Reason& reason) { return reason.code == code; });
  }

  std::string RedisArgument() const { return "--redis " + ShellWord(now_.setup.redis); }

  void Advise() {
    const std::string spill = " --spill-dir " + ShellWord(now_.setup.spill_dir);
    const std::string socket = " --socket " + ShellWord(now_.setup.socket);
    if (login_refused_)
      Next(
          "Correct the sidecar's user or password and restart it. This asks Redis beforehand; add the user and "
          "--redis-password-file:",
          "sprockets-sidecar" + socket + " " + RedisArgument() + spill + " --check-config --probe");
    if (Has("redis-away"))
      Next(verdict_.takes_events ? "Bring Redis back. Events are kept on disk meanwhile." : "Bring Redis back.");
    if (Has("redis-refuses-events")) Next("Look at what Redis says: it may be out of memory, or a replica.");
    if (Has("disk-silent") || Has("disk-not-writable") || Has("journal-blocked") || Has("journal-refuses"))
      Next("Look at the disk below the spill folder.", "df -h " + ShellWord(now_.setup.spill_dir));
    if (Has("stream-refused"))
      Next(
          "Look at the key of the refused stream: it may be of another type, or the sidecar's user may lack rights. "
          "Its events wait on disk.");
    if (now_.spill.states.quarantined > 0)
      Next("A spill file cannot be read. This lists what is there:", "sprockets-replayer status" + spill);
    const bool well = now_.delivery.redis.connected && now_.delivery.redis.takes_events;
    if (well && now_.rows_waiting() > 0)
      Next("Redis is well and " + EventsWait(now_.rows_waiting()) +
               ". A drain sends what waits; add the replayer's user and --redis-password-file where Redis needs them:",
           "sprockets-replayer drain " + RedisArgument() + spill + socket);
    if (now_.skipped_keys > 0)
      Next(FormatCount(now_.skipped_keys) +
               " keys missed writes while Redis was away. rebuild restores them from "
               "PostgreSQL; this lists them:",
           "sprockets-replayer skipped" + spill);
    if (verdict_.next.empty()) Next("Nothing needs to be done.");
  }

  std::string Headline() const {
    if (!verdict_.alive) return "The sidecar does not move.";
    if (!verdict_.takes_events) return "Events are refused, or may be soon.";
    if (login_refused_) return "Redis refuses the sidecar's login. Events are kept on disk.";
    if (Has("redis-away")) return "Redis is away. Events are kept on disk.";
    if (!verdict_.ready) return "Events are taken, but not all of them reach Redis.";
    if (now_.rows_waiting() > 0) return "Redis is well, and " + EventsWait(now_.rows_waiting()) + " for a drain.";
    if (now_.delivery.journal && !now_.delivery.journal->streams.empty()) return "Redis is catching up.";
    return "All is well: events go to Redis.";
  }

  const Snapshot& now_;
  const int64_t age_ms_;
  bool login_refused_ = false;
  Verdict verdict_;
};

}  // namespace

Verdict Judge(const Snapshot& snapshot, int64_t steady_ms) {
  return Judgement(snapshot, steady_ms).Make();
}

}  // namespace sprockets
