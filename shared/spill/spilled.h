// What stands in a spill file, as values: an event with its doubt, and how far a drain has come. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/redis/connection_id.h"
#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

/// Why an event may already be in its stream, and since where to look for it.
struct Doubt {
  StreamId anchor;                         // the event, if it landed, has a higher id (unless the stream began again)
  std::optional<ConnectionId> connection;  // that it was in flight on; none: none of this life
  /// False: this event was never in flight, it may only be the second copy of one that landed and was answered. So it
  /// is looked for, but if the stream has been trimmed meanwhile nothing has to be proven.
  bool needs_proof = true;
};

/// A row as stored. Views live until the visitor returns. `id` and `origin` are of journals, the files that name
/// entries.
struct SpilledEvent {
  int64_t ticket = 0;
  int64_t received_ms = 0;
  std::optional<Doubt> doubt;  // none: certainly never sent (if the file is not suspect)
  EventView event;  // byte for byte and in the order in which it was accepted; the event id in its place (or last, if
                    // the sidecar made it)
  bool own_id = false;  // the sidecar made the event id
  std::optional<StreamId>
      id;              // the entry that the event becomes in its stream, as its client was told; none: no journal
  int64_t origin = 0;  // this row moves an event to another id: the ticket of the event's first row. 0: it is the first
};

/// What the drainer has committed about one stream of a file.
struct Cursor {
  int64_t done_ticket = 0;  // every row up to here is settled: in Redis, or rejected

  /// A batch that was sent, or was about to be: what a crash leaves open is finished as it is.
  struct OpenRange {
    int64_t last_ticket = 0;  // the rows above done_ticket up to this one
    std::string target;       // the stream that they go to (--rename leads elsewhere)
    StreamId anchor;          // the target's last id on the first connection that tried this range
    std::string run_id;       // of the server at the last try
    int64_t breaks = 0;       // how often under run_id a connection broke over the range's first row alone, while
                              // everything else passed
  };
  std::optional<OpenRange> open;
};

/// A stream that events were sent to: another one than their own (--rename), or their own, where no open range says so
/// any more.
struct LedTo {
  std::string target;
  StreamId anchor;     // the target's last id when the first of them was sent
  std::string run_id;  // of the server at that time
};

/// Where the open range of a stream is led, if that is another stream.
inline std::optional<LedTo> LedElsewhere(const Cursor& cursor, const std::string& stream) {
  if (!cursor.open || cursor.open->target == stream) return std::nullopt;
  return LedTo{cursor.open->target, cursor.open->anchor, cursor.open->run_id};
}

/// A stream of a file.
struct SpilledStream {
  int64_t id = 0;
  std::string name;   // any bytes
  std::string table;  // the SQLite table
  int64_t rows = 0;
  int64_t last_ticket = 0;
  StreamId tail;  // the stream's last id when its first event came into this file
  Cursor cursor;
  std::vector<LedTo> led_to;  // where rows of it may be, beside what the open range and the rows themselves say
  int64_t rejected = 0;
  int64_t rows_left = 0;  // above cursor.done_ticket
};

/// How far the rows of a stream's journals have landed. It may lag behind the truth, and never leads.
struct LandedMark {
  std::string stream;
  StreamId landed;             // each current row up to this id landed in the server's life that is named below
  StreamId top;                // the highest id that the stream was ever seen to have reached, whoever added it
  std::string run_id;          // of the server
  std::string replication_id;  // its master_replid: one that was promoted keeps its run_id
  bool operator==(const LandedMark&) const = default;
};

}  // namespace sprockets
