// Durations, sizes and numbers of the command line, against arithmetic that cannot overflow.
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "shared/base/text.h"
#include "tests/fuzz/input.h"

namespace sprockets::fuzz {
namespace {

using Wide = __int128;
using Units = std::initializer_list<std::pair<std::string_view, int64_t>>;

constexpr Wide kMost = std::numeric_limits<int64_t>::max();

/// The digits at the beginning of `text`, which they are removed from. A number that is beyond every limit stays there.
std::optional<Wide> TakeDigits(std::string_view* text) {
  std::optional<Wide> number;
  for (; !text->empty() && text->front() >= '0' && text->front() <= '9'; text->remove_prefix(1)) {
    number = number.value_or(0) * 10 + (text->front() - '0');
    if (*number > 10 * kMost) number = 10 * kMost;
  }
  return number;
}

std::optional<int64_t> Quantity(std::string_view text, Units units) {
  const std::optional<Wide> number = TakeDigits(&text);
  if (!number) return std::nullopt;
  for (const auto& [name, factor] : units) {
    if (text == name && *number <= kMost / factor) return static_cast<int64_t>(*number * factor);
  }
  return std::nullopt;
}

std::optional<int64_t> Integer(std::string_view text, int64_t least, int64_t most) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::optional<Wide> number = TakeDigits(&text);
  if (!number || !text.empty()) return std::nullopt;
  if (negative) number = -*number;
  if (*number < least || *number > most) return std::nullopt;
  return static_cast<int64_t>(*number);
}

void Compare(const Result<int64_t>& result, std::optional<int64_t> expected) {
  SPROCKETS_ASSERT(result.ok() == expected.has_value());
  if (result.ok()) {
    SPROCKETS_ASSERT(result.value() == *expected);
    SPROCKETS_ASSERT(!FormatDuration(*expected).empty() && !FormatSize(static_cast<uint64_t>(*expected)).empty());
  } else {
    SPROCKETS_ASSERT(result.error().code == ErrorCode::kUsage);
    SPROCKETS_ASSERT(result.error().message.find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  using namespace sprockets::fuzz;
  const std::string_view text = TextOf(data, size);
  const Units durations = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  const Units sizes = {{"", 1},           {"B", 1}, {"KiB", 1ll << 10}, {"MiB", 1ll << 20}, {"GiB", 1ll << 30},
                       {"TiB", 1ll << 40}};
  Compare(ParseDurationMs(text), text == "0" ? std::optional<int64_t>(0) : Quantity(text, durations));
  Compare(ParseSizeBytes(text), Quantity(text, sizes));
  Compare(ParseInteger(text, -5, 65535), Integer(text, -5, 65535));
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  Compare(ParseInteger(text, kLeast, -(kLeast + 1)), Integer(text, kLeast, -(kLeast + 1)));
  return 0;
}
