// The status command: what is spilled, how old, in which files; which stores answer. Changes nothing.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "replayer/commands/commands.h"
#include "replayer/drain/active_file.h"
#include "replayer/drain/folder_survey.h"
#include "replayer/redis/server.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kWatchEveryMs = 1'000;

/// One look at everything.
struct Look {
  std::vector<FileSurvey> files;
  int64_t left = 0;
  int64_t rejected = 0;
  int64_t quarantined = 0;     // files
  int64_t bytes = 0;           // of the whole folder
  int64_t oldest_ms = 0;       // 0: nothing waits
  std::string redis;           // "answers", or why not; empty: not asked
  std::string sidecar;         // likewise
  std::string sidecar_status;  // SPROCKETS STATUS, JSON
  std::optional<ActiveFile> active;
  std::string why;  // what keeps the sidecar from Redis; empty: nothing, or not known
  int64_t since_ms = 0;
};

void AskServers(const Config& config, Look* look) {
  if (config.redis) {
    const Result<Server> server = Server::Connect(*config.redis, config.drain.redis_deadline_ms);
    look->redis = server.ok() ? "answers" : server.error().message;
  }
  if (config.socket_path.empty()) return;
  const Result<SidecarView> view = AskSidecar(config.socket_path);
  look->sidecar = view.ok() ? "answers" : view.error().message;
  if (!view.ok()) return;
  look->sidecar_status = view.value().answer;
  look->why = view.value().why;
  look->since_ms = view.value().since_ms;
}

/// What waits in the sidecar's own file is part of what waits.
Status AddActive(const Config& config, const SpillFolder& folder, Look* look) {
  ASSIGN_OR_RETURN(look->active, FindActiveFile(folder, config.socket_path));
  if (!look->active) return {};
  look->left += look->active->rows.value_or(0);
  const int64_t oldest_ms = look->active->oldest_ms;
  if (oldest_ms != 0) look->oldest_ms = look->oldest_ms == 0 ? oldest_ms : std::min(look->oldest_ms, oldest_ms);
  return {};
}

Result<Look> TakeLook(const Config& config) {
  ASSIGN_OR_RETURN(const SpillFolder folder, SpillFolder::OpenExisting(config.spill_dir));
  Look look;
  ASSIGN_OR_RETURN(look.files, SurveyFolder(folder));
  ASSIGN_OR_RETURN(look.bytes, folder.TotalBytes());
  for (const FileSurvey& file : look.files) {
    look.quarantined += file.info.quarantined ? 1 : 0;
    for (const StreamSurvey& stream : file.streams) {
      look.rejected += stream.rejected;
      if (file.is_done()) continue;
      look.left += stream.left;
      if (stream.oldest_ms != 0)
        look.oldest_ms = look.oldest_ms == 0 ? stream.oldest_ms : std::min(look.oldest_ms, stream.oldest_ms);
    }
  }
  RETURN_IF_ERROR(AddActive(config, folder, &look));
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
  if (look.active) {
    text += ",\"active_rows\":" + (look.active->rows ? std::to_string(*look.active->rows) : std::string("null"));
  }
  AppendAnswerJson(text, "redis", look.redis);
  AppendAnswerJson(text, "sidecar", look.sidecar);
  if (!look.sidecar_status.empty()) text.append(",\"sidecar_status\":").append(look.sidecar_status);
  const bool waits = look.left > 0 || look.active || look.quarantined > 0;
  return text.append(",\"result\":\"").append(waits ? "waits" : "drained").append("\"}\n");
}

std::string AgeOf(int64_t since_ms) {
  return FormatDuration(std::max<int64_t>(WallClockMs() - since_ms, 0));
}

/// The verdict: what waits, for how long, why, and what to do about it.
std::string Verdict(const Look& look) {
  const bool unknown = look.active && !look.active->rows;
  std::string text = (unknown || look.quarantined > 0 ? "at least " : "") +
                     FormatCount(static_cast<uint64_t>(look.left)) + " events wait";
  if (look.oldest_ms != 0) text += ", the oldest for " + AgeOf(look.oldest_ms);
  if (!look.why.empty()) {
    text += "; the sidecar does not reach Redis: " + look.why;
    if (look.since_ms != 0) text += ", for " + AgeOf(look.since_ms);
  }
  text += "\n";
  if (unknown)
    text += look.active->name + " is being written, and only its sidecar can say how many it holds: give --socket\n";
  if (look.quarantined > 0) {
    text += "damaged files, whose events nobody can count: " + FormatCount(static_cast<uint64_t>(look.quarantined)) +
            "; stop the sidecar, then drain --salvage FILE\n";
  }
  if (look.left == 0 && !unknown) return text;
  if (look.redis == "answers") {
    text += "next: sprockets-replayer drain, with the same options\n";
  } else if (!look.redis.empty()) {
    text += "next: bring Redis back, then sprockets-replayer drain\n";
  }
  return text;
}

std::string LookText(const Look& look) {
  std::string text = Verdict(look);
  text += "the folder holds " + FormatSize(static_cast<uint64_t>(look.bytes)) + "\n";
  if (look.rejected > 0) text += FormatCount(static_cast<uint64_t>(look.rejected)) + " rejected events are kept\n";
  for (const FileSurvey& file : look.files) {
    text.append("  ").append(file.info.path.filename().native()).append("  ").append(StateWord(file.info));
    text.append("  ").append(FormatSize(static_cast<uint64_t>(file.info.bytes)));
    const bool is_counted = look.active && look.active->rows && look.active->name == file.info.path.filename().native();
    if (is_counted) {
      text.append("  ").append(FormatCount(static_cast<uint64_t>(*look.active->rows))).append(" wait");
    } else if (!file.not_read.empty())
      text.append("  (").append(file.not_read).append(")");
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
    if (!look.ok()) return Fail(config, "status", look.error(), out);
    out << (config.json ? LookJson : LookText)(look.value()) << std::flush;
  } while (config.watch && SleepUnlessStopped(kWatchEveryMs));
  return 0;
}

}  // namespace sprockets
