#include "replayer/archive/broken_json.h"

#include <nlohmann/json.hpp>

#include "shared/base/text.h"

namespace sprockets {

std::optional<BrokenField> FindBrokenJson(std::span<const std::string_view> fields,
                                          std::span<const ArchiveHandler* const> handlers) {
  for (const ArchiveHandler* handler : handlers) {
    for (const std::string& name : handler->json_fields) {
      for (size_t i = 0; i < fields.size(); i += 2) {
        if (fields[i] != name) continue;
        const std::string_view value = fields[i + 1];
        if (value.find('\0') == std::string_view::npos && nlohmann::json::accept(value.begin(), value.end())) continue;
        return BrokenField{handler->name, "the field " + Escape(name) + " is no JSON"};
      }
    }
  }
  return {};
}

}  // namespace sprockets
