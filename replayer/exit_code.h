// What the replayer's exit codes mean, for every command; --help lists them.
#pragma once

#include "shared/base/result.h"

namespace sprockets {

enum class ExitCode {
  kDone = 0,         // and verified
  kDiffers = 1,      // finished, but something differs, is unproven, rejected or left
  kUsage = 2,        // the command line, or a schema set without what the command needs
  kUnreachable = 3,  // a store
  kRefused = 4,      // by a guard, or bad data
};

/// Of a command that could not do its work.
constexpr ExitCode ExitCodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
      return ExitCode::kUsage;
    case ErrorCode::kUnreachable:
    case ErrorCode::kNotFound:
    case ErrorCode::kIo:
    case ErrorCode::kFull:
    case ErrorCode::kStarved:
    case ErrorCode::kForbidden:
      return ExitCode::kUnreachable;
    case ErrorCode::kRefused:
    case ErrorCode::kNotPermitted:
    case ErrorCode::kWouldLose:
    case ErrorCode::kStopped:
    case ErrorCode::kBusy:
    case ErrorCode::kCorrupt:
    case ErrorCode::kForeign:
      return ExitCode::kRefused;
  }
  return ExitCode::kRefused;
}

}  // namespace sprockets
