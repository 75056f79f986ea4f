#include "replayer/structure/difference.h"

#include "shared/base/text.h"

namespace sprockets {
namespace {

void AppendJsonBytesOrNull(std::string& line, const std::optional<std::string>& bytes) {
  if (bytes) {
    AppendJsonBytes(line, *bytes);
  } else {
    line += "null";
  }
}

}  // namespace

std::string_view NameOf(Problem problem) {
  switch (problem) {
    case Problem::kMissing:
      return "missing";
    case Problem::kExtra:
      return "extra";
    case Problem::kDifferent:
      return "different";
    case Problem::kType:
      return "type";
    case Problem::kExpiry:
      return "expiry";
  }
  return "";
}

std::string DifferenceJson(const Difference& difference) {
  std::string line = R"({"key":)";
  AppendJsonBytes(line, difference.key);
  line += R"(,"type":")" + difference.type + R"(","problem":")" + std::string(NameOf(difference.problem)) +
          R"(","member":)";
  AppendJsonBytesOrNull(line, difference.member);
  line += R"(,"expected":)";
  AppendJsonBytesOrNull(line, difference.expected);
  line += R"(,"actual":)";
  AppendJsonBytesOrNull(line, difference.actual);
  return line + "}\n";
}

}  // namespace sprockets
