// The drain command: locks, passes, summary.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "replayer/ahead/journal_drain.h"
#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/drain/active_file.h"
#include "replayer/drain/folder_survey.h"
#include "replayer/drain/options.h"
#include "replayer/drain/pass.h"
#include "replayer/drain/report.h"
#include "replayer/drain/salvage.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/limits.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

constexpr int64_t kFirstPollMs = 1'000;
constexpr int64_t kMostPollMs = 30'000;  // while passes fail
constexpr int64_t kRemoveEveryMs = 60'000;
constexpr int64_t kJournalsEveryMs = 5'000;
constexpr int64_t kSealPatienceMs = 7'000;  // a little more than the sidecar's own --seal-after

struct DrainRun {
  DrainOptions drain;
  std::filesystem::path spill_dir;
  int64_t keep_ms = 24 * 3600 * 1000;  // how long a drained file stays
  bool follow = false;                 // go on until told to stop
  bool dry_run = false;
  std::string file;     // offer this drained file again
  std::string salvage;  // take what is good out of this quarantined file
  ProgressStyle progress = ProgressStyle::kAuto;
};

DrainResult ResultOf(const Error& error) {
  return ExitCodeOf(error.code) == ExitCode::kUnreachable ? DrainResult::kUnreachable : DrainResult::kRefused;
}

/// What becomes of events in journals that other writers overtook; the words are the sidecar's.
void AddPlacing(OptionTable& options, PlacingPolicy* placing) {
  static constexpr std::string_view kRefill[] = {"report", "append"};
  static constexpr std::string_view kUnproven[] = {"append", "skip"};
  options.Choice("refill", kRefill, "journals: events that had landed and are missing, perhaps deleted on purpose",
                 &placing->refill);
  options.Choice("unproven", kUnproven, "journals: events of which nobody can say whether they had landed",
                 &placing->unproven);
}

Result<FileLock> LockForDraining(const SpillFolder& folder) {
  Result<FileLock> lock = folder.LockForDraining(0);
  if (lock.ok() || lock.error().code != ErrorCode::kBusy) return lock;
  return Error{ErrorCode::kBusy, "another drain is at work in " + folder.path().native() + ": wait for it, or stop it"};
}

/// Before the spill files: what these hold gets new ids, above those that events of journals have already.
Status DrainJournals(const DrainRun& run, const SpillFolder& folder, DrainPass& pass, DrainReport& report) {
  ASSIGN_OR_RETURN(const bool has_journals, HasJournals(folder));
  if (!has_journals) return {};
  RETURN_IF_ERROR(pass.Reach());
  return JournalDrain(run.drain, folder, report).Run();
}

/// One run under drain.lock.
Status DrainOnce(const DrainRun& run, const SpillFolder& folder, DrainReport& report) {
  ASSIGN_OR_RETURN(const FileLock lock, LockForDraining(folder));
  DrainPass pass(run.drain, folder, report);
  RETURN_IF_ERROR(folder.SpendReserve());
  if (run.follow) RETURN_IF_ERROR(pass.Reach());
  RETURN_IF_ERROR(pass.SealActive());
  if (!run.salvage.empty()) {
    ASSIGN_OR_RETURN(const SpillFileInfo info, FindSpillFile(folder, run.salvage));
    RETURN_IF_ERROR(Salvage(folder, info, report));
  }
  if (!run.file.empty()) {
    ASSIGN_OR_RETURN(const SpillFileInfo info, FindSpillFile(folder, run.file));
    if (info.state != SpillFileInfo::State::kDrained) {
      return Error{ErrorCode::kRefused,
                   "--file: " + info.path.filename().native() + " is not drained yet; drain without --file takes it"};
    }
    RETURN_IF_ERROR(pass.OfferAgain(info));
  } else {
    RETURN_IF_ERROR(DrainJournals(run, folder, pass, report));
    RETURN_IF_ERROR(pass.DrainAll());
  }
  RETURN_IF_ERROR(RemoveOldDrained(folder, run.keep_ms));
  if (const Status kept = folder.KeepReserve(); !kept.ok()) LogWarning("no-reserve", {{"why", kept.error().message}});
  return {};
}

