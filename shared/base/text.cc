// Words of the command line, of logs and of JSON. Pure.
#include "shared/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>

namespace sprockets {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr std::array kDurationUnits = {Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60 * 1000}, Unit{"h", 60 * 60 * 1000},
                                       Unit{"d", 24 * 60 * 60 * 1000}};
constexpr std::array kSizeUnits = {
    Unit{"", 1},           Unit{"B", 1}, Unit{"KiB", 1ll << 10}, Unit{"MiB", 1ll << 20}, Unit{"GiB", 1ll << 30},
    Unit{"TiB", 1ll << 40}};

std::string Quoted(std::string_view text) {
  return '"' + Escape(text, 64) + '"';
}

/// An unsigned number and one of `units`, multiplied. `way_out` says what is allowed.
Result<int64_t> ParseQuantity(std::string_view text, std::span<const Unit> units, std::string_view way_out) {
  const char* const end = text.data() + text.size();
  uint64_t number = 0;
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  const std::string_view unit_name(rest, static_cast<size_t>(end - rest));
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& each) { return each.name == unit_name; });
  if (failure == std::errc::invalid_argument || unit == units.end()) {
    return Error{ErrorCode::kUsage, Quoted(text) + ' ' + std::string(way_out)};
  }
  int64_t product = 0;
  if (failure == std::errc::result_out_of_range || __builtin_mul_overflow(number, unit->factor, &product)) {
    return Error{ErrorCode::kUsage, Quoted(text) + " is too large"};
  }
  return product;
}

/// Does `c` match the element of a glob that begins at `*at` (not a '*')? Moves `*at` behind the element.
bool MatchGlobElement(std::string_view pattern, size_t* at, unsigned char c) {
  const auto take = [&]() -> unsigned char {
    if (pattern[*at] == '\\' && *at + 1 < pattern.size()) ++*at;
    return static_cast<unsigned char>(pattern[(*at)++]);
  };
  if (pattern[*at] == '?') {
    ++*at;
    return true;
  }
  if (pattern[*at] != '[') return take() == c;

  ++*at;
  const bool negated = *at < pattern.size() && pattern[*at] == '^';
  if (negated) ++*at;
  bool matched = false;
  while (*at < pattern.size() && pattern[*at] != ']') {
    // As in Redis, an escaped byte stands for itself alone, and the last one of a range is never an escape.
    const bool is_range = pattern[*at] != '\\' && *at + 2 < pattern.size() && pattern[*at + 1] == '-';
    unsigned char first = take();
    unsigned char last = first;
    if (is_range) {
      last = static_cast<unsigned char>(pattern[*at + 1]);
      *at += 2;
      if (first > last) std::swap(first, last);
    }
    matched = matched || (first <= c && c <= last);
  }
  if (*at < pattern.size()) ++*at;  // Redis, too, lets the end of the pattern close the set
  return matched != negated;
}

using Byte = unsigned char;

const Byte* SkipAscii(const Byte* at, const Byte* end) {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  for (; end - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    if (word & kHighBits) break;
  }
  while (at < end && *at < 0x80) ++at;
  return at;
}

/// The length of the well-formed UTF-8 sequence that begins at `at`, or 0. Unicode 15, table 3-7.
size_t Utf8SequenceLength(const Byte* at, const Byte* end) {
  const Byte lead = *at;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (static_cast<size_t>(end - at) < length) return 0;
  // The second byte's range is narrower behind some leads: overlong forms, surrogates, beyond U+10FFFF.
  const Byte least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const Byte most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (at[1] < least || at[1] > most) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((at[i] & 0xC0) != 0x80) return 0;
  }
  return length;
}

const Byte* BytesOf(std::string_view text) {
  return reinterpret_cast<const Byte*>(text.data());
}

void AppendHex(std::string& out, std::string_view prefix, Byte byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.append(prefix);
  out.push_back(kDigits[byte >> 4]);
  out.push_back(kDigits[byte & 15]);
}

/// The letter behind the backslash, or 0 where there is no short form.
char ShortEscape(char c) {
  switch (c) {
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\\':
      return '\\';
    case '"':
      return '"';
    default:
      return 0;
  }
}

}  // namespace

Result<int64_t> ParseDurationMs(std::string_view text) {
  if (text == "0") return int64_t{0};
  return ParseQuantity(text, kDurationUnits,
                       "is not a duration: write a whole number and ms, s, m, h or d, for example 250ms");
}

Result<int64_t> ParseSizeBytes(std::string_view text) {
  return ParseQuantity(
      text, kSizeUnits,
      "is not a size: write a whole number and B, KiB, MiB, GiB or TiB (powers of 1024), for example 8MiB");
}

