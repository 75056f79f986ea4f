// The order of a drain: seal, fence, files, streams; and what becomes of finished files.
#include "replayer/drain/pass.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "replayer/drain/active_file.h"
#include "replayer/drain/landed_rows.h"
#include "replayer/drain/sidecar_door.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/spill/retention.h"
#include "shared/spill/state_file.h"

namespace sprockets {
namespace {

constexpr int kLooksAtServer = 4;
constexpr int64_t kLookAgainMs = 500;

std::string NameOf(const SpillFileInfo& info) {
  return info.path.filename().native();
}

}  // namespace

bool WaitsForDrain(const SpillFileInfo& info) {
  using State = SpillFileInfo::State;
  return !info.quarantined && (info.state == State::kSealed || (info.state == State::kActive && info.suspect));
}

DrainPass::DrainPass(const DrainOptions& options, const SpillFolder& folder, DrainReport& report, Dial dial)
    : options_(options),
      folder_(folder),
      report_(report),
      dial_(std::move(dial)),
      session_(options, folder, report, dial_),
      pace_(options.rate, options.rows_a_batch),
      searches_(folder) {}

Status DrainPass::SealActive() {
  const Result<FileLock> lock = folder_.LockForWriting(0);
  Status asked;
  if (!options_.socket_path.empty()) {
    const Result<SidecarView> view = AskSidecar(options_.socket_path, dial_);
    if (!view.ok()) {
      asked = view.error();
      report_.Warn("sidecar-not-reached", {{"socket", options_.socket_path}, {"why", view.error().message}});
    }
  }
  if (lock.ok()) return SealLeftBehind();
  if (lock.error().code != ErrorCode::kBusy) return lock.error();
  ASSIGN_OR_RETURN(const std::optional<ActiveFile> active, FindActiveFile(folder_, ""));
  if (!active) return {};
  std::string why = "a sidecar is writing it and --socket was not given, so it could not be asked to seal it";
  if (!options_.socket_path.empty()) {
    // One that does not even say how it is does not seal either, and that would be waited for much longer.
    const Status sealed = asked.ok() ? AskSidecarToSeal(options_.socket_path, dial_) : asked;
    ASSIGN_OR_RETURN(const std::optional<ActiveFile> still_active, FindActiveFile(folder_, ""));
    if (!still_active) return {};
    why = sealed.ok() ? "the sidecar goes on spilling" : sealed.error().message;
  }
  report_.Worsen(DrainResult::kLeft);
  report_.Warn("active-file-left", {{"why", why}});
  return {};
}

/// No sidecar runs, and none can start: the caller holds its lock.
Status DrainPass::SealLeftBehind() {
  ASSIGN_OR_RETURN(const RecoveryReport recovered, RecoverLeftBehind(folder_));
  for (const std::string& name : recovered.quarantined) report_.Warn("quarantined", {{"file", name}});
  for (const std::string& name : recovered.suspect) report_.Warn("suspect", {{"file", name}});
  Result<StateFile> state = StateFile::OpenExisting(folder_);
  if (state.ok()) {
    session_.Know(state.value().connections());
    return state.value().Close();
  }
  if (state.error().code == ErrorCode::kForeign) return std::move(state).error();
  if (state.error().code != ErrorCode::kNotFound)
    report_.Warn("state-file-unreadable", {{"why", state.error().message}});
  return {};
}

/// The sidecar is connected to another Redis than this drain: whoever gave the address has mistaken it.
Status DrainPass::RefuseOtherServer() {
  if (options_.socket_path.empty() || options_.force) return {};
  const std::string& ours = session_.server().self().run_id;
  std::string other;
  for (int look = 0; look < kLooksAtServer; ++look) {
    const Result<SidecarView> view = AskSidecar(options_.socket_path, dial_);
    if (!view.ok()) return {};
    const std::string& run_id = view.value().run_id;
    const std::optional<int>& database = view.value().database;
    const bool same_server = run_id.empty() || ours.empty() || run_id == ours;
    const bool same_database = database.value_or(options_.redis.url.database) == options_.redis.url.database;
    right_redis_ = !run_id.empty() && run_id == ours && same_database;
    if (same_server && same_database) return {};
    other = same_server ? "database " + std::to_string(*database) : "another Redis";
    // It may not have noticed yet that its Redis went away.
    if (!SleepUnlessStopped(kLookAgainMs)) return Error{ErrorCode::kRefused, "stopped"};
  }
  return Error{ErrorCode::kRefused, "the sidecar uses " + other + ", not " + options_.redis.url.ForLogs() +
                                        ": give its address, or --force to drain into this one"};
}

Status DrainPass::RefuseOtherDatabase(const SpillFile& file) const {
  if (options_.force || !file.database() || *file.database() == options_.redis.url.database) return {};
  return Error{ErrorCode::kRefused, NameOf(file.info()) + " was spilled for database " +
                                        std::to_string(*file.database()) + " of Redis, and --redis names database " +
                                        std::to_string(options_.redis.url.database) +
                                        ": name the other one, or give --force to drain into this one"};
}

/// Where no sidecar says which Redis is the right one, its files may: another one has another address, and lacks what
/// the streams held when the events were spilled. (At the same address, it is one that has lost its data.)
Status DrainPass::RefuseOtherRedis(SpillFile& file) {
  const Result<RedisUrl> meant = ParseRedisUrl(file.server());
  if (right_redis_ || options_.force || !meant.ok() || IsSameAddress(meant.value(), options_.redis.url)) return {};
  ASSIGN_OR_RETURN(const std::vector<ConnectionId> connections, file.Connections());
  const auto is_here = [&](const ConnectionId& known) { return session_.server().IsSameLife(known.run_id); };
  if (std::any_of(connections.begin(), connections.end(), is_here)) return {};
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.Streams());
  const SpilledStream* behind = nullptr;
  for (const SpilledStream& stream : streams) {
    if (stream.rows_left == 0 || stream.tail == kStreamBegin) continue;
    const Result<StreamFacts> facts = session_.Facts(stream.name);
    if (!facts.ok() || !facts.value().last_id_known) continue;
    if (facts.value().last_id >= stream.tail) return {};
    behind = &stream;
  }
  if (behind == nullptr) return {};
  return Error{ErrorCode::kRefused,
               NameOf(file.info()) + " was spilled for " + file.server() + ", where stream " + Escape(behind->name) +
                   " had reached " + ToString(behind->tail) + "; at " + options_.redis.url.ForLogs() +
                   " it has not: " + "give the right address, or --force where this is the Redis that takes its place"};
}

