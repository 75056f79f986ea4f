// Sends the rows of the journal to Redis, in order, each exactly once, whatever Redis has lost: one connection, one
// flight at a time (flight.h), after every stream has been placed (placing.h). Pure: it is told what happened and what
// time it is, and says what to send. Loop thread only.
//
//   OnConnected ─► greeting ─► placing each stream ─► flight after flight ─► OnDisconnected
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shared/ahead/ahead_stream.h"
#include "shared/ahead/entry_id.h"
#include "shared/ahead/flight.h"
#include "shared/ahead/greeting.h"
#include "shared/ahead/journal.h"
#include "shared/base/backoff.h"
#include "shared/base/fifo.h"
#include "shared/base/moment.h"
#include "shared/redis/answer.h"
#include "shared/redis/url.h"
#include "shared/spill/spilled.h"

namespace sprockets {

/// The connection that the forwarder uses.
class ForwarderLink {
 public:
  virtual ~ForwarderLink() = default;
  /// Whole commands, to be answered one by one (Forwarder::OnAnswer), in order.
  virtual void Send(std::string_view commands, size_t answers) = 0;
  /// The server is one that can be used; its streams are about to be placed.
  virtual void Greeted() = 0;
  /// Ends the connection at once, and what it carries with it. OnDisconnected does not follow; a new one does, after a
  /// while.
  virtual void Disconnect(std::string_view why) = 0;
  /// This server, or this user, can never do.
  virtual void Unusable(std::string_view why) = 0;
};

/// Worth a line in the log.
class ForwarderNotices {
 public:
  virtual ~ForwarderNotices() = default;
  virtual void Ready(const Incarnation& incarnation, bool guarded, bool is_new) = 0;
  /// Events that another writer's entries have overtaken, or of which nobody can say what became of them.
  virtual void Decided(const AheadStream& stream, const Placing::Counts& counts) = 0;
  virtual void StreamRefused(const AheadStream& stream, std::string_view why) = 0;
};

struct ForwarderOptions {
  RedisUrl url;  // as which it logs in; of a connection that has, an empty one
  std::string client_name = "sprockets-sidecar";
  PlacingPolicy placing;
  Flight::Limits flight;
  size_t fresh_bytes = 8 << 20;  // of rows that wait in memory; the others are read from the journal
};

struct ForwarderCounters {
  uint64_t flights = 0;
  uint64_t landed = 0;
  uint64_t rejected = 0;
  uint64_t overtaken = 0;
  uint64_t unproven = 0;
  uint64_t reported = 0;
  uint64_t refills = 0;  // times that a stream went back to rows that had landed before
};

class Forwarder {
 public:
  /// `tags`: all that were ever drawn; the last one is this life's.
  Forwarder(ForwarderOptions options, std::vector<EntryTag> tags, ForwarderLink* link, JournalSource* journal,
            ForwarderNotices* notices);
  ~Forwarder();

  // What the journal held at the start.
  AheadStream& AddStream(std::string name, StreamId committed);
  /// Null: it is not known.
  AheadStream* FindStream(std::string_view name) const;
  void Restore(const LandedMark& mark);
  /// The event that began as `origin` has `ticket` for its current row, and a higher one than before.
  void AddMoved(int64_t origin, int64_t ticket);
  /// Rows above `above`, up to `up_to`, are salvaged, among others.
  void AddSalvaged(AheadStream& stream, StreamId above, StreamId up_to);

  /// An id for a new event, which is above all others of its stream. Nothing: the stream has no id left.
  std::optional<StreamId> NextId(AheadStream& stream, uint64_t now_ms);
  /// A new row was committed.
  void OnCommitted(AheadStream& stream, JournalRow row);
  void OnPage(AheadStream& stream, JournalPage page);
  /// The rows of JournalSource::Move were committed, under these tickets.
  void OnMoved(AheadStream& stream, std::vector<JournalRow> rows);
  /// A COMMIT failed and is tried again: nothing is placed or sent meanwhile.
  void OnJournalBlocked(bool blocked) { blocked_ = blocked; }

  void OnConnected();
  void OnAnswer(const RedisAnswer& answer, LoopTime now);
  /// `by_server`: it has closed the connection, rather than fallen silent.
  void OnDisconnected(bool by_server);
  /// Once a turn of the loop: sends what may be sent.
  void Tick(LoopTime now, uint64_t wall_ms);

  /// For so long nothing is placed or sent, from when what is on its way has arrived: somebody else is at work on the
  /// streams. What landed is forgotten, as by Refill. A later call takes the place of an earlier one.
  void Hold(LoopTime now, int64_t for_ms);
  /// It is held, and a flight or a move is still on its way. What an abandoned connection carried is not counted.
  bool hold_begins() const;
  std::optional<LoopTime> hold_until() const { return hold_until_; }
  /// Its owner has removed entries, or put others in their place: everything that the journal holds of the stream and
  /// that lies above its last entry is sent again.
  void Refill(AheadStream& stream);

