// The status command: what is spilled, how old, in which files; which stores answer. Changes nothing.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/drain/active_file.h"
#include "replayer/drain/folder_survey.h"
#include "replayer/drain/landed_rows.h"
#include "replayer/redis/server.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/skipped_writes.h"

namespace sprockets {
namespace {

constexpr int64_t kWatchEveryMs = 1'000;
constexpr size_t kMostSkippedKeysShown = 20;

struct Where {
  std::filesystem::path spill_dir;
  std::optional<RedisTarget> redis;
  std::string socket_path;       // the sidecar's; empty: not given
  std::filesystem::path schema;  // empty: not given
};

/// One look at everything.
struct Look {
  std::vector<FileSurvey> files;
  int64_t left = 0;
  int64_t left_in_journals = 0;  // of these
  int64_t unknown_journals = 0;  // files of which only their sidecar knows what has landed
  int64_t rejected = 0;
  int64_t quarantined = 0;     // files
  int64_t bytes = 0;           // of the whole folder
  int64_t oldest_ms = 0;       // 0: nothing waits
  std::string redis;           // "answers", or why not; empty: not asked
  std::string sidecar;         // likewise
  std::string sidecar_status;  // SPROCKETS STATUS, JSON
  std::optional<ActiveFile> active;
  std::vector<SkippedKey> skipped;
  std::string skipped_error;          // why the list of them cannot be read; empty: it can
  std::vector<Structure> structures;  // of the set, if it was given
  std::string why;                    // what keeps the sidecar from Redis; empty: nothing, or not known
  int64_t since_ms = 0;
};

void AskServers(const Where& where, Look* look) {
  if (where.redis) {
    const Result<Server> server = Server::Connect(where.redis->url, where.redis->deadline_ms);
    look->redis = server.ok() ? "answers" : server.error().message;
  }
  if (where.socket_path.empty()) return;
  const Result<SidecarView> view = AskSidecar(where.socket_path);
  look->sidecar = view.ok() ? "answers" : view.error().message;
  if (!view.ok()) return;
  look->sidecar_status = view.value().answer;
  look->why = view.value().why;
  // What only the sidecar knows, it has said.
  if (view.value().all_landed == true) look->unknown_journals = 0;
  look->since_ms = view.value().since_ms;
}

/// What waits in the sidecar's own file is part of what waits.
Status AddActive(const Where& where, const SpillFolder& folder, Look* look) {
  ASSIGN_OR_RETURN(look->active, FindActiveFile(folder, where.socket_path));
  if (!look->active) return {};
  look->left += look->active->rows.value_or(0);
  const int64_t oldest_ms = look->active->oldest_ms;
  if (oldest_ms != 0) look->oldest_ms = look->oldest_ms == 0 ? oldest_ms : std::min(look->oldest_ms, oldest_ms);
  return {};
}

Result<Look> TakeLook(const Where& where) {
  ASSIGN_OR_RETURN(const DiskFolder folder, DiskFolder::OpenExisting(where.spill_dir));
  Look look;
  ASSIGN_OR_RETURN(look.files, SurveyFolder(folder));
  ASSIGN_OR_RETURN(look.bytes, folder.TotalBytes());
  for (const FileSurvey& file : look.files) {
    look.quarantined += file.info.quarantined ? 1 : 0;
    look.unknown_journals += file.is_journal && !file.not_read.empty() ? 1 : 0;
    for (const StreamSurvey& stream : file.streams) {
      look.rejected += stream.rejected;
      if (file.is_done()) continue;
      look.left += stream.left;
      look.left_in_journals += file.is_journal ? stream.left : 0;
      if (stream.oldest_ms != 0)
        look.oldest_ms = look.oldest_ms == 0 ? stream.oldest_ms : std::min(look.oldest_ms, stream.oldest_ms);
    }
  }
  RETURN_IF_ERROR(AddActive(where, folder, &look));
  Result<std::vector<SkippedKey>> skipped = SkippedWrites(folder.path()).List();
  if (skipped.ok()) {
    look.skipped = std::move(skipped).value();
  } else {
    look.skipped_error = skipped.error().message;
  }
  if (!look.skipped.empty() && !where.schema.empty()) {
    ASSIGN_OR_RETURN(look.structures, ReadStructures(where.schema, "*"));
  }
  AskServers(where, &look);
  return look;
}

nlohmann::ordered_json FileJson(const FileSurvey& file) {
  nlohmann::ordered_json json{
      {"file", file.info.path.filename().native()}, {"state", StateWord(file.info)}, {"bytes", file.info.bytes}};
  if (file.is_journal) json["journal"] = true;
  if (!file.not_read.empty()) json["not_read"] = file.not_read;
  nlohmann::ordered_json& streams = json["streams"] = nlohmann::ordered_json::array();
  for (const StreamSurvey& stream : file.streams) {
    streams.push_back({{"stream", JsonOfBytes(stream.name)},
                       {"left", stream.left},
                       {"rejected", stream.rejected},
                       {"oldest_ms", stream.oldest_ms}});
  }
  return json;
}

nlohmann::ordered_json SkippedJson(const std::vector<SkippedKey>& skipped) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const SkippedKey& each : skipped)
    json.push_back({{"key", JsonOfBytes(each.key)},
                    {"writes", each.writes},
                    {"first_ms", each.first_ms},
                    {"last_ms", each.last_ms}});
  return json;
}

