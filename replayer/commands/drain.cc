// The drain command: locks, passes, summary.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "replayer/commands/commands.h"
#include "replayer/drain/active_file.h"
#include "replayer/drain/folder_survey.h"
#include "replayer/drain/pass.h"
#include "replayer/drain/report.h"
#include "replayer/drain/salvage.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kPollMs = 1'000;
constexpr int64_t kMostPollMs = 30'000;  // while passes fail
constexpr int64_t kRemoveEveryMs = 60'000;
constexpr int64_t kSealPatienceMs = 7'000;  // a little more than the sidecar's own --seal-after

DrainResult ResultOf(const Error& error) {
  return ExitCodeOf(error) == 3 ? DrainResult::kUnreachable : DrainResult::kRefused;
}

/// The folder must be there already: a mistyped path is not a new spill folder.
Result<SpillFolder> OpenFolder(const Config& config) {
  ASSIGN_OR_RETURN(const SpillFolder existing, SpillFolder::OpenExisting(config.spill_dir));
  return SpillFolder::Open(existing.path());
}

Result<FileLock> LockForDraining(const SpillFolder& folder) {
  Result<FileLock> lock = folder.LockForDraining(0);
  if (lock.ok() || lock.error().code != ErrorCode::kBusy) return lock;
  return Error{ErrorCode::kBusy, "another drain is at work in " + folder.path().native() + ": wait for it, or stop it"};
}

/// One run under drain.lock.
Status DrainOnce(const Config& config, const SpillFolder& folder, DrainReport& report) {
  ASSIGN_OR_RETURN(const FileLock lock, LockForDraining(folder));
  const DrainConfig& drain = config.drain;
  DrainPass pass(config, folder, report);
  RETURN_IF_ERROR(folder.SpendReserve());
  if (drain.follow) RETURN_IF_ERROR(pass.Reach());
  RETURN_IF_ERROR(pass.SealActive());
  if (!drain.salvage.empty()) {
    ASSIGN_OR_RETURN(const SpillFileInfo info, FindSpillFile(folder, drain.salvage));
    RETURN_IF_ERROR(Salvage(folder, info, report));
  }
  if (!drain.file.empty()) {
    ASSIGN_OR_RETURN(const SpillFileInfo info, FindSpillFile(folder, drain.file));
    if (info.state != SpillFileInfo::State::kDrained) {
      return Error{ErrorCode::kRefused,
                   "--file: " + info.path.filename().native() + " is not drained yet; drain without --file takes it"};
    }
    RETURN_IF_ERROR(pass.OfferAgain(info));
  } else {
    RETURN_IF_ERROR(pass.DrainAll());
  }
  RETURN_IF_ERROR(RemoveOldDrained(folder, drain.keep_ms));
  if (const Status kept = folder.KeepReserve(); !kept.ok()) LogWarning("no-reserve", {{"why", kept.error().message}});
  return {};
}

/// What waits in the file that a running sidecar writes counts as left, even where nobody can say how much it is.
DrainResult AddActive(const Config& config, const SpillFolder& folder, DrainCounts* counts) {
  const Result<std::optional<ActiveFile>> active = FindActiveFile(folder, config.socket_path);
  if (!active.ok()) return DrainResult::kLeft;
  if (!active.value()) return DrainResult::kVerified;
  const auto& [name, rows, oldest_ms] = *active.value();
  if (rows) {
    counts->left += static_cast<uint64_t>(*rows);
    LogWarning("active-file", {{"file", name}, {"rows", *rows}});
    return DrainResult::kLeft;  // also without a row: one may have come since
  }
  LogWarning("active-file", {{"file", name},
                             {"rows", "unknown"},
                             {"way_out", config.socket_path.empty() ? "give the sidecar's --socket"
                                                                    : "bring the sidecar back, which writes it"}});
  return DrainResult::kLeft;
}

int PrintSummary(const Config& config, const SpillFolder& folder, DrainCounts counts, DrainResult worst,
                 const std::string& error, int64_t begun_ms, std::ostream& out) {
  const Result<uint64_t> left = CountLeft(folder, config.drain.streams);
  if (left.ok()) counts.left = left.value();
  worst = std::max(worst, AddActive(config, folder, &counts));
  const Result<uint64_t> rejected = CountRejected(folder);
  if (rejected.ok()) counts.rejected = rejected.value();
  const DrainResult result = Judge(counts, worst);
  const int64_t duration_ms = SteadyClockMs() - begun_ms;
  out << (config.json ? SummaryJson(counts, duration_ms, result, error) : SummaryText(counts, duration_ms, result))
      << std::flush;
  return ExitCode(result);
}

int RunOnce(const Config& config, const SpillFolder& folder, std::ostream& out) {
  const int64_t begun_ms = SteadyClockMs();
  DrainReport report(config.progress);
  const Status drained = DrainOnce(config, folder, report);
  report.progress().MakeRoom();
  if (!drained.ok()) {
    LogError("drain-failed", {{"error", drained.error().message}});
    report.Worsen(StopRequested() ? DrainResult::kLeft : ResultOf(drained.error()));
  }
  const std::string error = drained.ok() ? "" : drained.error().message;
  return PrintSummary(config, folder, report.counts, report.result(), error, begun_ms, out);
}