Result<int64_t> ParseInteger(std::string_view text, int64_t least, int64_t most) {
  const char* const end = text.data() + text.size();
  int64_t number = 0;
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || rest != end || number < least || number > most) {
    const bool bounded = most != std::numeric_limits<int64_t>::max();
    return Error{ErrorCode::kUsage, Quoted(text) + " is not a whole number " +
                                        (bounded ? "from " + std::to_string(least) + " to " + std::to_string(most)
                                                 : "of at least " + std::to_string(least))};
  }
  return number;
}

std::string FormatSize(uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double amount = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; amount >= 1023.95 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;  // 1023.95 would print as 1024.0
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", amount, kUnits[unit]);
  return text;
}

std::string FormatDuration(int64_t ms) {
  ms = std::max<int64_t>(ms, 0);  // the wall clock may have jumped back
  const long long seconds = ms / 1000;
  const long long minutes = seconds / 60;
  const long long hours = minutes / 60;
  char text[48];
  if (seconds == 0) {
    std::snprintf(text, sizeof text, "%lldms", static_cast<long long>(ms));
  } else if (minutes == 0) {
    std::snprintf(text, sizeof text, "%lld.%llds", seconds, static_cast<long long>(ms % 1000 / 100));
  } else if (hours == 0) {
    std::snprintf(text, sizeof text, "%lldm %02llds", minutes, seconds % 60);
  } else if (hours < 48) {
    std::snprintf(text, sizeof text, "%lldh %02lldm", hours, minutes % 60);
  } else {
    std::snprintf(text, sizeof text, "%lldd %02lldh", hours / 24, hours % 24);
  }
  return text;
}

std::string FormatCount(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ' ');
  return text;
}

bool GlobMatch(std::string_view pattern, std::string_view text) {
  // Only the last '*' needs to be tried again: an earlier one could only give it less to choose from. So the time is
  // at most pattern times text, where Redis's recursion is exponential.
  size_t at = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  for (size_t i = 0; i < text.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_text = i;
      continue;
    }
    if (at < pattern.size() && MatchGlobElement(pattern, &at, static_cast<unsigned char>(text[i]))) {
      ++i;
      continue;
    }
    if (star == std::string_view::npos) return false;
    at = star + 1;
    i = ++star_text;
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

bool GlobMatchAny(std::span<const std::string> patterns, std::string_view text) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                         [&](const std::string& pattern) { return GlobMatch(pattern, text); });
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::optional<char> HexByte(std::string_view digits) {
  uint8_t byte = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
  if (digits.size() != 2 || error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return static_cast<char>(byte);
}

bool IsUtf8(std::string_view bytes) {
  const Byte* at = BytesOf(bytes);
  const Byte* const end = at + bytes.size();
  while ((at = SkipAscii(at, end)) < end) {
    const size_t length = Utf8SequenceLength(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string Escape(std::string_view bytes, size_t max_bytes) {
  const std::string_view shown = bytes.substr(0, max_bytes);
  std::string out;
  out.reserve(shown.size());
  for (const char c : shown) {
    if (const char letter = ShortEscape(c)) {
      out.push_back('\\');
      out.push_back(letter);
    } else if (c >= 0x20 && c < 0x7F) {
      out.push_back(c);
    } else {
      AppendHex(out, "\\x", static_cast<Byte>(c));
    }
  }
  if (shown.size() < bytes.size()) out.append("…");
  return out;
}

std::string QuoteIdentifier(std::string_view name) {
  SPROCKETS_ASSERT(name.find('\0') == std::string_view::npos);
  std::string out = "\"";
  for (const char c : name) out.append(c == '"' ? 2 : 1, c);
  out.push_back('"');
  return out;
}

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t taken = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) group = group << 8 | (i < taken ? BytesOf(bytes)[at + i] : 0u);
    for (size_t i = 0; i < 4; ++i) out.push_back(i <= taken ? kAlphabet[group >> (18 - 6 * i) & 63] : '=');
  }
  return out;
}

void AppendJsonBytes(std::string& out, std::string_view bytes) {
  if (IsUtf8(bytes)) return AppendJsonString(out, bytes);
  out.append(R"({"base64":")").append(Base64(bytes)).append(R"("})");
}

void AppendJsonString(std::string& out, std::string_view text) {
  const Byte* at = BytesOf(text);
  const Byte* const end = at + text.size();
  out.push_back('"');
  while (at < end) {
    const size_t length = Utf8SequenceLength(at, end);
    const char c = static_cast<char>(*at);
    if (length == 0) {
      out.append("\uFFFD");
    } else if (const char letter = ShortEscape(c)) {
      out.push_back('\\');
      out.push_back(letter);
    } else if (*at < 0x20) {
      AppendHex(out, "\\u00", *at);
    } else {
      out.append(reinterpret_cast<const char*>(at), length);
    }
    at += std::max<size_t>(length, 1);
  }
  out.push_back('"');
}

}  // namespace sprockets
