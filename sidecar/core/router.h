// The router decides what happens to each event: to Redis, to disk, or answered from the window; and what each answer
// of Redis or of the disk means for it. It is the heart of the promise, so it is pure: events in, answers and
// requests out by sinks, no clock, no I/O. Loop thread only.
//
//   Accept ─► window ─► held until the stream's tail is known ─► Send ─► OnReply ─► answer
//                 └──────────► Spill ─► OnSpilled ─► answer        └─ refused, in doubt ─► Spill
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shared/base/fifo.h"
#include "shared/base/moment.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"
#include "sidecar/core/answer_latency.h"
#include "sidecar/core/breaker.h"
#include "sidecar/core/intake.h"
#include "sidecar/core/stream_state.h"
#include "sidecar/core/tail_window.h"
#include "sidecar/core/traffic.h"
#include "sidecar/core/window.h"

namespace sprockets {

/// Changes of the router's state that are worth a line in the log.
class RouterNotices {
 public:
  virtual ~RouterNotices() = default;
  /// Events that were answered UNKNOWN had to be forgotten: from now on any id may be one of theirs.
  virtual void UnknownForgotten() = 0;
  virtual void StreamRefused(const StreamState& stream, std::string_view why) = 0;
  virtual void StreamAcceptedAgain(const StreamState& stream) = 0;
};

/// Where the router's decisions go; answers go to whoever asked.
struct RouterSinks {
  RedisSink* redis;
  SpillSink* disk;
  RouterNotices* notices;
};

struct RouterOptions : IntakeOptions {
  int64_t max_inflight_bytes = 8 << 20;
  bool earlier_life_in_flight = true;  // the earlier life may have had events in flight when it ended
  int64_t max_spill_queue_bytes = 8 << 20;
  size_t dedupe_window = 100'000;
  int refusals_to_open = 5;
};

struct RouterCounters {
  uint64_t accepted = 0;
  uint64_t landed = 0;
  uint64_t spilled = 0;
  uint64_t in_doubt = 0;
  uint64_t deduplicated = 0;
  uint64_t refused = 0;        // RETRY
  uint64_t unknown = 0;        // UNKNOWN
  uint64_t invalid = 0;        // INVALID
  uint64_t other_payload = 0;  // another event under an id that was in the window
  uint64_t settled = 0;        // not sent: its stream, which was read, has it since an earlier life
};

class Router : public EventSink {
 public:
  Router(RouterOptions options, IdentityHasher hasher, RouterSinks sinks);
  ~Router() override;

  // EventSink
  void Accept(ReplyTo to, std::span<const std::string_view> args, std::string_view body, WallTime received,
              LoopTime now) override;
  void RejectTooLarge(ReplyTo to) override;
  bool CanAccept() const override {
    return in_flight_bytes_ < options_.max_inflight_bytes && spill_queue_bytes_ < options_.max_spill_queue_bytes;
  }

  /// What earlier lives left in the spill folder. As long as that is not `complete`, an event with an id that the
  /// window does not know may be a repeat of one of theirs, so it is spilled, and the drain looks for it before it
  /// sends it.
  void OnEarlierEvents(const EarlierEvents& events, bool complete);

  // Redis.
  /// The connection is written down and Redis takes commands. `earlier_fenced`: no earlier connection can deliver
  /// anything any more.
  void OnConnectionReady(ConnectionId connection, bool earlier_fenced);
  /// Time has done what the fence could not (--fence-wait).
  void OnEarlierFenced() { earlier_fenced_ = true; }
  /// Everything that was sent and not answered is in doubt.
  void OnConnectionLost();
  void OnProbePassed();
  void OnProbeFailed() { breaker_.OnProbeFailed(); }
  void OnLanded(std::string_view id);
  void OnNil();
  void OnError(std::string_view error, LoopTime now);
  /// Entries newest first.
  void OnTail(StreamState& stream, const std::vector<TailEntry>& entries, bool more, LoopTime now);
  /// The tail cannot be read: `wrong type` is the stream's own refusal, otherwise we have to do without.
  void OnTailError(StreamState& stream, std::string_view error, LoopTime now);

