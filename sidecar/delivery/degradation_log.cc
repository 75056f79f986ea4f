#include "sidecar/delivery/degradation_log.h"

#include "shared/base/log.h"
#include "sidecar/core/stream_state.h"

namespace sprockets {

namespace {

constexpr int64_t kLineEverySeconds = 10;

}  // namespace

void DegradationLog::EverySecond(const Router& router, int64_t active_rows) {
  if (++seconds_ % kLineEverySeconds != 0) return;
  const RouterCounters& now = router.counters();
  const bool changed = now.spilled != last_.spilled || now.refused != last_.refused || now.unknown != last_.unknown;
  if (!changed) return;
  LogWarning("spilling", {{"spilled", now.spilled - last_.spilled},
                          {"in_doubt", now.in_doubt - last_.in_doubt},
                          {"retry", now.refused - last_.refused},
                          {"unknown", now.unknown - last_.unknown},
                          {"rows", active_rows},
                          {"last_refusal", router.last_refusal()},
                          {"other_payload", now.other_payload}});
  last_ = now;
}

void DegradationLog::UnknownForgotten() {
  LogWarning("unknown-forgotten",
             {{"cost", "until the next start, the sidecar spills events whose id is not in the window"}});
}

void DegradationLog::StreamRefused(const StreamState& stream, std::string_view why) {
  LogWarning("stream-refused", {{"stream", stream.name}, {"why", why}});
}

void DegradationLog::StreamAcceptedAgain(const StreamState& stream) {
  LogInfo("stream-accepted-again", {{"stream", stream.name}});
}

}  // namespace sprockets
