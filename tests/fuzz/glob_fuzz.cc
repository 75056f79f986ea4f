// Globs (a line of pattern, then the text), against a matcher that does what Redis's stringmatchlen does, by plain
// recursion.
#include <algorithm>
#include <string_view>

#include "shared/base/result.h"
#include "shared/base/text.h"
#include "tests/fuzz/input.h"

namespace sprockets::fuzz {
namespace {

// Redis compares the ends of a range as signed characters, which depends on the machine; and recursion takes time.
constexpr size_t kMaxPatternBytes = 24;
constexpr size_t kMaxTextBytes = 24;

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// Is `c` in the set whose first byte (behind the '[' and its '^') is `pattern`'s? Moves `pattern` behind the set.
bool IsInSet(std::string_view* pattern, char c) {
  bool found = false;
  for (; !pattern->empty(); pattern->remove_prefix(1)) {
    const char first = pattern->front();
    if (first == '\\' && pattern->size() >= 2) {
      pattern->remove_prefix(1);
      found = found || pattern->front() == c;
    } else if (first == ']') {
      pattern->remove_prefix(1);
      break;
    } else if (pattern->size() >= 3 && (*pattern)[1] == '-') {
      const auto [least, most] = std::minmax({first, (*pattern)[2]});
      found = found || (least <= c && c <= most);
      pattern->remove_prefix(2);
    } else {
      found = found || first == c;
    }
  }
  return found;
}

bool Matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  const char kind = pattern.front();
  if (kind == '*') {
    return Matches(pattern.substr(1), text) || (!text.empty() && Matches(pattern, text.substr(1)));
  }
  if (text.empty()) return false;
  pattern.remove_prefix(1);
  if (kind == '[') {
    const bool negated = pattern.starts_with('^');
    if (negated) pattern.remove_prefix(1);
    return IsInSet(&pattern, text.front()) != negated && Matches(pattern, text.substr(1));
  }
  char literal = kind;
  if (kind == '\\' && !pattern.empty()) {
    literal = pattern.front();
    pattern.remove_prefix(1);
  } else if (kind == '?') {
    literal = text.front();
  }
  return literal == text.front() && Matches(pattern, text.substr(1));
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  using namespace sprockets::fuzz;
  const std::string_view input = TextOf(data, size);
  const size_t line = std::min(input.find('\n'), input.size());
  const std::string_view pattern = input.substr(0, line);
  const std::string_view text = input.substr(std::min(line + 1, input.size()));
  const bool matched = GlobMatch(pattern, text);

  const bool few_stars = std::count(pattern.begin(), pattern.end(), '*') <= 4;  // recursion is exponential in them
  if (few_stars && pattern.size() <= kMaxPatternBytes && text.size() <= kMaxTextBytes && IsAscii(input)) {
    SPROCKETS_ASSERT(matched == Matches(pattern, text));
  }
  std::string literal;
  for (const char c : text) literal.append("\\").append(1, c);
  SPROCKETS_ASSERT(GlobMatch(literal, text) && GlobMatch("*", text));
  SPROCKETS_ASSERT(!GlobMatch(literal + '?', text));
  return 0;
}
