// The status command: what is spilled, how old, in which files; which stores answer. Changes nothing.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "replayer/commands.h"
#include "replayer/folder_survey.h"
#include "replayer/server.h"
#include "replayer/sidecar_door.h"
#include "replayer/stop.h"
#include "shared/clock.h"
#include "shared/text.h"

namespace sprockets {
namespace {

constexpr int64_t kWatchEveryMs = 1'000;

/// One look at everything.
struct Look {
  std::vector<FileSurvey> files;
  int64_t left = 0;
  int64_t rejected = 0;
  int64_t bytes = 0;           // of the whole folder
  int64_t oldest_ms = 0;       // 0: nothing waits
  std::string redis;           // "answers", or why not; empty: not asked
  std::string sidecar;         // likewise
  std::string sidecar_status;  // SPROCKETS STATUS, JSON
};

void AskServers(const Config& config, Look* look) {
  if (config.redis) {
    const Result<Server> server = Server::Connect(*config.redis, config.drain.redis_deadline_ms);
    look->redis = server.ok() ? "answers" : server.error().message;
  }
  if (config.socket_path.empty()) return;
  const Result<std::string> status = AskSidecarForStatus(config.socket_path);
  look->sidecar = status.ok() ? "answers" : status.error().message;
  if (status.ok() && nlohmann::json::accept(status.value())) look->sidecar_status = status.value();
}

Result<Look> TakeLook(const Config& config) {
  ASSIGN_OR_RETURN(const SpillFolder folder, SpillFolder::OpenExisting(config.spill_dir));
  Look look;
  ASSIGN_OR_RETURN(look.files, SurveyFolder(folder));
  ASSIGN_OR_RETURN(look.bytes, folder.TotalBytes());
  for (const FileSurvey& file : look.files) {
    for (const StreamSurvey& stream : file.streams) {
      look.rejected += stream.rejected;
      if (file.is_done()) continue;
      look.left += stream.left;
      if (stream.oldest_ms != 0)
        look.oldest_ms = look.oldest_ms == 0 ? stream.oldest_ms : std::min(look.oldest_ms, stream.oldest_ms);
    }
  }
  AskServers(config, &look);
  return look;
}

void AppendFileJson(std::string& text, const FileSurvey& file) {
  text += "{\"file\":";
  AppendJsonString(text, file.info.path.filename().native());
  text.append(",\"state\":\"")
      .append(StateWord(file.info))
      .append("\",\"bytes\":")
      .append(std::to_string(file.info.bytes));
  if (!file.not_read.empty()) {
    text += ",\"not_read\":";
    AppendJsonString(text, file.not_read);
  }
  text += ",\"streams\":[";
  for (size_t i = 0; i < file.streams.size(); ++i) {
    const StreamSurvey& stream = file.streams[i];
    text += i == 0 ? "{\"stream\":" : ",{\"stream\":";
    AppendJsonBytes(text, stream.name);
    text.append(",\"left\":").append(std::to_string(stream.left));
    text.append(",\"rejected\":").append(std::to_string(stream.rejected));
    text.append(",\"oldest_ms\":").append(std::to_string(stream.oldest_ms)).append("}");
  }
  text += "]}";
}

void AppendAnswerJson(std::string& text, std::string_view name, const std::string& answer) {
  if (answer.empty()) return;
  text.append(",\"").append(name).append("\":");
  AppendJsonString(text, answer);
}

std::string LookJson(const Look& look) {
  std::string text = "{\"command\":\"status\",\"rows\":" + std::to_string(look.left) +
                     ",\"rejected\":" + std::to_string(look.rejected) + ",\"bytes\":" + std::to_string(look.bytes) +
                     ",\"oldest_ms\":" + std::to_string(look.oldest_ms) + ",\"files\":[";
  for (size_t i = 0; i < look.files.size(); ++i) {
    if (i > 0) text += ',';
    AppendFileJson(text, look.files[i]);
  }
  text += ']';
  AppendAnswerJson(text, "redis", look.redis);
  AppendAnswerJson(text, "sidecar", look.sidecar);
  if (!look.sidecar_status.empty()) text.append(",\"sidecar_status\":").append(look.sidecar_status);
  return text += "}\n";
}

std::string LookText(const Look& look) {
  std::string text = FormatCount(static_cast<uint64_t>(look.left)) + " events wait in sealed files";
  if (look.oldest_ms != 0)
    text += ", the oldest for " + FormatDuration(std::max<int64_t>(WallClockMs() - look.oldest_ms, 0));
  text += "; the folder holds " + FormatSize(static_cast<uint64_t>(look.bytes)) + "\n";
  if (look.rejected > 0) text += FormatCount(static_cast<uint64_t>(look.rejected)) + " rejected events are kept\n";
  for (const FileSurvey& file : look.files) {
    text.append("  ").append(file.info.path.filename().native()).append("  ").append(StateWord(file.info));
    text.append("  ").append(FormatSize(static_cast<uint64_t>(file.info.bytes)));
    if (!file.not_read.empty()) text.append("  (").append(file.not_read).append(")");
    text += '\n';
    for (const StreamSurvey& stream : file.streams) {
      if (file.is_done() && stream.rejected == 0) continue;
      text.append("    ")
          .append(Escape(stream.name))
          .append(": ")
          .append(FormatCount(static_cast<uint64_t>(stream.left)))
          .append(" wait");
      if (stream.rejected > 0)
        text.append(", ").append(FormatCount(static_cast<uint64_t>(stream.rejected))).append(" rejected");
      text += '\n';
    }
  }
  if (!look.redis.empty()) text.append("redis: ").append(look.redis).append("\n");
  if (!look.sidecar.empty()) text.append("sidecar: ").append(look.sidecar).append("\n");
  if (!look.sidecar_status.empty()) text.append(look.sidecar_status).append("\n");
  return text;
}

}  // namespace

int RunStatus(const Config& config, std::ostream& out) {
  if (config.watch) CatchStopSignals();
  do {
    const Result<Look> look = TakeLook(config);
    if (!look.ok()) {
      LogError("status-failed", {{"error", look.error().message}});
      return ExitCodeOf(look.error());
    }
    out << (config.json ? LookJson : LookText)(look.value()) << std::flush;
  } while (config.watch && SleepUnlessStopped(kWatchEveryMs));
  return 0;
}

}  // namespace sprockets