/// Anything to do for a pass? Without a connection, because it is asked every second.
bool SomethingWaits(const SpillFolder& folder) {
  const Result<std::vector<SpillFileInfo>> files = folder.List();
  if (!files.ok()) return true;  // the pass says what is wrong
  const auto is_left_behind = [&](const SpillFileInfo& info) {
    return info.state == SpillFileInfo::State::kActive && !info.quarantined && folder.LockForWriting(0).ok();
  };
  return std::any_of(files.value().begin(), files.value().end(), [&](const SpillFileInfo& info) {
    return WaitsForDrain(info) || info.offered || is_left_behind(info);
  });
}

/// The sidecar seals its file when Redis has been back for it for a while. But this drain may reach Redis where the
/// sidecar does not: then it asks, though not so soon that a Redis that comes and goes makes many small files.
class SealPatience {
 public:
  bool IsOver(const Config& config, const SpillFolder& folder) {
    const Result<std::optional<ActiveFile>> active =
        config.socket_path.empty() ? Result<std::optional<ActiveFile>>(std::optional<ActiveFile>())
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
int Follow(const Config& config, const SpillFolder& folder, std::ostream& out) {
  const int64_t begun_ms = SteadyClockMs();
  DrainCounts total;
  DrainResult last = DrainResult::kVerified;
  int64_t wait_ms = 0;
  int64_t removed_ms = begun_ms;
  SealPatience patience;
  while (SleepUnlessStopped(wait_ms)) {
    wait_ms = std::clamp(wait_ms, kPollMs, kMostPollMs);
    if (SomethingWaits(folder) || patience.IsOver(config, folder)) {
      DrainReport report(config.progress);
      const Status drained = DrainOnce(config, folder, report);
      report.progress().MakeRoom();
      if (!drained.ok()) {
        LogError("drain-failed", {{"error", drained.error().message}, {"next", "tried again"}});
        report.Worsen(ResultOf(drained.error()));
      }
      LogInfo("drained", {{"read", report.counts.read}, {"landed", report.counts.landed}});
      total.Add(report.counts);
      last = report.result();
      wait_ms = last == DrainResult::kVerified ? kPollMs : std::min(2 * wait_ms, kMostPollMs);
    } else if (SteadyClockMs() - removed_ms >= kRemoveEveryMs) {
      removed_ms = SteadyClockMs();
      if (const Status removed = RemoveOldDrained(folder, config.drain.keep_ms); !removed.ok()) {
        LogWarning("drained-files-not-removed", {{"why", removed.error().message}});
      }
    }
  }
  // What did not work in the last pass still waits; what worked later is no longer the service's failure.
  return PrintSummary(config, folder, total, std::min(last, DrainResult::kLeft), "", begun_ms, out);
}

/// Counts what waits, from sealed files; changes nothing.
int DryRun(const Config& config, const SpillFolder& folder, std::ostream& out) {
  const Result<std::vector<FileSurvey>> files = SurveyFolder(folder);
  if (!files.ok()) return Fail(config, "drain", files.error(), out);
  std::map<std::string, int64_t> left;
  DrainCounts counts;
  DrainResult result = DrainResult::kVerified;
  for (const FileSurvey& file : files.value()) {
    for (const StreamSurvey& stream : file.streams) counts.rejected += static_cast<uint64_t>(stream.rejected);
    if (file.is_done()) continue;
    const bool is_active = file.info.state == SpillFileInfo::State::kActive && !file.info.suspect;
    if (!file.not_read.empty()) result = DrainResult::kLeft;
    if (!file.not_read.empty() && (!is_active || file.info.quarantined)) {
      LogWarning("not-counted", {{"file", file.info.path.filename().native()}, {"why", file.not_read}});
    }
    for (const StreamSurvey& stream : file.streams) {
      if (stream.left == 0 || !GlobMatch(config.drain.streams, stream.name)) continue;
      left[stream.name] += stream.left;
      counts.left += static_cast<uint64_t>(stream.left);
    }
  }
  result = std::max(Judge(counts, result), AddActive(config, folder, &counts));
  if (config.json) {
    out << SummaryJson(counts, 0, result, "");
  } else {
    for (const auto& [stream, rows] : left)
      out << Escape(stream) << ": " << FormatCount(static_cast<uint64_t>(rows)) << " wait\n";
    if (counts.rejected > 0) out << FormatCount(counts.rejected) << " rejected\n";
    out << (result == DrainResult::kVerified ? "nothing waits" : ResultWord(result)) << "\n";
  }
  return ExitCode(result);
}

}  // namespace

int RunDrain(const Config& config, std::ostream& out) {
  CatchStopSignals();
  if (config.drain.dry_run) {
    const Result<SpillFolder> folder = SpillFolder::OpenExisting(config.spill_dir);
    return folder.ok() ? DryRun(config, folder.value(), out) : Fail(config, "drain", folder.error(), out);
  }
  const Result<SpillFolder> folder = OpenFolder(config);
  if (!folder.ok()) return Fail(config, "drain", folder.error(), out);
  return config.drain.follow ? Follow(config, folder.value(), out) : RunOnce(config, folder.value(), out);
}

}  // namespace sprockets
