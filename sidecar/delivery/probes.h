// What a way of delivery measures of itself, as values, for the figures that monitors collect. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/latency_histogram.h"
#include "sidecar/core/stream_state.h"

namespace sprockets {

struct StreamProbe {
  std::string name;
  StreamCounters counters;
};

struct StreamRefusal {
  std::string name;
  std::string why;  // as Redis says it
};

struct DeliveryProbes {
  std::vector<StreamProbe> streams;    // in the order of their first events, at most kNamedStreams
  StreamCounters other_streams;        // of all the others together
  std::vector<StreamRefusal> refused;  // that Redis refuses alone, at most kNamedStreams
  bool reads_tails = false;            // an event with a client's id may have to wait for Redis, once a stream
  uint64_t times_opened = 0;           // so often events could not go to Redis any more
  std::optional<int64_t> answered_ms;  // when Redis last answered, on the loop's clock; nothing: it never has
  size_t window_used = 0;              // ids
  size_t window_capacity = 0;
  int64_t disk_queue_bytes = 0;  // on their way to disk
  LatencyHistogram to_redis;     // of events that were answered because Redis has them
  LatencyHistogram to_disk;      // because the disk has them
};

}  // namespace sprockets
