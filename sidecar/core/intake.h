// What happens to a client's XADD before anybody decides where it goes: is it one that we take, and how is it sent? The
// same in both modes of --ack. Pure; loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/event.h"
#include "sidecar/core/traffic.h"
#include "sidecar/core/window_index.h"

namespace sprockets {

struct IntakeOptions {
  std::string event_id_field = "event_id";
  std::string producer;  // random in every life, see made_id.h
  size_t max_event_bytes = 1 << 20;
  size_t max_streams = 1024;
  std::vector<std::string> stream_globs;  // empty: every stream
};

class Intake {
 public:
  explicit Intake(IntakeOptions options);

  /// Looks at an XADD: `args` as parsed, `body` its bytes behind the array header. Empty: it is well, and view() shows
  /// it. Otherwise what to answer behind "INVALID ".
  std::string Look(std::span<const std::string_view> args, std::string_view body);
  const EventView& view() const { return view_; }
  std::string TooLarge() const;
  /// Is there room for another stream of this name beside `streams` others?
  bool Admits(std::string_view stream, size_t streams) const;
  static constexpr std::string_view kNotAdmitted =
      "the sidecar does not accept this stream (see --streams, --max-streams)";

  /// The event that was looked at last, as it goes to Redis: the client's own bytes, and an event id behind them where
  /// the client gave none.
  std::unique_ptr<PendingEvent> Wrap(ReplyTo to, std::span<const std::string_view> args, std::string_view body);
  /// Takes back one that is done with, so that its strings keep their room.
  void Recycle(std::unique_ptr<PendingEvent> event);

  const std::string& event_id_field() const { return options_.event_id_field; }

 private:
  const IntakeOptions options_;
  std::string own_id_bulk_;  // the event id field's name in RESP
  uint64_t next_own_id_ = 1;
  std::vector<std::unique_ptr<PendingEvent>> spare_;  // emptied events
  EventView view_;                                    // scratch
};

/// "-INVALID …" to whoever asked.
void AnswerInvalid(ReplyTo to, std::string_view why);

/// A bulk string with an entry's id, in a buffer of its own: every event that landed passes here.
class EntryIdReply {
 public:
  explicit EntryIdReply(StreamId id);
  operator std::string_view() const { return {bytes_, size_}; }

 private:
  char bytes_[64];
  size_t size_;
};

/// "+0-<ticket>": an id that XADD * never gives.
std::string SpilledReply(int64_t ticket);

/// Another copy of an event that the window knows came: it is answered as the first one was, or waits for that answer.
/// False: nobody knows what became of the first one.
bool AnswerCopy(WindowEntry& entry, ReplyTo to);
/// Those copies that wait get this answer. `entry` may be null: then there are none.
void AnswerWaiters(WindowEntry* entry, std::string_view resp);

}  // namespace sprockets