nlohmann::ordered_json LookJson(const Look& look) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const FileSurvey& file : look.files) files.push_back(FileJson(file));
  nlohmann::ordered_json json{{"rows", look.left},
                              {"rejected", look.rejected},
                              {"bytes", look.bytes},
                              {"oldest_ms", look.oldest_ms},
                              {"files", std::move(files)}};
  json["skipped"] = SkippedJson(look.skipped);
  if (!look.skipped_error.empty()) json["skipped_error"] = look.skipped_error;
  if (look.active) json["active_rows"] = look.active->rows ? nlohmann::ordered_json(*look.active->rows) : nullptr;
  if (!look.redis.empty()) json["redis"] = look.redis;
  if (!look.sidecar.empty()) json["sidecar"] = look.sidecar;
  if (!look.sidecar_status.empty()) json["sidecar_status"] = nlohmann::ordered_json::parse(look.sidecar_status);
  return json;
}

/// The keys that lack writes, and what restores each.
std::string SkippedText(const Look& look) {
  std::string text;
  if (!look.skipped_error.empty())
    text += "nobody knows which writes the sidecar skipped: " + look.skipped_error + "\n";
  size_t lines = 0;
  for (const SkippedKey& each : look.skipped) {
    if (++lines > kMostSkippedKeysShown) continue;
    const auto names = [&](const Structure& structure) { return Names(structure, each.key); };
    const auto owner = std::find_if(look.structures.begin(), look.structures.end(), names);
    text.append(Describe(each, WallClockMs())).append("; run rebuild --spill-dir DIR");
    text.append(owner == look.structures.end() ? " with the set that owns it" : " --only " + owner->name).append("\n");
  }
  if (lines > kMostSkippedKeysShown)
    text += "… and " + FormatCount(lines - kMostSkippedKeysShown) + " more: see skipped\n";
  return text;
}

std::string AgeOf(int64_t since_ms) {
  return FormatDuration(std::max<int64_t>(WallClockMs() - since_ms, 0));
}

/// The verdict: what waits, for how long, why, and what to do about it.
std::string Verdict(const Look& look) {
  const bool unknown = look.active && !look.active->rows;
  std::string text = (unknown || look.quarantined > 0 || look.unknown_journals > 0 ? "at least " : "") +
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
  if (look.left_in_journals > 0)
    text += FormatCount(static_cast<uint64_t>(look.left_in_journals)) +
            " of them wait in journals: " + std::string(kJournalWayOut) + "\n";
  if (look.left == look.left_in_journals && !unknown) return text;
  if (look.redis == "answers") {
    text += "next: sprockets-replayer drain, with the same options\n";
  } else if (!look.redis.empty()) {
    text += "next: bring Redis back, then sprockets-replayer drain\n";
  }
  return text;
}

std::string LookText(const Look& look) {
  std::string text = Verdict(look) + SkippedText(look);
  text += "the folder holds " + FormatSize(static_cast<uint64_t>(look.bytes)) + "\n";
  if (look.rejected > 0) text += FormatCount(static_cast<uint64_t>(look.rejected)) + " rejected events are kept\n";
  for (const FileSurvey& file : look.files) {
    text.append("  ").append(file.info.path.filename().native()).append("  ").append(StateWord(file.info));
    if (file.is_journal) text += " journal";
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
  if (!look.sidecar_status.empty()) {
    const nlohmann::json status = nlohmann::json::parse(look.sidecar_status);
    const std::string meaning = status.value("/redis/meaning"_json_pointer, std::string());
    if (!meaning.empty()) text.append("an acknowledgement: ").append(meaning).append("\n");
    text.append(look.sidecar_status).append("\n");
  }
  return text;
}

class StatusOf : public Command {
 public:
  StatusOf()
      : Command("status",
                "Shows what waits, how old it is, in which files, and which servers answer. Changes nothing.") {}

  void Declare(OptionTable& options) override {
    AddSpillDir(options, &where_.spill_dir);
    AddOptionalRedis(options, &where_.redis);
    AddSocket(options, &where_.socket_path);
    options.Path("schema", "DIR", "the schema set, to name what restores the writes that were skipped", &where_.schema);
    options.Flag("watch", "look again every second", &watch_);
  }

  Result<Outcome> Run(Output& output) override {
    if (watch_) CatchStopSignals();
    do {
      ASSIGN_OR_RETURN(const Look look, TakeLook(where_));
      Outcome outcome;
      outcome.counts = LookJson(look);
      const bool waits = look.left > 0 || look.active || look.quarantined > 0 || look.unknown_journals > 0 ||
                         !look.skipped.empty() || !look.skipped_error.empty();
      outcome.result = waits ? "waits" : "drained";
      outcome.text = LookText(look);
      output.Print(outcome);
    } while (watch_ && SleepUnlessStopped(kWatchEveryMs));
    return Outcome();  // everything is said
  }

 private:
  Where where_;
  bool watch_ = false;
};

}  // namespace

std::unique_ptr<Command> StatusCommand() {
  return std::make_unique<StatusOf>();
}

}  // namespace sprockets