Status DrainPass::DrainAll() {
  RETURN_IF_ERROR(session_.Connect());
  RETURN_IF_ERROR(RefuseOtherServer());
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder_.List());
  ASSIGN_OR_RETURN(const uint64_t waiting, CountLeft(folder_, options_.streams));
  report_.progress().SetTotal(report_.counts.landed + report_.counts.already_there + waiting);
  for (const SpillFileInfo& info : files) {
    if (info.quarantined) {
      report_.Worsen(DrainResult::kLeft);
      report_.Warn("quarantined-file-left",
                   {{"file", NameOf(info)}, {"way_out", "drain --salvage takes what is good"}});
    }
    if (!WaitsForDrain(info) && !info.offered) continue;
    ASSIGN_OR_RETURN(const Next next, info.offered ? FinishOffer(info) : DrainFile(info));
    if (next == Next::kEnd) return {};
  }
  for (const auto& [stream, target] : options_.renames) {
    if (!seen_streams_.contains(stream))
      report_.Warn("rename-not-used",
                   {{"stream", Escape(stream)}, {"why", "no file that waits has a stream of this name"}});
  }
  return {};
}

Result<DrainPass::Next> DrainPass::DrainFile(const SpillFileInfo& info) {
  const Result<std::unique_ptr<SpillFile>> opened = folder_.OpenFile(info);
  if (!opened.ok()) return PassOver(info, opened.error());
  SpillFile& file = *opened.value();
  if (file.names_entries()) return Next::kGoOn;  // see replayer/ahead
  RETURN_IF_ERROR(RefuseOtherDatabase(file));
  RETURN_IF_ERROR(RefuseOtherRedis(file));
  if (const Status verified = file.VerifyAsRead(); !verified.ok()) return PassOver(info, verified.error());
  RETURN_IF_ERROR(session_.FenceFor(file));
  bool all_done = true;
  const Result<Next> next = DrainStreams(file, &all_done);
  if (!next.ok()) return PassOver(info, next.error());
  if (all_done) RETURN_IF_ERROR(Finish(file));
  return next;
}

/// A file whose rows cannot be trusted is set aside and does not stop the others. Whatever else is wrong ends the run.
Result<DrainPass::Next> DrainPass::PassOver(const SpillFileInfo& info, const Error& error) {
  if (error.code == ErrorCode::kNotFound) return Next::kGoOn;
  if (error.code == ErrorCode::kBusy) {
    // A later file may hold later events of the same streams.
    report_.Worsen(DrainResult::kLeft);
    report_.Warn("file-in-use", {{"file", NameOf(info)}, {"why", error.message}});
    return Next::kEnd;
  }
  if (error.code == ErrorCode::kForbidden) {
    report_.Worsen(DrainResult::kLeft);
    report_.Warn("file-not-readable", {{"file", NameOf(info)}, {"why", error.message}});
    return Next::kEnd;
  }
  if (error.code != ErrorCode::kCorrupt) return error;
  RETURN_IF_ERROR(folder_.MarkQuarantined(info.number));
  report_.Worsen(DrainResult::kLeft);
  report_.Warn("quarantined",
               {{"file", NameOf(info)}, {"why", error.message}, {"way_out", "drain --salvage takes what is good"}});
  return Next::kGoOn;
}

