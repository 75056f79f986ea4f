// The thread that reads: first what this consumer left pending, then what dead ones left, then what is new.
#include <algorithm>
#include <random>
#include <utility>

#include "replayer/archive/archive_run.h"
#include "replayer/redis/server.h"
#include "replayer/terminal/stop.h"
#include "shared/base/backoff.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

namespace sprockets {
namespace {

constexpr int64_t kMostBlockMs = 250;  // how soon a request to stop is noticed
constexpr int64_t kClaimEveryMs = 5'000;
constexpr int kMostRoundsForOwn = 5;          // until caught up, each after an XACK that failed
constexpr int64_t kOthersPatienceMs = 2'000;  // beyond the time after which they are claimed
constexpr int64_t kOthersPollMs = 100;

}  // namespace

void ArchiveRun::ReadAll() {
  Backoff backoff(200, 5'000);
  std::minstd_rand random(std::random_device{}());
  while (true) {
    const int64_t begun_ms = SteadyClockMs();
    read_status_ = ReadUntilLost();
    if (read_status_.ok() || StopRequested()) break;
    const ErrorCode code = read_status_.error().code;
    const bool passes = code == ErrorCode::kUnreachable || code == ErrorCode::kBusy || code == ErrorCode::kNotFound;
    if (!options_.follow || !passes) break;
    if (SteadyClockMs() - begun_ms > 10'000) backoff.Reset();
    if (!told_away_) LogWarning("reading-waits", {{"why", read_status_.error().message}, {"next", "tried again"}});
    told_away_ = true;
    NoteReading(read_status_.error().message, /*has_connected=*/false);
    if (!SleepUnlessStopped(backoff.NextMs(random()))) break;
  }
  handoff_.Close();
}

/// One connection: whatever was pending or half read when the last one was lost is read again.
Status ArchiveRun::ReadUntilLost() {
  open_.clear();
  knows_own_ = false;  // XCLAIM would drop entries that are deleted, and nobody would be told
  ASSIGN_OR_RETURN(Server server, Server::Connect(options_.redis.url, options_.redis.deadline_ms));
  RedisClient& redis = server.client();
  RETURN_IF_ERROR(EnsureGroups(redis));
  if (told_away_) LogInfo("reading-goes-on", {});
  told_away_ = false;
  NoteReading("", /*has_connected=*/true);
  has_unacknowledged_ = true;
  while (!StopRequested()) {
    if (ActiveStreams().empty()) return {};
    bool found_some = false;
    Status read;
    if (has_unacknowledged_.exchange(false)) read = ReadOwnPending(redis);
    if (read.ok()) read = ClaimFromDead(redis);
    if (read.ok()) read = ReadNewEntries(redis, &found_some);
    if (!read.ok()) {
      RETURN_IF_ERROR(AfterRefusal(redis, read.error()));
      continue;
    }
    if (!HandOverDue(/*all=*/!options_.follow && !found_some)) return {};
    if (options_.follow || found_some) continue;
    ASSIGN_OR_RETURN(const bool is_caught_up, IsCaughtUp(redis));
    if (is_caught_up) return {};
  }
  HandOverDue(/*all=*/true);
  return {};
}

void ArchiveRun::NoteReading(const std::string& waits, bool has_connected) {
  const std::lock_guard lock(mutex_);
  work_.reading_waits = waits;
  work_.redis_connections += has_connected ? 1 : 0;
}

/// A stream that Redis does not let us read stops alone.
Status ArchiveRun::EnsureGroups(RedisClient& redis) {
  for (const std::string& stream : ActiveStreams()) {
    const Status ensured = group_maker_.Ensure(redis, stream);
    if (ensured.ok()) continue;
    if (!IsRefusal(ensured.error().code)) return ensured;
    if (StopRequested()) return ensured;
    StopStream(stream, ensured.error());
  }
  return {};
}

/// A group that is lost is made again. Any other refusal is asked for its stream, and stops that one.
Status ArchiveRun::AfterRefusal(RedisClient& redis, const Error& error) {
  if (error.code != ErrorCode::kNotFound && !IsRefusal(error.code)) return error;
  const size_t active = ActiveStreams().size();
  handoff_.AwaitIdle();
  RETURN_IF_ERROR(EnsureGroups(redis));
  has_unacknowledged_ = true;
  if (error.code == ErrorCode::kNotFound) {
    SleepUnlessStopped(50);
    return {};
  }
  return ActiveStreams().size() < active ? Status() : Status(error);
}

Status ArchiveRun::ReadOwnPending(RedisClient& redis) {
  HandOverDue(/*all=*/true);
  handoff_.AwaitIdle();
  for (const std::string& stream : ActiveStreams()) {
    StreamId after = kStreamBegin;
    while (!StopRequested()) {
      ASSIGN_OR_RETURN(EntryBatch batch, reader_.ReadPending(redis, stream, after, read_size_.Count()));
      if (batch.empty()) break;
      read_size_.Learn(batch.rows.size(), batch.entries.size());
      if (!batch.entries.empty()) after = std::max(after, batch.entries.back().id);
      if (!batch.deleted.empty()) after = std::max(after, batch.deleted.back());
      if (!HandOver(std::move(batch))) return {};
    }
  }
  // Else those that are idle for long would be claimed from ourselves.
  handoff_.AwaitIdle();
  knows_own_ = true;
  return {};
}

Status ArchiveRun::ClaimFromDead(RedisClient& redis) {
  const int64_t now_ms = SteadyClockMs();
  if (now_ms - claimed_ms_ < std::min(kClaimEveryMs, options_.claim_idle_ms) && claimed_ms_ != 0) return {};
  claimed_ms_ = now_ms;
  for (const std::string& stream : ActiveStreams()) {
    std::string cursor = "0-0";
    do {
      ASSIGN_OR_RETURN(GroupReader::Claimed claimed,
                       reader_.Claim(redis, stream, options_.claim_idle_ms, cursor, read_size_.Count()));
      cursor = std::move(claimed.cursor);
      if (claimed.batch.empty()) continue;
      LogInfo("claimed", {{"stream", stream}, {"entries", claimed.batch.entries.size()}});
      if (!HandOver(std::move(claimed.batch))) return {};
    } while (cursor != "0-0" && !StopRequested());
  }
  return {};
}

Status ArchiveRun::ReadNewEntries(RedisClient& redis, bool* found_some) {
  size_t bytes = 0;
  ASSIGN_OR_RETURN(std::vector<EntryBatch> batches, reader_.ReadNew(redis, ActiveStreams(), read_size_.Count(),
                                                                    options_.follow ? BlockMs() : 0, &bytes));
  size_t most_entries = 0;
  for (EntryBatch& batch : batches) {
    *found_some = true;
    most_entries = std::max(most_entries, batch.entries.size());
    OpenBatch& open = open_[batch.stream];
    if (!open.batch.empty() && open.batch.entries.size() + batch.entries.size() > kMostBatchEntries) {
      if (!HandOver(std::exchange(open.batch, {}))) return {};
    }
    if (open.batch.empty()) {
      open = {std::move(batch), SteadyClockMs()};
      continue;
    }
    open.batch.Append(batch);
  }
  read_size_.Learn(bytes, most_entries);
  return {};
}

/// While a batch is open, no longer than until it is due. 0 would be for ever.
int64_t ArchiveRun::BlockMs() const {
  int64_t block_ms = kMostBlockMs;
  for (const auto& [stream, open] : open_)
    block_ms = std::min(block_ms, open.opened_ms + options_.gather_ms - SteadyClockMs());
  return std::max<int64_t>(block_ms, 1);
}

/// Batches that are full, or have waited long enough. False: nobody takes them.
bool ArchiveRun::HandOverDue(bool all) {
  for (auto at = open_.begin(); at != open_.end();) {
    const EntryBatch& batch = at->second.batch;
    const bool is_full = batch.entries.size() >= static_cast<size_t>(options_.batch) ||
                         batch.rows.size() >= options_.batch_bytes ||
                         batch.entries.size() + static_cast<size_t>(read_size_.Count()) > kMostBatchEntries;
    const bool is_due = options_.follow && SteadyClockMs() - at->second.opened_ms >= options_.gather_ms;
    if (!all && !is_full && !is_due) {
      ++at;
      continue;
    }
    EntryBatch due = std::move(at->second.batch);
    at = open_.erase(at);
    if (!due.empty() && !HandOver(std::move(due))) return false;
  }
  return true;
}

bool ArchiveRun::HandOver(EntryBatch batch) {
  const std::vector<std::string> active = ActiveStreams();
  if (std::find(active.begin(), active.end(), batch.stream) == active.end()) return true;  // it stays pending
  return handoff_.Push(std::move(batch));
}

Result<bool> ArchiveRun::IsCaughtUp(RedisClient& redis) {
  handoff_.AwaitIdle();
  uint64_t own = 0;
  uint64_t others = 0;
  for (const std::string& stream : ActiveStreams()) {
    ASSIGN_OR_RETURN(const GroupReader::Pending pending, reader_.CountPending(redis, stream));
    own += pending.own;
    others += pending.all - pending.own;
  }
  if (own > 0) {
    has_unacknowledged_ = true;
    return ++rounds_for_own_ > kMostRoundsForOwn;
  }
  if (others == 0) return true;
  // They are acknowledged soon, or may be claimed.
  if (!waiting_for_others_since_ms_) {
    waiting_for_others_since_ms_ = SteadyClockMs();
    LogInfo("waiting-for-other-consumers", {{"pending", others}});
  }
  if (SteadyClockMs() - *waiting_for_others_since_ms_ > options_.claim_idle_ms + kOthersPatienceMs) return true;
  return !SleepUnlessStopped(kOthersPollMs);
}

}  // namespace sprockets
