// The archive command: which streams, and what is said about them.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "replayer/archive/archive_run.h"
#include "replayer/archive/retry_dead.h"
#include "replayer/command.h"
#include "replayer/commands/archive_service.h"
#include "replayer/commands/common_options.h"
#include "replayer/schema_set/archive_handlers.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/terminal/stop.h"
#include "shared/base/limits.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

/// The machine's name stays the same over restarts, as a consumer's has to.
std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return *name == '\0' ? "sprockets" : name;
}

Status CheckStreams(const std::vector<std::string>& streams) {
  std::set<std::string> seen;
  for (const std::string& stream : streams) {
    if (stream.empty()) return UsageError("--stream: the name of a stream is missing");
    if (stream.size() > kMaxStreamNameBytes) return UsageError("--stream: the name is over 1024 bytes");
    // It becomes a text in PostgreSQL.
    if (!IsUtf8(stream)) return UsageError("--stream: the name is no UTF-8, which PostgreSQL's text has to be");
    if (!seen.insert(stream).second) return UsageError("--stream: " + Escape(stream) + " is given twice");
  }
  return {};
}

nlohmann::ordered_json JsonOf(const ArchivedStream& stream) {
  nlohmann::ordered_json json{{"stream", stream.name},    {"read", stream.read}, {"archived", stream.archived},
                              {"known", stream.known},    {"dead", stream.dead}, {"deleted", stream.deleted},
                              {"trimmed", stream.trimmed}};
  if (stream.dead_parts > 0) json["dead_parts"] = stream.dead_parts;
  if (stream.pending) json["pending"] = *stream.pending;
  if (!stream.stopped.empty()) json["stopped"] = JsonOfBytes(stream.stopped);
  return json;
}

