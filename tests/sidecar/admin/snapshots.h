// Snapshots of a sidecar in which all is well, for tests to spoil.
#pragma once

#include "sidecar/admin/snapshot.h"

namespace sprockets {

inline Snapshot WellSnapshot() {
  Snapshot now;
  now.setup = {"/run/s.sock", "redis://127.0.0.1:6379", "/var/lib/s", 1 << 30};
  now.now = {1'000'000};
  now.started = {900'000};
  now.steady_ms = 50'000;
  now.delivery.mode = "redis";
  now.delivery.redis.connected = true;
  now.delivery.redis.takes_events = true;
  now.delivery.counters = {{"accepted", 7}, {"landed", 6}, {"spilled", 1}, {"refused", 0}, {"unknown", 0}};
  now.redis_silent_ms = 100;
  now.spill.writable = true;
  now.spill_age_ms = 100;
  return now;
}

}  // namespace sprockets
