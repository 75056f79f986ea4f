// Whether the sidecar is alive, whether it is ready, and what somebody should do next, from a snapshot. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/admin/snapshot.h"

namespace sprockets {

/// So long may the loop not have turned, the disk not have answered, Redis not have answered.
inline constexpr int64_t kLoopPatienceMs = 10'000;
inline constexpr int64_t kDiskPatienceMs = 10'000;
inline constexpr int64_t kRedisPatienceMs = 10'000;

/// Why the sidecar is not ready.
struct Reason {
  std::string code;  // stable: "redis-away"
  std::string text;
  bool takes_events = false;  // in spite of it events are accepted and kept
};

struct Advice {
  std::string text;
  std::string command;  // to copy; empty: there is none
};

struct Verdict {
  bool alive = false;         // the loop turned lately
  bool ready = false;         // there is no reason
  bool takes_events = false;  // every reason leaves it so
  std::string headline;       // one sentence
  std::vector<Reason> reasons;
  std::vector<Advice> next;
};

/// `steady_ms`: now, on the steady clock.
Verdict Judge(const Snapshot& snapshot, int64_t steady_ms);

}  // namespace sprockets
