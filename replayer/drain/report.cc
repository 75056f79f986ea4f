// Counts, words and exit codes of a drain.
#include "replayer/drain/report.h"

#include <algorithm>

#include "shared/base/text.h"

namespace sprockets {

std::string_view ResultWord(DrainResult result) {
  switch (result) {
    case DrainResult::kVerified:
      return "verified";
    case DrainResult::kUnproven:
      return "unproven";
    case DrainResult::kRejected:
      return "rejected";
    case DrainResult::kLeft:
      return "left";
    case DrainResult::kRefused:
      return "refused";
    case DrainResult::kUnreachable:
      return "unreachable";
  }
  return "";
}

int ExitCode(DrainResult result) {
  switch (result) {
    case DrainResult::kVerified:
      return 0;
    case DrainResult::kUnproven:
    case DrainResult::kRejected:
    case DrainResult::kLeft:
      return 1;
    case DrainResult::kUnreachable:
      return 3;
    case DrainResult::kRefused:
      return 4;
  }
  return 1;
}

std::string SummaryJson(const DrainCounts& counts, int64_t duration_ms, DrainResult result, const std::string& error) {
  std::string text = R"({"command":"drain")";
  const auto add = [&text](std::string_view name, uint64_t value) {
    text.append(",\"").append(name).append("\":").append(std::to_string(value));
  };
  add("read", counts.read);
  add("landed", counts.landed);
  add("already_there", counts.already_there);
  add("unproven", counts.unproven);
  add("left", counts.left);
  add("rejected", counts.rejected);
  add("duration_ms", static_cast<uint64_t>(duration_ms));
  text.append(",\"result\":\"").append(ResultWord(result)).append("\"");
  if (!error.empty()) {
    text += ",\"error\":";
    AppendJsonString(text, error);
  }
  return text.append("}\n");
}

std::string SummaryText(const DrainCounts& counts, int64_t duration_ms, DrainResult result) {
  std::string text = "drain: " + FormatCount(counts.read) + " read, " + FormatCount(counts.landed) + " landed, " +
                     FormatCount(counts.already_there) + " already there, " + FormatCount(counts.unproven) +
                     " unproven, " + FormatCount(counts.left) + " left, " + FormatCount(counts.rejected) +
                     " rejected, in " + FormatDuration(duration_ms) + "\n";
  return text.append(ResultWord(result)).append("\n");
}

void DrainCounts::Add(const DrainCounts& other) {
  read += other.read;
  landed += other.landed;
  already_there += other.already_there;
  unproven += other.unproven;
  rejected += other.rejected;
  left += other.left;
}

DrainResult Judge(const DrainCounts& counts, DrainResult worst) {
  if (counts.unproven > 0) worst = std::max(worst, DrainResult::kUnproven);
  if (counts.rejected > 0) worst = std::max(worst, DrainResult::kRejected);
  if (counts.left > 0) worst = std::max(worst, DrainResult::kLeft);
  return worst;
}

void DrainReport::Warn(std::string_view event, std::initializer_list<LogField> fields) {
  progress_.MakeRoom();
  LogWarning(event, fields);
}

}  // namespace sprockets
