#include "replayer/outcome.h"

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

using Json = nlohmann::ordered_json;

std::string_view WordOf(ExitCode failure) {
  switch (failure) {
    case ExitCode::kUsage:
      return "usage";
    case ExitCode::kUnreachable:
      return "unreachable";
    default:
      return "refused";
  }
}

}  // namespace

Outcome Outcome::Failed(const Error& error) {
  Outcome outcome;
  outcome.exit_code = ExitCodeOf(error.code);
  outcome.result = WordOf(outcome.exit_code);
  outcome.error = error.message;
  return outcome;
}

std::string Outcome::Json(std::string_view command) const {
  nlohmann::ordered_json document{{"command", command}};
  document.update(counts);
  if (duration_ms) document["duration_ms"] = *duration_ms;
  document["result"] = result;
  if (error) document["error"] = *error;
  document.update(details);
  return JsonLine(document) + "\n";
}

Output::Output(std::string_view command, bool json, std::ostream& out)
    : command_(command), json_(json), out_(out), begun_ms_(SteadyClockMs()) {}

int64_t Output::ElapsedMs() const {
  return SteadyClockMs() - begun_ms_;
}

void Output::Print(const Outcome& outcome) {
  out_.flush();  // what was printed at work stands before the error
  if (outcome.error) LogError(command_ + "-failed", {{"error", *outcome.error}});
  if (!json_) {
    out_ << outcome.text;
  } else if (!outcome.result.empty()) {
    out_ << outcome.Json(command_);
  }
  out_ << std::flush;
}

Json JsonOfBytes(std::string_view bytes) {
  if (IsUtf8(bytes)) return bytes;
  return {{"base64", Base64(bytes)}};
}

std::string JsonLine(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace sprockets
