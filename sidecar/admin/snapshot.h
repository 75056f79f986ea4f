// What the sidecar knows of itself at one moment, as values: the loop makes one now and then and never changes it
// again, so any thread may read it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/moment.h"
#include "shared/base/text.h"
#include "sidecar/admin/status.h"
#include "sidecar/delivery/facts.h"
#include "sidecar/delivery/probes.h"
#include "sidecar/disk/spill_report.h"

namespace sprockets {

/// How this sidecar was started, as far as somebody who types the next command needs it. No password is among it.
struct Setup {
  std::string socket;
  std::string redis;  // its address, without user and password
  std::string spill_dir;
  int64_t spill_max_bytes = 0;
};

struct Snapshot {
  Setup setup;
  WallTime now;
  WallTime started;
  int64_t steady_ms = 0;  // `now` on the steady clock
  DeliveryFacts delivery;
  DeliveryProbes probes;
  std::optional<int64_t> redis_silent_ms;  // since Redis last answered; nothing: it never has
  RelayFacts relay;
  uint64_t skipped_writes = 0;  // since the start
  size_t skipped_keys = 0;      // that wait for a rebuild
  size_t clients = 0;
  size_t paused_clients = 0;
  SpillReport spill;                    // as the disk was last asked
  std::optional<int64_t> spill_age_ms;  // since then; nothing: it has not answered yet

  uint64_t Counter(std::string_view name) const {
    for (const auto& [its_name, value] : delivery.counters)
      if (its_name == name) return value;
    return 0;
  }
  bool keeps_journal() const { return delivery.journal.has_value(); }
  /// Events on disk that nobody has sent to Redis yet, as far as rows say it; with a journal, streams say it.
  int64_t rows_waiting() const { return keeps_journal() ? 0 : spill.rows; }
};

/// Something that happened, in words.
struct Note {
  WallTime when;
  std::string text;
};

/// Counters as they were.
struct HistoryPoint {
  int64_t when_ms = 0;
  uint64_t accepted = 0;
  uint64_t landed = 0;
  uint64_t stored = 0;
  uint64_t refused = 0;
  int64_t waiting = 0;  // rows
};

/// All that is told: one snapshot, and what led to it.
struct Publication {
  Snapshot snapshot;
  std::vector<HistoryPoint> history;  // of the last ten minutes, oldest first
  std::vector<Note> notes;            // newest first
};

/// The end of a sentence: what somebody gave for a reason; nothing if nobody did.
inline std::string Because(const std::string& why) {
  return why.empty() ? "" : ": " + Escape(why);
}

}  // namespace sprockets
