// What a way of delivery tells of itself, as values. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/moment.h"
#include "shared/redis/stream_id.h"
#include "sidecar/core/handshake.h"

namespace sprockets {

/// Of Redis, as STATUS tells it.
struct RedisFacts {
  bool connected = false;
  bool takes_events = false;
  std::string run_id;
  std::string replication_id;
  int database = 0;
  WallTime since;                                               // when a connection was last lost or found
  std::optional<Durability> durability = Durability::kUnknown;  // nothing: an acknowledgement does not rest on it
  std::string last_error;                                       // what Redis refused, or why there is no connection
};

/// What an acknowledgement means with --ack disk.
inline constexpr std::string_view kMeaningOfJournal =
    "an acknowledged event is on the sidecar's disk: what Redis forgets, the sidecar sends again";

/// Of the journal, with --ack disk.
struct JournalFacts {
  struct Stream {
    std::string name;
    StreamId committed;   // the highest id in the journal
    StreamId landed;      // every row up to it is in Redis
    std::string refusal;  // of this stream alone; empty: none
  };
  std::vector<Stream> streams;    // those with rows that have not landed
  int64_t lag_ms = 0;             // of the stream that is farthest behind
  int64_t ahead_of_clock_ms = 0;  // of the highest id
  bool guarded = false;
  bool blocked = false;  // a COMMIT failed and is tried again
  std::string refusal;   // why the disk took no event lately; empty: it did
  int64_t held_ms = 0;   // so long nothing is sent yet, by SPROCKETS HOLD
};

struct DeliveryFacts {
  std::string_view mode;  // of --ack
  RedisFacts redis;
  std::vector<std::pair<std::string_view, uint64_t>> counters;  // since the start
  size_t events_in_flight = 0;
  int64_t bytes_in_flight = 0;
  size_t unanswered = 0;
  int64_t oldest_age_ms = 0;  // of those
  std::optional<JournalFacts> journal;
};

}  // namespace sprockets