Result<DrainPass::Next> DrainPass::DrainStreams(SpillFile& file, bool* all_done) {
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.Streams());
  for (const SpilledStream& stream : streams) {
    seen_streams_.insert(stream.name);
    if (stream.rows_left == 0 && !stream.cursor.open) continue;
    if (!IsSelected(stream) || stopped_streams_.contains(stream.name)) {
      *all_done = false;
      continue;
    }
    ASSIGN_OR_RETURN(const StreamDrain::End end, DrainStream(file, stream));
    if (end == StreamDrain::End::kDone) continue;
    *all_done = false;
    report_.Worsen(DrainResult::kLeft);
    if (end != StreamDrain::End::kStreamRefused) return Next::kEnd;
    stopped_streams_.insert(stream.name);
  }
  return Next::kGoOn;
}

Result<StreamDrain::End> DrainPass::DrainStream(SpillFile& file, const SpilledStream& stream) {
  const auto renamed = options_.renames.find(stream.name);
  const std::string& target = renamed == options_.renames.end() ? stream.name : renamed->second;
  SpilledStream current = stream;
  // A range that was led to a third stream is finished there: nobody would look for its events in that one again.
  const auto& open = stream.cursor.open;
  if (open && open->target != stream.name && open->target != target) {
    StreamDrain elsewhere(session_, report_, pace_, searches_, file, stream, SettlerOptions(file, open->target));
    ASSIGN_OR_RETURN(const StreamDrain::End end, elsewhere.FinishOpenRange());
    if (end != StreamDrain::End::kDone) return end;
    current.cursor = elsewhere.cursor();
  }
  StreamDrain drain(session_, report_, pace_, searches_, file, std::move(current), SettlerOptions(file, target));
  ASSIGN_OR_RETURN(const StreamDrain::End end, drain.Run());
  if (end == StreamDrain::End::kStreamRefused) {
    report_.Warn("stream-refused", {{"stream", Escape(stream.name)},
                                    {"file", NameOf(file.info())},
                                    {"why", drain.why()},
                                    {"way_out", "mend the stream, or lead its events elsewhere: --rename OLD=NEW"}});
  }
  if (end == StreamDrain::End::kServerRefused) report_.Warn("redis-refuses", {{"why", drain.why()}});
  return end;
}

StreamSettler::Options DrainPass::SettlerOptions(const SpillFile& file, std::string_view target) const {
  return {.target = std::string(target),
          .whole_file_in_doubt = offers_again_ || file.info().suspect,
          .withhold_unproven = offers_again_ && !options_.force};
}

bool DrainPass::IsSelected(const SpilledStream& stream) const {
  return GlobMatch(options_.streams, stream.name);
}

Status DrainPass::Finish(SpillFile& file) {
  const SpillFileInfo info = file.info();
  RETURN_IF_ERROR(file.MarkDrained(WallClockMs()));
  RETURN_IF_ERROR(file.Close());
  if (info.state == SpillFileInfo::State::kDrained) return folder_.ClearOffered(info.number);
  return folder_.Move(info.number, info.state, SpillFileInfo::State::kDrained);
}

Status DrainPass::OfferAgain(const SpillFileInfo& info) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder_.OpenFile(info));
  if (file->names_entries()) {
    return Error{ErrorCode::kRefused,
                 NameOf(info) + ": " + std::string(kJournalWhy) + "; drain without --file sends what Redis lost"};
  }
  RETURN_IF_ERROR(file->Verify());
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->Streams());
  RETURN_IF_ERROR(RefuseIfLowerFileWaits(info, streams));
  RETURN_IF_ERROR(RefuseOtherDatabase(*file));
  RETURN_IF_ERROR(session_.Connect());
  RETURN_IF_ERROR(RefuseOtherServer());
  RETURN_IF_ERROR(session_.FenceFor(*file));
  // A run that ends before its time leaves the marker, and the next drain goes on with it.
  RETURN_IF_ERROR(folder_.MarkOffered(info.number));
  RETURN_IF_ERROR(file->ResetCursors());
  ASSIGN_OR_RETURN(const Next next, OfferRest(*file));
  static_cast<void>(next);
  return {};
}

