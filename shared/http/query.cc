#include "shared/http/query.h"

#include <algorithm>

#include "shared/base/text.h"

namespace sprockets {

namespace {

/// The part up to the next `separator`, which is taken out of `rest` with it.
std::string_view TakePart(std::string_view* rest, char separator) {
  const size_t end = std::min(rest->find(separator), rest->size());
  const std::string_view part = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return part;
}

std::optional<std::string> DecodeWord(std::string_view word) {
  std::string with_blanks(word);
  std::replace(with_blanks.begin(), with_blanks.end(), '+', ' ');
  return PercentDecode(with_blanks);
}

}  // namespace

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const std::string_view digits = text.substr(i + 1, 2);
    const std::optional<char> byte = digits.size() == 2 ? HexByte(digits) : std::nullopt;
    if (!byte) return {};
    decoded.push_back(*byte);
    i += 2;
  }
  return decoded;
}

std::optional<std::map<std::string, std::string>> ParseQuery(std::string_view query) {
  std::map<std::string, std::string> parameters;
  while (!query.empty()) {
    std::string_view value = TakePart(&query, '&');
    if (value.empty()) continue;
    const std::optional<std::string> name = DecodeWord(TakePart(&value, '='));
    const std::optional<std::string> decoded = DecodeWord(value);
    if (!name || !decoded || !parameters.emplace(*name, *decoded).second) return {};
  }
  return parameters;
}

bool NamesTag(std::string_view if_none_match, std::string_view tag) {
  while (!if_none_match.empty()) {
    std::string_view each = TakePart(&if_none_match, ',');
    while (each.starts_with(' ')) each.remove_prefix(1);
    while (each.ends_with(' ')) each.remove_suffix(1);
    if (each.starts_with("W/")) each.remove_prefix(2);
    if (each == "*" || each == tag) return true;
  }
  return false;
}

}  // namespace sprockets