/// What waits in the file that a running sidecar writes counts as left, even where nobody can say how much it is.
DrainResult CountActive(const std::string& socket_path, const SpillFolder& folder, DrainCounts* counts) {
  const Result<std::optional<ActiveFile>> active = FindActiveFile(folder, socket_path);
  if (!active.ok()) return DrainResult::kLeft;
  if (!active.value()) return DrainResult::kVerified;
  const auto& [name, rows, oldest_ms, is_journal] = *active.value();
  if (rows) {
    counts->left += static_cast<uint64_t>(*rows);
    LogWarning("active-file", {{"file", name}, {"rows", *rows}});
    return DrainResult::kLeft;  // also without a row: one may have come since
  }
  LogWarning("active-file", {{"file", name},
                             {"rows", "unknown"},
                             {"way_out", socket_path.empty() ? "give the sidecar's --socket"
                                         : is_journal        ? "its sidecar forwards it: wait"
                                                             : "bring the sidecar back, which writes it"}});
  return DrainResult::kLeft;
}

Outcome DrainOutcome(const DrainCounts& counts, DrainResult result, int64_t duration_ms) {
  Outcome outcome;
  outcome.counts = {{"read", counts.read},         {"landed", counts.landed}, {"already_there", counts.already_there},
                    {"unproven", counts.unproven}, {"left", counts.left},     {"rejected", counts.rejected}};
  outcome.duration_ms = duration_ms;
  outcome.result = ResultWord(result);
  outcome.exit_code = ExitCodeOf(result);
  return outcome;
}

std::string SummaryText(const DrainCounts& counts, int64_t duration_ms) {
  return "drain: " + FormatCount(counts.read) + " read, " + FormatCount(counts.landed) + " landed, " +
         FormatCount(counts.already_there) + " already there, " + FormatCount(counts.unproven) + " unproven, " +
         FormatCount(counts.left) + " left, " + FormatCount(counts.rejected) + " rejected, in " +
         FormatDuration(duration_ms) + "\n";
}

std::string TextOf(const JournalCounts& journals) {
  std::string text = "journals: ";
  if (journals.landed + journals.overtaken + journals.unproven + journals.reported + journals.rejected == 0) {
    text += "nothing to send\n";
  } else {
    text += FormatCount(journals.landed) + " landed under their ids, " + FormatCount(journals.overtaken) +
            " overtaken and moved, " + FormatCount(journals.unproven) + " unproven, " + FormatCount(journals.reported) +
            " reported, " + FormatCount(journals.rejected) + " rejected\n";
  }
  for (const auto& [stream, why] : journals.refused) text += "stream " + Escape(stream) + " refused: " + why + "\n";
  return text;
}

nlohmann::ordered_json JsonOf(const JournalCounts& journals) {
  nlohmann::ordered_json refused = nlohmann::ordered_json::array();
  for (const auto& [stream, why] : journals.refused)
    refused.push_back({{"stream", JsonOfBytes(stream)}, {"why", JsonOfBytes(why)}});
  return {{"landed", journals.landed},     {"overtaken", journals.overtaken}, {"unproven", journals.unproven},
          {"reported", journals.reported}, {"rejected", journals.rejected},   {"refills", journals.refills},
          {"refused", std::move(refused)}};
}

