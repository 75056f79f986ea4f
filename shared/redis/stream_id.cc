// The id of a stream entry: text to number and back. Pure.
#include "shared/redis/stream_id.h"

#include <charconv>
#include <limits>

namespace sprockets {
namespace {

/// All of `text` as a number. from_chars accepts neither sign nor blank for an unsigned type.
std::optional<uint64_t> ParseDigits(std::string_view text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || rest != end) return std::nullopt;
  return number;
}

}  // namespace

std::optional<StreamId> ParseStreamId(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> ms = ParseDigits(text.substr(0, dash));
  const std::optional<uint64_t> seq = ParseDigits(text.substr(dash + 1));
  if (!ms || !seq) return std::nullopt;
  return StreamId{*ms, *seq};
}

std::string ToString(StreamId id) {
  char text[kMaxStreamIdBytes];
  return std::string(WriteStreamId(id, text));
}

std::string_view WriteStreamId(StreamId id, char* out) {
  char* const end = out + kMaxStreamIdBytes;
  char* const dash = std::to_chars(out, end, id.ms).ptr;
  *dash = '-';
  return {out, static_cast<size_t>(std::to_chars(dash + 1, end, id.seq).ptr - out)};
}

std::optional<StreamId> Next(StreamId id) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  if (id.seq < kMost) return StreamId{id.ms, id.seq + 1};
  if (id.ms < kMost) return StreamId{id.ms + 1, 0};
  return std::nullopt;
}

StreamId Before(StreamId id) {
  return id.seq > 0 ? StreamId{id.ms, id.seq - 1} : StreamId{id.ms - 1, std::numeric_limits<uint64_t>::max()};
}

}  // namespace sprockets
