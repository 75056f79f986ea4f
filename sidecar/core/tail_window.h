// What an earlier life has put into a stream, read back into the window from its end, page by page: so that a client
// that sends an event again is told the entry that it has. Pure; loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/event.h"
#include "sidecar/core/traffic.h"
#include "sidecar/core/window.h"

namespace sprockets {

class TailWindow {
 public:
  static constexpr int64_t kFirstPage = 8;  // entries

  /// How much of one stream was read.
  struct Progress {
    int64_t bytes = 0;
    size_t entries = 0;
  };

  /// `max_inflight_bytes`: a life may have left as much without an answer. The window must outlive it.
  TailWindow(IdentityHasher hasher, std::string event_id_field, int64_t max_inflight_bytes, Window* window);

  /// Entries newest first; `more`: there may be others below. How many of those to ask for; nothing: enough was read.
  std::optional<int64_t> Take(std::string_view stream, const std::vector<TailEntry>& entries, bool more,
                              Progress* progress);

 private:
  bool MaybeUnanswered(const Progress& progress) const { return progress.bytes < 2 * max_inflight_bytes_; }

  const IdentityHasher hasher_;
  const std::string event_id_field_;
  const int64_t max_inflight_bytes_;
  Window* const window_;
};

}  // namespace sprockets