  // The disk.
  void OnSpillOutcome(SpillOutcome outcome);

  /// From now on nothing new is sent: what is held is spilled.
  void StopSending();

  Window& window() { return window_; }
  const IdentityHasher& hasher() const { return hasher_; }
  Breaker& breaker() { return breaker_; }
  const Breaker& breaker() const { return breaker_; }
  /// What Redis last answered instead of an id; empty: it never refused.
  const std::string& last_refusal() const { return last_refusal_; }
  const RouterCounters& counters() const { return counters_; }
  const std::optional<ConnectionId>& connection() const { return connection_; }
  size_t events_in_flight() const { return in_flight_.size(); }
  int64_t bytes_in_flight() const { return in_flight_bytes_; }
  size_t events_spilling() const { return spilling_; }
  /// On their way to disk.
  int64_t bytes_spilling() const { return spill_queue_bytes_; }
  const Window& window() const { return window_; }
  /// Streams in the order of their first events, as many as are worth a figure of their own.
  std::span<const StreamState* const> first_streams() const { return first_streams_; }
  /// Those that Redis refuses alone.
  std::span<const StreamState* const> refused_streams() const { return refused_streams_; }
  AnswerLatency& to_redis() { return to_redis_; }
  AnswerLatency& to_disk() { return to_disk_; }
  const LatencyHistogram& redis_latency() const { return to_redis_.histogram(); }
  const LatencyHistogram& disk_latency() const { return to_disk_.histogram(); }
  /// When the oldest event that waits for its answer came, or, on its way to disk, when the disk last answered; `now`
  /// if none waits.
  WallTime OldestUnanswered(WallTime now) const;
  size_t events_unanswered() const { return in_flight_.size() + spilling_ + held_; }

 private:
  using Event = std::unique_ptr<PendingEvent>;

  StreamState* FindStream(std::string_view name);
  bool SettledByWindow(Event& event, const EventIdentity& identity);
  void Route(Event event, LoopTime now);
  void Hold(Event event);
  void Send(Event event);
  Event TakeOldestInFlight();
  void SpillUnsent(Event event);
  void SpillSent(Event event, Doubt doubt);
  void Spill(Event event, std::optional<Doubt> doubt, bool was_sent);
  Doubt MaybeRepeat() const;
  void ReleaseHeld(StreamState& stream, LoopTime now);
  bool NeedsWindow(const PendingEvent& event) const;
  void AnswerLanded(PendingEvent& event, StreamId id);
  void Answer(PendingEvent& event, std::string_view resp);
  void AnswerNotStored(PendingEvent& event, std::string_view resp);
  void AnswerUnknown(PendingEvent& event, StreamId anchor, std::string_view why);
  void Invalid(ReplyTo to, std::string_view why);
  void RefuseStream(StreamState& stream, std::string_view why, LoopTime now);
  void AcceptStreamAgain(StreamState& stream);
  void OnUnknownForgotten();

  const RouterOptions options_;
  Intake intake_;
  const IdentityHasher hasher_;
  const RouterSinks sinks_;
  Window window_;
  TailWindow tails_;
  Breaker breaker_;
  RouterCounters counters_;
  std::unordered_map<std::string_view, std::unique_ptr<StreamState>> streams_;  // keyed by the state's own name
  std::optional<ConnectionId> connection_;
  bool earlier_fenced_ = false;
  bool sending_stopped_ = false;
  bool folder_unread_ = false;  // in part: the window does not know all of its events
  bool unknown_forgotten_ = false;
  std::string last_refusal_;
  Fifo<Event, 4096> in_flight_;  // in the order in which they were sent
  int64_t in_flight_bytes_ = 0;  // held ones included
  size_t held_ = 0;
  int64_t spill_queue_bytes_ = 0;
  size_t spilling_ = 0;
  WallTime spill_progress_;  // when the disk last answered, or the first event went there
  WallTime received_last_;
  // For figures only.
  std::vector<const StreamState*> first_streams_;
  std::vector<const StreamState*> refused_streams_;
  AnswerLatency to_redis_;
  AnswerLatency to_disk_;
};

}  // namespace sprockets
