// From the command line to a command.
#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "replayer/commands/commands.h"
#include "shared/base/log.h"
#include "shared/base/process.h"
#include "shared/base/text.h"

namespace sprockets {

int ExitCodeOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kUsage:
      return 2;
    case ErrorCode::kUnreachable:
    case ErrorCode::kNotFound:
    case ErrorCode::kIo:
    case ErrorCode::kFull:
    case ErrorCode::kStarved:
    case ErrorCode::kForbidden:
      return 3;
    case ErrorCode::kRefused:
    case ErrorCode::kNotPermitted:
    case ErrorCode::kWouldLose:
    case ErrorCode::kStopped:
    case ErrorCode::kBusy:
    case ErrorCode::kCorrupt:
    case ErrorCode::kForeign:
      return 4;
  }
  return 4;
}

namespace {

std::string_view WordOf(int exit_code) {
  return exit_code == 2 ? "usage" : exit_code == 3 ? "unreachable" : "refused";
}

std::string FailureJson(std::string_view command, const Error& error) {
  std::string text = R"({"command":)";
  AppendJsonString(text, command);
  text.append(R"(,"result":")").append(WordOf(ExitCodeOf(error))).append(R"(","error":)");
  AppendJsonString(text, error.message);
  return text.append("}\n");
}

}  // namespace

int Fail(const Config& config, std::string_view command, const Error& error, std::ostream& out) {
  LogError(std::string(command) + "-failed", {{"error", error.message}});
  if (config.json) out << FailureJson(command, error) << std::flush;
  return ExitCodeOf(error);
}

int RunProgram(int argc, const char* const* argv, std::ostream& out) {
  PrepareProcess();
  const Result<Invocation> invocation = ParseCommandLine(argc, argv);
  if (!invocation.ok()) {
    LogError("usage", {{"error", invocation.error().message}});
    const std::span words(argv, static_cast<size_t>(argc));
    const bool wants_json =
        std::any_of(words.begin(), words.end(), [](std::string_view word) { return word == "--json"; });
    if (wants_json) out << FailureJson(argc > 1 ? argv[1] : "", invocation.error()) << std::flush;
    return ExitCodeOf(invocation.error());
  }
  const auto& [config, text] = invocation.value();
  if (!text.empty()) {
    out << text;
    return 0;
  }
  InitLog(config.log_format);
  if (config.check_config) return 0;
  switch (config.command) {
    case Config::Command::kStatus:
      return RunStatus(config, out);
    case Config::Command::kShow:
      return RunShow(config, out);
    case Config::Command::kDrain:
      return RunDrain(config, out);
    case Config::Command::kMigrate:
      return RunMigrate(config, out);
    case Config::Command::kRebuild:
      return RunRebuild(config, out);
    case Config::Command::kVerify:
      return RunVerify(config, out);
    case Config::Command::kAccess:
      return RunAccess(config, out);
  }
  return 2;
}

}  // namespace sprockets
