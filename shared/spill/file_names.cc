#include "shared/spill/file_names.h"

#include <charconv>
#include <cstdio>
#include <system_error>

namespace sprockets {

std::string StemOf(int64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "spill-%06lld", static_cast<long long>(number));
  return text;
}

int64_t NumberIn(std::string_view name) {
  if (!name.starts_with(kSpillPrefix)) return 0;
  name.remove_prefix(kSpillPrefix.size());
  int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && number > 0 && end != name.data() + name.size() && *end == '.' ? number : 0;
}

int64_t NumberOf(std::string_view name, std::string_view suffix) {
  const int64_t number = NumberIn(name);
  return number > 0 && name == StemOf(number).append(suffix) ? number : 0;
}

}  // namespace sprockets
