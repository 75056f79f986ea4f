// What the router knows of one stream. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "shared/base/backoff.h"
#include "shared/base/moment.h"
#include "shared/redis/stream_id.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

/// A stream that events were accepted for, in this life of the sidecar.
struct StreamState {
  enum class Tail { kUnknown, kAsked, kKnown };

  std::string name;

  // On the live connection; forgotten with it.
  Tail tail = Tail::kUnknown;
  StreamId last_seen;  // the anchor of everything in flight: the last id that this connection has seen here, never the
                       // maximum
  std::deque<std::unique_ptr<PendingEvent>> held;  // wait for the tail

  // In this life.
  bool window_filled = false;  // the tail was read into the window, the earlier connections being dead
  bool reads_window = false;   // the tail that was asked for goes into the window
  bool first_page = false;     // of the tail that was asked for
  int64_t tail_bytes_read = 0;
  size_t tail_entries_read = 0;
  StreamId last_known;  // the last id seen on any connection, for the spill file's catalogue

  // Refused alone (WRONGTYPE, NOPERM): spills until a probe, one event, gets through.
  bool refused = false;
  bool probing = false;
  LoopTime probe_at;
  Backoff backoff{500, 30'000};
};

}  // namespace sprockets