/// Of one pass or many, and of what is in the folder afterwards.
Outcome Summary(const DrainRun& run, const SpillFolder& folder, DrainCounts counts,
                const std::optional<JournalCounts>& journals, DrainResult worst, int64_t duration_ms) {
  const Result<uint64_t> left = CountLeft(folder, run.drain.streams);
  if (left.ok()) counts.left = left.value();
  worst = std::max(worst, CountActive(run.drain.socket_path, folder, &counts));
  const Result<KeptAside> kept = LookAtKeptAside(folder);
  if (kept.ok()) counts.rejected = kept.value().rejected;
  if (kept.ok() && kept.value().damaged_files > 0) worst = std::max(worst, DrainResult::kLeft);
  Outcome outcome = DrainOutcome(counts, Judge(counts, worst), duration_ms);
  outcome.text = SummaryText(counts, duration_ms);
  if (journals) {
    outcome.details["journals"] = JsonOf(*journals);
    outcome.text += TextOf(*journals);
  }
  outcome.text += outcome.result + "\n";
  return outcome;
}

Outcome RunOnce(const DrainRun& run, const SpillFolder& folder, const Output& output) {
  DrainReport report(run.progress);
  const Status drained = DrainOnce(run, folder, report);
  report.progress().MakeRoom();
  if (!drained.ok()) report.Worsen(StopRequested() ? DrainResult::kLeft : ResultOf(drained.error()));
  Outcome outcome = Summary(run, folder, report.counts, report.journals, report.result(), output.ElapsedMs());
  if (!drained.ok()) outcome.error = drained.error().message;
  return outcome;
}

/// Anything to do for a pass? Without a connection, because it is asked every second. Journals stay where they are when
/// what they hold has landed, so they are looked at less often, in case Redis has lost something.
class FolderWatch {
 public:
  bool SomethingWaits(const SpillFolder& folder) {
    const Result<std::vector<SpillFileInfo>> files = folder.List();
    if (!files.ok()) return true;  // the pass says what is wrong
    const auto is_left_behind = [&](const SpillFileInfo& info) {
      return info.state == SpillFileInfo::State::kActive && !info.quarantined && folder.LockForWriting(0).ok();
    };
    const bool journals_too = !journals_.empty() && SteadyClockMs() - looked_ms_ >= kJournalsEveryMs;
    // A sidecar that is at work has its own eye on its journals.
    if (journals_too && folder.LockForWriting(0).ok()) return true;
    return std::any_of(files.value().begin(), files.value().end(), [&](const SpillFileInfo& info) {
      return (WaitsForDrain(info) && !journals_.contains(info.number)) || info.offered || is_left_behind(info);
    });
  }
  /// After a pass.
  void Learn(const SpillFolder& folder) {
    looked_ms_ = SteadyClockMs();
    const Result<std::vector<SpillFileInfo>> files = folder.List();
    if (!files.ok()) return;
    std::set<int64_t> journals;
    for (const SpillFileInfo& info : files.value()) {
      if (!WaitsForDrain(info)) continue;
      if (journals_.contains(info.number) || IsJournal(folder, info)) journals.insert(info.number);
    }
    journals_ = std::move(journals);
  }

 private:
  static bool IsJournal(const SpillFolder& folder, const SpillFileInfo& info) {
    const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(info);
    return file.ok() && file.value()->names_entries();
  }

  std::set<int64_t> journals_;  // by number
  int64_t looked_ms_ = 0;
};

/// The sidecar seals its file when Redis has been back for it for a while. But this drain may reach Redis where the
/// sidecar does not: then it asks, though not so soon that a Redis that comes and goes makes many small files.
class SealPatience {
 public:
  bool IsOver(const std::string& socket_path, const SpillFolder& folder) {
    const Result<std::optional<ActiveFile>> active =
        socket_path.empty() ? Result<std::optional<ActiveFile>>(std::optional<ActiveFile>())
                            : FindActiveFile(folder, "");
    const std::string name = active.ok() && active.value() ? active.value()->name : "";
    if (name != name_) {
      name_ = name;
      since_ms_ = SteadyClockMs();
    }
    return !name_.empty() && SteadyClockMs() - since_ms_ >= kSealPatienceMs;
  }

 private:
  std::string name_;  // of the file that is active
  int64_t since_ms_ = 0;
};

