#include "shared/redis/info.h"

#include <algorithm>

namespace sprockets {

std::string_view InfoField(std::string_view info, std::string_view field) {
  for (size_t at = 0; at < info.size();) {
    const size_t end = std::min(info.find('\n', at), info.size());
    const std::string_view line = info.substr(at, end - at);
    if (line.size() > field.size() && line.starts_with(field) && line[field.size()] == ':') {
      std::string_view value = line.substr(field.size() + 1);
      if (value.ends_with('\r')) value.remove_suffix(1);
      return value;
    }
    at = end + 1;
  }
  return {};
}

}  // namespace sprockets
