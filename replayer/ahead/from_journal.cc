#include "replayer/ahead/from_journal.h"

#include <memory>
#include <utility>

#include "replayer/ahead/stream_fill.h"
#include "replayer/drain/pass.h"
#include "replayer/redis/lock.h"
#include "replayer/redis/server.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/journal/entry_tags.h"
#include "shared/journal/journal_contents.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

/// No drain, and no sidecar that drops old journals, changes the files meanwhile.
Result<FileLock> LockForReading(const SpillFolder& folder) {
  Result<FileLock> lock = folder.LockForDraining(0);
  if (lock.ok() || lock.error().code != ErrorCode::kBusy) return lock;
  return Error{ErrorCode::kBusy, "a drain is at work in " + folder.path().native() + ": wait for it, or stop it"};
}

/// Brings what the active file holds within reach, as a drain does.
Result<bool> SealActive(const FromJournalOptions& options, const SpillFolder& folder) {
  DrainOptions drain;
  drain.socket_path = options.socket_path;
  DrainReport report(ProgressStyle::kNone);
  RETURN_IF_ERROR(DrainPass(drain, folder, report).SealActive());
  return report.result() == DrainResult::kVerified;
}

Result<uint64_t> CountRows(const SpillFolder& folder, const std::string& streams_glob) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  uint64_t rows = 0;
  for (const SpillFileInfo& info : files) {
    if (!WaitsForDrain(info)) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(info);
    if (!file.ok() || !file.value()->names_entries()) continue;
    const Result<std::vector<SpilledStream>> streams = file.value()->UncountedStreams();
    if (!streams.ok()) continue;
    for (const SpilledStream& stream : streams.value()) {
      if (!GlobMatch(streams_glob, stream.name)) continue;
      const Result<int64_t> of_stream = file.value()->CountAfter(stream, 0);
      rows += of_stream.ok() ? static_cast<uint64_t>(of_stream.value()) : 0;
    }
  }
  return rows;
}

/// A quarantined file may hold rows that nobody can read.
Result<bool> HasQuarantined(const SpillFolder& folder) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  bool has_some = false;
  for (const SpillFileInfo& info : files) {
    if (!info.quarantined) continue;
    has_some = true;
    LogWarning("quarantined-file-left",
               {{"file", info.path.filename().native()}, {"way_out", "drain --salvage takes what is good"}});
  }
  return has_some;
}

}  // namespace

Status FillFromJournals(const FromJournalOptions& options, const SpillFolder& folder, FilledStreams* filled) {
  ASSIGN_OR_RETURN(const FileLock reading, LockForReading(folder));
  ASSIGN_OR_RETURN(filled->read_all, SealActive(options, folder));
  ASSIGN_OR_RETURN(std::vector<SpillFileInfo> files, folder.List());
  std::erase_if(files, [](const SpillFileInfo& info) { return !WaitsForDrain(info); });
  ASSIGN_OR_RETURN(const JournalContents contents, ReadJournals(folder, files));
  const std::vector<EntryTag> tags = TagsOf(contents);
  ASSIGN_OR_RETURN(const uint64_t rows, CountRows(folder, options.streams));

  std::unique_ptr<RedisLock> lock;
  if (!options.dry_run) {
    ASSIGN_OR_RETURN(lock, RedisLock::Take(options.redis.url, options.redis.deadline_ms));
  }
  ASSIGN_OR_RETURN(Server server, Server::Connect(options.redis.url, options.redis.deadline_ms));
  JournalPages pages(folder);
  Progress progress(options.progress, "rebuild");
  progress.SetTotal(rows);
  uint64_t before = 0;  // rows of earlier streams
  for (const auto& [name, committed] : contents.committed) {
    if (!GlobMatch(options.streams, name)) continue;
    FilledStream& stream = filled->streams.emplace_back();
    stream.name = name;
    StreamFill fill(options, {pages, committed, contents.current, tags}, server.client(), &stream);
    RETURN_IF_ERROR(fill.Run([&] {
      progress.Advance(before + stream.rows);
      return lock ? lock->Check() : Status();
    }));
    before += stream.rows;
  }
  progress.MakeRoom();
  if (filled->streams.empty())
    return Error{ErrorCode::kRefused, "no journal in " + folder.path().native() + " has a stream that matches " +
                                          Escape(options.streams) + ": only sidecars with --ack disk write journals"};
  ASSIGN_OR_RETURN(const bool has_quarantined, HasQuarantined(folder));
  filled->read_all = filled->read_all && !has_quarantined;
  return {};
}

}  // namespace sprockets