/// As a service: a pass whenever something waits, until a signal. drain.lock is free between passes.
Outcome Follow(const DrainRun& run, const SpillFolder& folder, const Output& output) {
  DrainCounts total;
  DrainResult last = DrainResult::kVerified;
  int64_t wait_ms = 0;
  int64_t removed_ms = SteadyClockMs();
  SealPatience patience;
  FolderWatch watch;
  std::optional<JournalCounts> journals;
  while (SleepUnlessStopped(wait_ms)) {
    wait_ms = std::clamp(wait_ms, kFirstPollMs, kMostPollMs);
    if (watch.SomethingWaits(folder) || patience.IsOver(run.drain.socket_path, folder)) {
      DrainReport report(run.progress);
      const Status drained = DrainOnce(run, folder, report);
      report.progress().MakeRoom();
      if (!drained.ok()) {
        LogError("drain-failed", {{"error", drained.error().message}, {"next", "tried again"}});
        report.Worsen(ResultOf(drained.error()));
      }
      if (report.counts.read > 0 || !report.journals)
        LogInfo("drained", {{"read", report.counts.read}, {"landed", report.counts.landed}});
      total.Add(report.counts);
      if (report.journals) (journals ? *journals : journals.emplace()).Add(*report.journals);
      watch.Learn(folder);
      last = report.result();
      wait_ms = last == DrainResult::kVerified ? kFirstPollMs : std::min(2 * wait_ms, kMostPollMs);
    } else if (SteadyClockMs() - removed_ms >= kRemoveEveryMs) {
      removed_ms = SteadyClockMs();
      if (const Status removed = RemoveOldDrained(folder, run.keep_ms); !removed.ok()) {
        LogWarning("drained-files-not-removed", {{"why", removed.error().message}});
      }
    }
  }
  // What did not work in the last pass still waits; what worked later is no longer the service's failure.
  return Summary(run, folder, total, journals, std::min(last, DrainResult::kLeft), output.ElapsedMs());
}

/// Counts what waits, from sealed files; changes nothing.
Result<Outcome> DryRun(const DrainRun& run, const SpillFolder& folder, const Output& output) {
  ASSIGN_OR_RETURN(const std::vector<FileSurvey> files, SurveyFolder(folder));
  std::map<std::string, int64_t> left;
  DrainCounts counts;
  DrainResult result = DrainResult::kVerified;
  for (const FileSurvey& file : files) {
    for (const StreamSurvey& stream : file.streams) counts.rejected += static_cast<uint64_t>(stream.rejected);
    if (file.is_done()) continue;
    const bool is_active = file.info.state == SpillFileInfo::State::kActive && !file.info.suspect;
    if (!file.not_read.empty()) result = DrainResult::kLeft;
    if (!file.not_read.empty() && (!is_active || file.info.quarantined)) {
      LogWarning("not-counted", {{"file", file.info.path.filename().native()}, {"why", file.not_read}});
    }
    for (const StreamSurvey& stream : file.streams) {
      if (stream.left == 0 || !GlobMatch(run.drain.streams, stream.name)) continue;
      left[stream.name] += stream.left;
      counts.left += static_cast<uint64_t>(stream.left);
    }
  }
  result = std::max(Judge(counts, result), CountActive(run.drain.socket_path, folder, &counts));
  Outcome outcome = DrainOutcome(counts, result, output.ElapsedMs());
  for (const auto& [stream, rows] : left)
    outcome.text += Escape(stream) + ": " + FormatCount(static_cast<uint64_t>(rows)) + " wait\n";
  if (counts.rejected > 0) outcome.text += FormatCount(counts.rejected) + " rejected\n";
  outcome.text += (result == DrainResult::kVerified ? "nothing waits" : outcome.result) + "\n";
  return outcome;
}

