// What travels through the sidecar: an event from a door to Redis or to the disk, and the answer back to whoever asked.
// Doors, the link and the disk know these types and each other's sinks; they do not know the router. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/moment.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/spilled.h"

namespace sprockets {

struct StreamState;
struct WindowEntry;

/// Takes the answers to what it asked, by the number of the request.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  /// Once for each request, in any order.
  virtual void Reply(uint64_t slot, std::string_view resp) = 0;
};

/// Where an answer goes: the n-th request of somebody who stays until all are answered.
struct ReplyTo {
  ReplySink* asker = nullptr;
  uint64_t slot = 0;
  int64_t asked_us = 0;  // when the request was read, on the steady clock; 0: nobody measures

  void Reply(std::string_view resp) const { asker->Reply(slot, resp); }
};

/// An event between its acceptance and its answer.
struct PendingEvent {
  std::string wire;  // the XADD as it is sent to Redis, event id included
  ReplyTo reply_to;
  StreamState* stream = nullptr;
  WindowEntry* entry = nullptr;  // of events with a client's id
  bool has_own_id = false;       // we made the id
  bool is_probe = false;         // decides whether its refused stream is open again
  WallTime received;
  uint64_t number = 0;  // of its acceptance, with --ack disk
};

/// Entries of a stream as Redis gives them.
struct TailEntry {
  StreamId id;
  std::vector<std::string_view> fields;
};

/// One event on its way to disk.
struct SpillRequest {
  std::unique_ptr<PendingEvent> event;
  std::optional<Doubt> doubt;
  bool was_sent = false;  // to Redis, by this sidecar: if the disk will not have it, nobody knows where it is
  StreamId tail;          // the last id of its stream that was seen
  // With --ack disk.
  std::optional<StreamId> id = {};  // of its entry
  int64_t origin = 0;               // it is moved: the ticket of its first row; 0: it is the first
};

struct SpillOutcome {
  enum class Kind {
    kSpilled,  // committed, as `ticket`
    kRefused,  // certainly not stored
    kUnknown,  // the COMMIT failed: may be stored
  };
  SpillRequest request;
  Kind kind = Kind::kRefused;
  int64_t ticket = 0;
  StreamId anchor;  // unknown: where a search must begin
  std::string why;
};

/// Takes events from a door, of whatever kind. Each is answered once, perhaps at once.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// False: too much is in flight or waits for the disk, so a door reads no more for now.
  virtual bool CanAccept() const = 0;
  /// An XADD. `args` as parsed; `body` its bytes behind the array header.
  virtual void Accept(ReplyTo to, std::span<const std::string_view> args, std::string_view body, WallTime received,
                      LoopTime now) = 0;
  virtual void RejectTooLarge(ReplyTo to) = 0;
};

/// Takes events to Redis.
class RedisSink {
 public:
  virtual ~RedisSink() = default;
  /// Sends on the live connection; its answers follow in the same order, or the loss of the connection.
  virtual void Send(const PendingEvent& event) = 0;
  /// Asks the live connection for the newest `count` entries below `before` (none: from the end).
  virtual void ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) = 0;
  /// N refusals in a row: Redis must prove itself before it gets events again. `why`: the last one.
  virtual void ProbeRedis(std::string_view why) = 0;
};

/// A connection, on its way to disk.
struct RecordJob {
  ConnectionId live;               // written down before it carries its first event
  std::vector<ConnectionId> dead;  // struck off in the same commit
};

struct Recorded {
  bool ok = false;
  std::string why;
  std::vector<ConnectionId> connections;  // written down now
  bool connections_lost = false;
};

/// Writes down which connections may still deliver something.
class ConnectionBook {
 public:
  virtual ~ConnectionBook() = default;
  /// A Recorded follows; before that the connection carries no event.
  virtual void Record(RecordJob job) = 0;
  /// No connection is live: doubts that follow concern all that are written down.
  virtual void NoneIsLive() = 0;
};

/// Takes events to disk. A SpillOutcome follows for each.
class SpillSink {
 public:
  virtual ~SpillSink() = default;
  virtual void Spill(SpillRequest request) = 0;
};

}  // namespace sprockets