/// What is left of a drained file that is offered again.
Result<DrainPass::Next> DrainPass::OfferRest(SpillFile& file) {
  offers_again_ = true;
  bool all_done = true;
  Result<Next> next = DrainStreams(file, &all_done);
  offers_again_ = false;
  if (!next.ok()) return next;
  if (!all_done) report_.Worsen(DrainResult::kLeft);
  RETURN_IF_ERROR(all_done ? Finish(file) : file.Close());
  return next;
}

/// A run with --file was interrupted, so nobody knows yet whether every event of the file is in Redis.
Result<DrainPass::Next> DrainPass::FinishOffer(const SpillFileInfo& info) {
  const Result<std::unique_ptr<SpillFile>> opened = folder_.OpenFile(info);
  if (!opened.ok()) return PassOver(info, opened.error());
  SpillFile& file = *opened.value();
  RETURN_IF_ERROR(RefuseOtherDatabase(file));
  LogInfo("offering-again", {{"file", NameOf(info)}, {"why", "a drain --file of it was interrupted"}});
  RETURN_IF_ERROR(session_.FenceFor(file));
  return OfferRest(file);
}

/// For the order: what was spilled earlier goes first.
Status DrainPass::RefuseIfLowerFileWaits(const SpillFileInfo& info, const std::vector<SpilledStream>& streams) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder_.List());
  for (const SpillFileInfo& lower : files) {
    if (lower.number >= info.number || !WaitsForDrain(lower)) continue;
    ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder_.OpenFile(lower));
    if (file->names_entries()) continue;  // no drain takes it
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> waiting, file->Streams());
    for (const SpilledStream& stream : waiting) {
      const auto is_same = [&](const SpilledStream& other) { return other.name == stream.name && IsSelected(other); };
      if (stream.rows_left == 0 || std::none_of(streams.begin(), streams.end(), is_same)) continue;
      return Error{ErrorCode::kRefused, NameOf(lower) + " still holds events of stream " + Escape(stream.name) +
                                            ", which were spilled earlier: drain it first"};
    }
  }
  return {};
}

Status RemoveOldDrained(const SpillFolder& folder, int64_t keep_ms) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  for (const SpillFileInfo& info : files) {
    if (IsExpendable(folder, info, WallClockMs() - keep_ms)) RETURN_IF_ERROR(folder.Remove(info));
  }
  return {};
}

Result<KeptAside> LookAtKeptAside(const SpillFolder& folder) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  KeptAside kept;
  for (const SpillFileInfo& info : files) {
    const bool is_drained = info.state == SpillFileInfo::State::kDrained;
    if (!is_drained && !WaitsForDrain(info)) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(info);
    const bool is_damaged = !file.ok() && file.error().code == ErrorCode::kCorrupt;
    if (is_drained && !info.offered && (is_damaged || (file.ok() && file.value()->drained_ms() == 0))) {
      ++kept.damaged_files;
      LogWarning("damaged-file-kept",
                 {{"file", NameOf(info)},
                  {"why", "salvage could not read all of it, and there is no other trace of those events"},
                  {"way_out", "delete it in drained/ when you have what you need of it"}});
    }
    if (!file.ok()) continue;
    const Result<std::vector<SpillFile::Rejected>> rejected = file.value()->RejectedRows();
    if (!rejected.ok() || rejected.value().empty()) continue;
    kept.rejected += rejected.value().size();
    LogWarning("rejected-rows-kept",
               {{"file", NameOf(info)},
                {"rows", rejected.value().size()},
                {"first_ticket", rejected.value().front().ticket},
                {"why", rejected.value().front().reason},
                {"way_out", file.value()->names_entries()
                                ? "show FILE lists them; they stay until the journal is dropped (--retain)"
                                : "show FILE lists them; when Redis can take them (proto-max-bulk-len), drain --file "
                                  "FILE"}});
  }
  return kept;
}

Result<uint64_t> CountLeft(const SpillFolder& folder, std::string_view streams_glob) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  LandedRows landed(folder);
  uint64_t left = 0;
  for (const SpillFileInfo& info : files) {
    if (!WaitsForDrain(info)) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(info);
    if (!file.ok()) continue;
    const bool is_journal = file.value()->names_entries();
    const auto streams = is_journal ? file.value()->UncountedStreams() : file.value()->Streams();
    if (!streams.ok()) continue;
    for (const SpilledStream& stream : streams.value()) {
      if (!GlobMatch(streams_glob, stream.name)) continue;
      const auto rows = is_journal ? landed.CountWaiting(*file.value(), stream) : Result<int64_t>(stream.rows_left);
      left += rows.ok() ? static_cast<uint64_t>(rows.value()) : 0;
    }
  }
  return left;
}

}  // namespace sprockets
