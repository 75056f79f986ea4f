// Takes events with `--ack disk`: each gets its final entry id, is committed to the journal, acknowledged with that id,
// and only then handed to the forwarder. Pure; loop thread only.
//
//   Accept ─► window ─► id ─► journal ─ OnOutcome ─► answer, window, forwarder
//                └─► the id that an earlier copy was given
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/ahead/forwarder.h"
#include "shared/base/moment.h"
#include "shared/redis/event.h"
#include "sidecar/core/answer_latency.h"
#include "sidecar/core/intake.h"
#include "sidecar/core/tail_window.h"
#include "sidecar/core/traffic.h"
#include "sidecar/core/window.h"

namespace sprockets {

/// Reads the ends of streams. One of the acceptor's OnTail… follows.
class TailSource {
 public:
  virtual ~TailSource() = default;
  /// False: Redis cannot be asked now.
  virtual bool ReadTail(const std::string& stream, std::optional<StreamId> before, int64_t count) = 0;
};

struct AcceptorOptions : IntakeOptions {
  int64_t max_queue_bytes = 8 << 20;  // on their way to disk
  size_t dedupe_window = 100'000;
  int64_t max_inflight_bytes = 8 << 20;  // an earlier life may have left as much unanswered in each stream
  int64_t patience_ms = 5'000;           // so long may a client wait for a COMMIT that is tried again
};

struct AcceptorCounters {
  uint64_t accepted = 0;
  uint64_t journaled = 0;
  uint64_t deduplicated = 0;
  uint64_t refused = 0;        // RETRY
  uint64_t unknown = 0;        // UNKNOWN
  uint64_t invalid = 0;        // INVALID
  uint64_t other_payload = 0;  // another event under an id that was in the window
};

class Acceptor : public EventSink {
 public:
  /// `tails`: an earlier life with --ack redis has put events into streams that no journal holds, so the end of each
  /// stream is read before an event with a client's id is taken for new. Null: there was none lately.
  Acceptor(AcceptorOptions options, IdentityHasher hasher, Forwarder* forwarder, SpillSink* journal,
           TailSource* tails = nullptr);
  ~Acceptor() override;

  // EventSink
  void Accept(ReplyTo to, std::span<const std::string_view> args, std::string_view body, WallTime received,
              LoopTime now) override;
  void RejectTooLarge(ReplyTo to) override;
  bool CanAccept() const override { return queue_bytes_ < options_.max_queue_bytes; }

  /// What the journals hold: until that is `complete`, an event with an id that the window does not know may be a
  /// repeat of one of theirs, so it waits.
  void OnEarlierEvents(const EarlierEvents& events, bool complete);
  /// Of an event that Accept has sent to the journal, or that was moved.
  void OnOutcome(SpillOutcome outcome);
  /// A page of a stream's entries, newest first.
  void OnTail(const std::string& stream, const std::vector<TailEntry>& entries, bool more);
  /// Its entries cannot be read, now or later: it is done without them.
  void OnTailRefused(const std::string& stream);
  /// This is another Redis, or another dataset, than the one whose streams were read: each end is read again, and what
  /// only the earlier ones have shown is forgotten.
  void ForgetTails();
  /// Redis has gone: what waits for the end of a stream is refused.
  void OnTailsAway();
  /// Answers what waits for the journals to be read. Nothing is accepted after that.
  void Stop();
  /// A COMMIT failed and is tried again, or is not any more.
  void OnBlocked(bool blocked, std::string_view why);
  /// Answers clients that have waited too long: for a COMMIT that is tried again, UNKNOWN; for the journals to be read,
  /// RETRY. Once a second.
  void CheckPatience(LoopTime now);

  const IdentityHasher& hasher() const { return hasher_; }
  const AcceptorCounters& counters() const { return counters_; }
  size_t unanswered() const { return pending_.size() - answered_early_ + held_.size(); }
  bool blocked() const { return blocked_; }
  const std::string& blocked_why() const { return blocked_why_; }
  const Window& window() const { return window_; }
  /// On their way to disk.
  int64_t queue_bytes() const { return queue_bytes_; }
  AnswerLatency& latency() { return latency_; }
  const LatencyHistogram& disk_latency() const { return latency_.histogram(); }

 private:
  using Event = std::unique_ptr<PendingEvent>;
  static constexpr size_t kMostHeld = 1024;  // what would be held beyond it is refused

  /// An event on its way to disk.
  struct Pending {
    ReplyTo to;
    WindowEntry* entry = nullptr;  // pending as long as this is
    LoopTime since;
    std::string event_id;
    bool answered = false;  // UNKNOWN
  };
  /// An event before it is on its way, which may have to wait.
  struct Held {
    Event event;
    std::string stream;
    std::optional<EventIdentity> identity;  // nothing: its client gave no id
    LoopTime since;
  };
  /// The end of a stream.
  struct Tail {
    bool read = false;
    TailWindow::Progress progress = {};
  };

  bool SettledByWindow(Event& event, const EventIdentity& identity);
  bool WindowKnowsAll(std::string_view stream) const;
  bool MustWait(std::string_view stream, const EventIdentity* clients);
  void Take(Event event, const EventIdentity* clients, LoopTime now);
  void Hold(Held held);
  bool HasRoomFor(const Held& held) const;
  void TakeHeld();
  void OnMoved(SpillOutcome outcome);
  void Journal(Event event, LoopTime now);
  void Refuse(Event event, std::string_view why);
  void AnswerAll(const PendingEvent& event, bool asker_too, std::string_view resp);
  uint64_t GroupMs(WallTime received);

  const AcceptorOptions options_;
  Intake intake_;
  const IdentityHasher hasher_;
  Forwarder* const forwarder_;
  SpillSink* const journal_;
  TailSource* const tails_;  // may be null
  Window window_;
  TailWindow tail_window_;
  std::map<std::string, Tail, std::less<>> tail_of_;  // each that was asked for
  AcceptorCounters counters_;
  bool folder_unread_ = false;
  std::vector<Held> held_;  // until the window knows all that it must, in the order in which they came
  bool blocked_ = false;
  std::string blocked_why_;
  int64_t queue_bytes_ = 0;
  std::map<uint64_t, Pending> pending_;  // by the number of the event
  size_t answered_early_ = 0;            // of them
  uint64_t next_number_ = 1;
  int64_t group_ms_ = 0;
  AnswerLatency latency_;
  std::vector<std::string_view> args_;  // scratch
  EventView view_;                      // scratch
};

}  // namespace sprockets
