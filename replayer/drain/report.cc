// Counts, words and exit codes of a drain.
#include "replayer/drain/report.h"

#include <algorithm>

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

ExitCode ExitCodeOf(DrainResult result) {
  switch (result) {
    case DrainResult::kVerified:
      return ExitCode::kDone;
    case DrainResult::kUnproven:
    case DrainResult::kRejected:
    case DrainResult::kLeft:
      return ExitCode::kDiffers;
    case DrainResult::kUnreachable:
      return ExitCode::kUnreachable;
    case DrainResult::kRefused:
      return ExitCode::kRefused;
  }
  return ExitCode::kDiffers;
}

void DrainCounts::Add(const DrainCounts& other) {
  read += other.read;
  landed += other.landed;
  already_there += other.already_there;
  unproven += other.unproven;
  rejected += other.rejected;
  left += other.left;
}

void JournalCounts::Add(const JournalCounts& other) {
  landed += other.landed;
  overtaken += other.overtaken;
  unproven += other.unproven;
  reported += other.reported;
  rejected += other.rejected;
  refills += other.refills;
  refused = other.refused;
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