std::string LineOf(const ArchivedStream& stream) {
  std::string line = Escape(stream.name) + ": " + FormatCount(stream.read) + " read, " + FormatCount(stream.archived) +
                     " archived, " + FormatCount(stream.known) + " known, " + FormatCount(stream.dead) + " dead";
  if (stream.dead_parts > 0) line += ", " + FormatCount(stream.dead_parts) + " parts of archived ones dead";
  if (stream.deleted > 0) line += ", " + FormatCount(stream.deleted) + " deleted while they were pending";
  if (stream.trimmed > 0) line += ", " + FormatCount(stream.trimmed) + " trimmed";
  if (stream.pending.value_or(0) > 0) line += ", " + FormatCount(*stream.pending) + " still pending";
  if (!stream.pending) line += ", pending ones unknown";
  if (!stream.stopped.empty()) line += "; stopped: " + Escape(stream.stopped, 1'000);
  return line + "\n";
}

Outcome OutcomeOf(const ArchiveReport& report, const Output& output) {
  ArchivedStream total;
  bool left = !report.unpublished.empty();
  Outcome outcome;
  nlohmann::ordered_json& streams = outcome.details["streams"] = nlohmann::ordered_json::array();
  for (const ArchivedStream& stream : report.streams) {
    total.read += stream.read;
    total.archived += stream.archived;
    total.known += stream.known;
    total.dead += stream.dead;
    total.dead_parts += stream.dead_parts;
    total.deleted += stream.deleted;
    total.trimmed += stream.trimmed;
    left |= !stream.stopped.empty() || stream.pending.value_or(1) > 0 || stream.dead + stream.dead_parts > 0;
    streams.push_back(JsonOf(stream));
    outcome.text += LineOf(stream);
  }
  outcome.counts = {{"read", total.read},           {"archived", total.archived}, {"known", total.known},
                    {"dead", total.dead},           {"deleted", total.deleted},   {"trimmed", total.trimmed},
                    {"published", report.published}};
  if (total.dead_parts > 0) outcome.counts["dead_parts"] = total.dead_parts;
  if (!report.unpublished.empty()) {
    outcome.details["unpublished"] = JsonOfBytes(report.unpublished);
    outcome.text += "scores wait in sprockets.outbox: " + Escape(report.unpublished, 1'000) + "\n";
  }
  outcome.duration_ms = output.ElapsedMs();
  if (!report.status.ok()) {
    outcome.result = "failed";
    outcome.error = report.status.error().message;
    outcome.exit_code = ExitCodeOf(report.status.error().code);
    return outcome;
  }
  outcome.result = left ? "left" : "verified";
  outcome.text += outcome.result + "\n";
  if (left) outcome.exit_code = ExitCode::kDiffers;
  return outcome;
}

Outcome OutcomeOf(const RetryReport& report, const Output& output) {
  Outcome outcome;
  outcome.counts = {{"read", report.read},
                    {"archived", report.archived},
                    {"known", report.known},
                    {"dead", report.dead},
                    {"published", report.published}};
  outcome.duration_ms = output.ElapsedMs();
  outcome.text = "archive --retry-dead: " + FormatCount(report.read) + " read, " + FormatCount(report.archived) +
                 " archived, " + FormatCount(report.known) + " known, " + FormatCount(report.dead) + " still dead\n";
  for (const auto& [stream, why] : report.stopped)
    outcome.text += Escape(stream) + ": stopped: " + Escape(why, 1'000) + "\n";
  if (!report.unpublished.empty())
    outcome.text += "scores wait in sprockets.outbox: " + Escape(report.unpublished, 1'000) + "\n";
  const bool left = report.dead > 0 || !report.stopped.empty() || !report.unpublished.empty();
  outcome.result = left ? "left" : "verified";
  outcome.text += outcome.result + "\n";
  if (left) outcome.exit_code = ExitCode::kDiffers;
  return outcome;
}

class Archive : public Command {
 public:
  Archive()
      : Command(
            "archive",
            "Keeps every entry of Redis streams in PostgreSQL, each once, and runs the handlers of a schema set over "
            "them. Without --follow until it has caught up.") {}

  void Declare(OptionTable& options) override {
    options.Add({.name = "stream", .value = "NAME", .help = "a stream to archive; may be repeated", .repeats = true},
                [this](const Options& given) -> Status {
                  options_.streams = given.All("stream");
                  return CheckStreams(options_.streams);
                });
    options.Require("stream");
    AddRedis(options, &options_.redis);
    AddPostgres(options, &options_.postgres);
    AddOptionalSchema(options, &folder_);
    options.Text("group", "NAME", "the consumer group; it is made where the set's groups.conf says, else at 0",
                 &options_.group);
    options.NonEmptyText("consumer", "NAME",
                         "this consumer's name in the group, the same after each restart (the machine's name)",
                         "the name is missing", &options_.consumer);
    options.Integer("batch", "N", "entries of one transaction, at most", 1, static_cast<int64_t>(kMostBatchEntries),
                    &options_.batch);
    options.Duration("claim-idle", "take over entries that another consumer has not acknowledged for so long",
                     &options_.claim_idle_ms);
    options.Text("event-id-field", "NAME", "the field that holds the event's id", &options_.event_id_field);
    options.Flag("follow", "run until stopped, for use as a service", &options_.follow);
    AddAdmin(options, &admin_);
    options.Flag("trim", "remove archived entries that every group of the stream has acknowledged", &options_.trim);
    options.Flag("retry-dead", "instead: offer the dead letters of these streams to PostgreSQL again", &retry_dead_);
    options.NonEmptyText("where", "CONDITION",
                         "with --retry-dead: only letters for which this SQL over sprockets.dead_letters is true",
                         "the condition is missing", &where_);
  }

  Status Check() const override {
    if (options_.group.empty()) return UsageError("--group: the name of the group is missing");
    if (!IsUtf8(options_.group) || options_.group.find('\0') != std::string::npos)
      return UsageError("--group: the name is no UTF-8");
    if (options_.claim_idle_ms < 1) return UsageError("--claim-idle must be at least 1ms");
    if (retry_dead_ && (options_.follow || options_.trim || admin_))
      return UsageError("--retry-dead does not go with --follow, --trim or --admin");
    if (!where_.empty() && !retry_dead_) return UsageError("--where goes with --retry-dead only");
    return {};
  }

  Result<Outcome> Run(Output& output) override {
    CatchStopSignals();
    if (options_.consumer.empty()) options_.consumer = HostName();
    std::vector<ArchiveHandler> handlers;
    std::vector<ConsumerGroup> groups;
    if (!folder_.empty()) {
      ASSIGN_OR_RETURN(handlers, ReadArchiveHandlers(folder_));
      ASSIGN_OR_RETURN(groups, ReadGroups(folder_));
    }
    if (retry_dead_) {
      ASSIGN_OR_RETURN(const RetryReport report, RetryDead(options_, where_, std::move(handlers)));
      return OutcomeOf(report, output);
    }
    ArchiveRun run(options_, std::move(handlers), std::move(groups));
    std::unique_ptr<ArchiveService> service;
    if (admin_) {
      ASSIGN_OR_RETURN(service, ArchiveService::Start(*admin_, options_, folder_, &run));
    }
    return OutcomeOf(run.Run(), output);
  }

 private:
  std::filesystem::path folder_;
  ArchiveOptions options_;
  std::optional<ListenAddress> admin_;
  bool retry_dead_ = false;
  std::string where_;  // of which dead letters; empty: of all
};

}  // namespace

std::unique_ptr<Command> ArchiveCommand() {
  return std::make_unique<Archive>();
}

}  // namespace sprockets
