// The events that the micro-benchmarks work on: one field of the given size, as Alfred's JSON payloads are, and an id.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "shared/redis/event.h"
#include "shared/redis/resp.h"

namespace sprockets::bench {

inline constexpr std::string_view kStream = "bench-stream";
inline constexpr std::string_view kEventIdField = "event_id";

inline std::string Payload(size_t bytes) {
  return std::string(bytes, 'x');
}

/// A UUID, as GitHub's X-GitHub-Delivery is, that differs with `number`.
inline std::string EventId(size_t number) {
  std::string digits = std::to_string(number);
  return "72d3162e-cc78-11e3-81ab-" + std::string(12 - digits.size(), '0') + digits;
}

inline void AppendXaddCommand(std::string& out, std::string_view payload, std::string_view event_id) {
  const std::array<std::string_view, 7> args = {"XADD", kStream, "*", "data", payload, kEventIdField, event_id};
  AppendCommand(out, args);
}

inline EventView ViewOf(std::string_view payload, std::string_view event_id) {
  EventView event;
  event.stream = kStream;
  event.fields = {"data", payload, kEventIdField, event_id};
  event.event_id_at = 3;
  return event;
}

}  // namespace sprockets::bench