Status ReadRename(std::string_view text, std::map<std::string, std::string, std::less<>>* renames) {
  const size_t equals = text.find('=');
  const bool is_pair = equals != std::string_view::npos && text.find('=', equals + 1) == std::string_view::npos;
  if (!is_pair || equals == 0 || equals + 1 == text.size())
    return UsageError("--rename: write OLD=NEW, two stream names");
  std::string from(text.substr(0, equals));
  std::string to(text.substr(equals + 1));
  if (from == to) return UsageError("--rename: OLD and NEW are the same stream");
  if (to.size() > kMaxStreamNameBytes) return UsageError("--rename: NEW is over 1024 bytes");
  if (!renames->emplace(std::move(from), std::move(to)).second)
    return UsageError("--rename: OLD is given more than once");
  return {};
}

class Drain : public Command {
 public:
  Drain()
      : Command("drain",
                "Sends spilled events to their Redis streams, each exactly once. It can be stopped and restarted at "
                "any point.") {}

  void Declare(OptionTable& options) override {
    DrainOptions& drain = run_.drain;
    constexpr const char* kNoFile = "the name of a file is missing";
    AddSpillDir(options, &run_.spill_dir);
    AddRedis(options, &drain.redis, /*unless=*/&run_.dry_run);
    AddSocket(options, &drain.socket_path);
    options.Text("streams", "GLOB", "only streams that match this pattern", &drain.streams);
    options.Integer("rate", "EVENTS_PER_S", "send at most this many events a second", 1, 1'000'000'000, &drain.rate);
    options.Duration("keep", "how long a drained file stays", &run_.keep_ms);
    options.Flag("follow", "run until stopped, for use as a service", &run_.follow);
    options.NonEmptyText("file", "FILE", "offer this drained file again, to a Redis that lost its events", kNoFile,
                         &run_.file);
    options.Flag("force", "with --file, also send unproven events; also allow another Redis than the sidecar's",
                 &drain.force);
    options.NonEmptyText("salvage", "FILE", "take what can be read from this quarantined file, then drain", kNoFile,
                         &run_.salvage);
    options.Add({.name = "rename",
                 .value = "OLD=NEW",
                 .help = "send events that wait for stream OLD to stream NEW instead",
                 .preset = "",
                 .repeats = true},
                [&drain](const Options& given) -> Status {
                  for (const std::string& rename : given.All("rename"))
                    RETURN_IF_ERROR(ReadRename(rename, &drain.renames));
                  return {};
                });
    AddPlacing(options, &drain.placing);
    options.Duration("fence-wait", "how long to wait where the user cannot kill old connections", &drain.fence_wait_ms);
    options.Flag("dry-run", "only count what waits; needs no --redis", &run_.dry_run);
    AddProgress(options, &run_.progress);
  }

  Status Check() const override {
    const bool once = !run_.file.empty() || !run_.salvage.empty() || run_.dry_run;
    if (run_.follow && once)
      return UsageError("--follow does not go with --file, --salvage or --dry-run: they are done once");
    if (!run_.file.empty() && !run_.salvage.empty()) return UsageError("--file and --salvage are two runs; give one");
    if (run_.dry_run && (!run_.file.empty() || !run_.salvage.empty()))
      return UsageError("--dry-run does not go with --file or --salvage");
    return {};
  }

  Result<Outcome> Run(Output& output) override {
    CatchStopSignals();
    // The folder must be there already: a mistyped path is not a new spill folder.
    ASSIGN_OR_RETURN(const DiskFolder existing, DiskFolder::OpenExisting(run_.spill_dir));
    if (run_.dry_run) return DryRun(run_, existing, output);
    ASSIGN_OR_RETURN(const DiskFolder folder, DiskFolder::Open(existing.path()));
    return run_.follow ? Follow(run_, folder, output) : RunOnce(run_, folder, output);
  }

 private:
  DrainRun run_;
};

}  // namespace

std::unique_ptr<Command> DrainCommand() {
  return std::make_unique<Drain>();
}

}  // namespace sprockets
