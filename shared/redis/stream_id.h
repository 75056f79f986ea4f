// The id of a stream entry, "<milliseconds>-<sequence>", ordered as Redis orders it. Pure.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sprockets {

struct StreamId {
  uint64_t ms = 0;
  uint64_t seq = 0;

  auto operator<=>(const StreamId&) const = default;
};

inline constexpr StreamId kStreamBegin{0, 0};

/// "123-4" and nothing else: no sign, no blank, no overflow, no leading '+'. Nothing if it is not that.
std::optional<StreamId> ParseStreamId(std::string_view text);

std::string ToString(StreamId id);

inline constexpr size_t kMaxStreamIdBytes = 41;  // two numbers of 20 digits, and the dash
/// The same text into `out`, which has room for kMaxStreamIdBytes; for whoever must not allocate. A view of it.
std::string_view WriteStreamId(StreamId id, char* out);

/// The smallest id above `id`; nothing above the largest one.
std::optional<StreamId> Next(StreamId id);
/// The largest id below `id`, which is above 0-0.
StreamId Before(StreamId id);

}  // namespace sprockets
