// What the router knows of one stream. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <variant>

#include "shared/base/backoff.h"
#include "shared/base/moment.h"
#include "shared/redis/stream_id.h"
#include "sidecar/core/tail_window.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

/// So many streams have figures of their own; the others are told together.
inline constexpr size_t kNamedStreams = 100;

/// Since the start.
struct StreamCounters {
  uint64_t accepted = 0;
  uint64_t landed = 0;
  uint64_t spilled = 0;  // with --ack disk: journaled

  StreamCounters& operator-=(const StreamCounters& other) {
    accepted -= other.accepted;
    landed -= other.landed;
    spilled -= other.spilled;
    return *this;
  }
};

/// A stream that events were accepted for, in this life of the sidecar.
struct StreamState {
  std::string name;
  StreamCounters counters;

  // On the live connection; forgotten with it.
  struct TailUnknown {};
  /// Read page by page, newest first; the first page is the anchor.
  struct TailAsked {
    bool reads_window = false;  // what is read goes into the window
    bool first_page = true;
    TailWindow::Progress progress = {};
  };
  struct TailKnown {};
  std::variant<TailUnknown, TailAsked, TailKnown> tail;
  StreamId last_seen;  // the anchor of everything in flight: the last id that this connection has seen here, never the
                       // maximum
  std::deque<std::unique_ptr<PendingEvent>> held;  // wait for the tail

  bool tail_asked() const { return std::holds_alternative<TailAsked>(tail); }
  bool tail_known() const { return std::holds_alternative<TailKnown>(tail); }

  // In this life.
  bool window_filled = false;  // the tail was read into the window, the earlier connections being dead
  StreamId last_known;         // the last id seen on any connection, for the spill file's catalogue

  enum class Access {
    kOpen,
    kRefused,  // alone (WRONGTYPE, NOPERM): its events spill until `probe_at`
    kProbing,  // one event is on its way to Redis; the others spill until it has its answer
  };
  Access access = Access::kOpen;
  std::string refusal;  // what Redis said, as long as it is not open
  LoopTime probe_at;
  Backoff backoff{500, 30'000};

  /// The probe has come to nothing: after `probe_at` another event is one.
  void EndProbe() {
    if (access == Access::kProbing) access = Access::kRefused;
  }
};

}  // namespace sprockets
