// What the log says of events that take another way than to Redis: each change of the way, and now and then how many
// there were. Loop thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include "sidecar/core/router.h"

namespace sprockets {

class DegradationLog : public RouterNotices {
 public:
  /// At most one line in ten seconds, and none if nothing has changed. Once a second.
  void EverySecond(const Router& router, int64_t active_rows);

  // RouterNotices
  void UnknownForgotten() override;
  void StreamRefused(const StreamState& stream, std::string_view why) override;
  void StreamAcceptedAgain(const StreamState& stream) override;

 private:
  int64_t seconds_ = 0;
  RouterCounters last_;  // as of the last line
};

}  // namespace sprockets
