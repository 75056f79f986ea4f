// The other way to Redis: commands that are not events go there on a connection that belongs to one client alone, so
// that transactions, blocking reads and subscriptions mean what they mean in Redis. The door knows only these types.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sprockets {

/// Whoever a line belongs to. Either call may come at any turn, never from inside a call to the line.
class RelayLineOwner {
 public:
  virtual ~RelayLineOwner() = default;
  virtual void OnRelayBytes(std::string_view bytes) = 0;
  /// The line has ended and is no use any more. What was queued and not sent was never executed.
  virtual void OnRelayLost(std::string_view why) = 0;
  /// Gives the line back if nothing depends on it, so that another client may have one.
  virtual bool SpareRelayLine() = 0;
};

/// One client's own connection to Redis. Its destruction closes it.
class RelayLine {
 public:
  virtual ~RelayLine() = default;
  /// Queues a command; it leaves at the end of the turn, once the line is logged in.
  virtual void Send(std::string_view command) = 0;
  /// How many bytes were ever queued, and how many of them the system has taken.
  virtual uint64_t queued_bytes() const = 0;
  virtual uint64_t sent_bytes() const = 0;
  /// False: nothing more is read, so that Redis waits for a client that reads slowly.
  virtual void SetReading(bool reading) = 0;
};

class Relay {
 public:
  virtual ~Relay() = default;
  /// Is Redis there? Where it is not, nothing need be sent to find out.
  virtual bool available() const = 0;
  /// A line that speaks RESP `protocol` and is named `name` (empty: unnamed). Null: all are taken.
  virtual std::unique_ptr<RelayLine> Open(RelayLineOwner* owner, int protocol, const std::string& name) = 0;
};

}  // namespace sprockets