  /// The marks that have changed since the last call. They are written down lazily: they may lag, and never lead.
  std::vector<LandedMark> TakeMarks();
  const std::map<std::string, std::unique_ptr<AheadStream>, std::less<>>& streams() const { return streams_; }
  /// Those that a journal or an event of this life tells of.
  size_t streams_in_use() const { return streams_.size() - idle_streams_; }
  bool IsInUse(std::string_view stream) const {
    const AheadStream* const found = FindStream(stream);
    return found != nullptr && found->in_use;
  }
  const ForwarderCounters& counters() const { return counters_; }
  /// Salvaged rows are left that have not been looked for.
  bool has_salvaged() const;
  bool ready() const { return state_ == State::kReady; }
  /// Has this life, or an earlier one, made this id?
  bool IsOurs(StreamId id) const { return sprockets::IsOurs(id, tags_); }
  /// What of a stream is known to have landed in the dataset that the connection leads to; where there is none, in the
  /// last one.
  StreamId Landed(const AheadStream& stream) const;
  bool guarded() const { return guarded_; }
  /// Why Redis has taken nothing of the last flight (OOM, for example); empty: it has.
  const std::string& held_up_by() const { return held_up_by_; }
  /// Of the server that was greeted last.
  const Incarnation& incarnation() const { return incarnation_; }
  /// Nothing waits to be sent or to be placed, and nothing is on its way.
  bool idle() const;

 private:
  enum class State { kDisconnected, kGreeting, kReady };
  struct OfGreeting {};
  struct OfFlight {};
  struct OfPlacing {
    AheadStream* stream;
  };
  struct OfLook {};  // INFO, when idle
  using Awaited = std::variant<OfGreeting, OfFlight, OfPlacing, OfLook>;

  void Take(OfGreeting, const RedisAnswer& answer, LoopTime now);
  void Take(OfFlight, const RedisAnswer& answer, LoopTime now);
  void Take(OfPlacing placing, const RedisAnswer& answer, LoopTime now);
  void Take(OfLook, const RedisAnswer& answer, LoopTime now);

  void ForgetWhatLanded(AheadStream& stream);
  void Follow(AheadStream& stream, Placing::Step step);
  void Do(AheadStream&, const Placing::Wait&) {}
  void Do(AheadStream& stream, const Placing::Ask&);
  void Do(AheadStream& stream, const Placing::ReadDown& read);
  void Do(AheadStream& stream, const Placing::LookUp& look_up);
  void Do(AheadStream& stream, const Placing::ReadUp& read);
  void Do(AheadStream& stream, const Placing::Move& move);
  void Do(AheadStream& stream, const Placing::Done& done);
  void Do(AheadStream& stream, const Placing::Refused& refused);
  void Do(AheadStream& stream, const Placing::Broken& broken) {
    (void)stream;
    Fail(broken.why);
  }
  void Await(Awaited awaited, size_t answers = 1);
  void Follow(const Greeting::Step& step);
  void OnReady();
  void CountDecided(AheadStream& stream);
  void BeginPlacing();
  void Place(AheadStream& stream);
  void BeginPlacing(AheadStream& stream);
  void Read(AheadStream& stream, bool down, StreamId above, StreamId to);
  void Refuse(AheadStream& stream, std::string_view why);
  void Land(AheadStream& stream, StreamId landed);
  void OnFlightDone();
  void GoOn();
  void Look();
  void Fly();
  bool AddAlone(Flight& flight);
  void AddAll(Flight& flight);
  void AskForPage(AheadStream& stream);
  bool HasRoomForPage() const;
  bool RejectWhatBreaks(AheadStream& stream);
  void CountBreak(bool by_server);
  void ForgetFreshBeyondLimit();
  void Fail(std::string_view why);
  void Reset();

  const ForwarderOptions options_;
  const std::vector<EntryTag> tags_;
  size_t idle_streams_ = 0;  // that are not in use
  ForwarderLink* const link_;
  JournalSource* const journal_;
  ForwarderNotices* const notices_;
  ForwarderCounters counters_;
  std::map<std::string, std::unique_ptr<AheadStream>, std::less<>> streams_;
  std::map<std::string, LandedMark, std::less<>> marks_;  // as they were last taken
  MovedRows moved_;
  size_t moving_ = 0;  // rows, on their way to the journal
  size_t fresh_bytes_ = 0;

  State state_ = State::kDisconnected;
  bool blocked_ = false;
  std::optional<Greeting> greeting_;
  std::string mended_;  // the run_id under which the transaction of the greeting was made
  Incarnation incarnation_;
  bool guarded_ = true;
  std::optional<Flight> flight_;
  std::string commands_;  // of the last flight: their room is used again
  Fifo<std::pair<Awaited, size_t>, 64> awaited_;
  LoopTime now_;
  uint64_t wall_ms_ = 0;
  LoopTime resume_at_;  // Redis took nothing
  std::string held_up_by_;
  std::optional<LoopTime> hold_until_;
  int64_t hold_ms_ = 0;
  Backoff backoff_{50, 5'000};
  LoopTime heard_at_;        // when INFO was last answered
  std::string last_stream_;  // that flew: the next flight begins behind it
  uint64_t next_request_ = 1;
  bool placing_begun_ = false;  // on this connection

  // A row over which connections break.
  StreamId broke_over_;
  int breaks_ = 0;
  std::deque<std::pair<AheadStream*, size_t>> alone_;  // so many rows of these go one by one
  bool flies_alone_ = false;                           // the flight is of one of them
};

}  // namespace sprockets
