#include "replayer/ahead/journal_drain.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "replayer/ahead/accepted_after_all.h"
#include "replayer/drain/active_file.h"
#include "replayer/drain/landed_rows.h"
#include "replayer/drain/pass.h"
#include "replayer/redis/answer.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/journal/entry_tags.h"
#include "shared/journal/restore.h"
#include "shared/redis/info.h"
#include "shared/spill/file.h"
#include "shared/spill/journal_index.h"

namespace sprockets {
namespace {

constexpr int64_t kMarkEveryMs = 100;  // a mark may lag by so much: then rows that landed are sent once more
constexpr int64_t kJournalRefusalPatienceMs = 10'000;  // without anything landing
constexpr int64_t kJournalPatienceMs = 30'000;         // without a connection that is of use
constexpr int kMostJournalBreaksInARow = 8;  // without anything landing; the forwarder finds out sooner what does it
constexpr int64_t kJournalLookAgainMs = 10;

std::string NameOf(const SpillFileInfo& info) {
  return info.path.filename().native();
}

}  // namespace

Result<bool> HasJournals(const SpillFolder& folder) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  // The newest ones first: a folder has most often files of one kind.
  for (auto info = files.rbegin(); info != files.rend(); ++info) {
    if (!WaitsForDrain(*info)) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(*info);
    if (file.ok() && file.value()->names_entries()) return true;
  }
  return false;
}

// ---- The folder

Status JournalDrain::Run() {
  report_.journals.emplace();
  before_ = report_.counts;
  Result<OpenedFolder> opened = OpenSpillFolder(folder_, 0);
  if (!opened.ok() && opened.error().code == ErrorCode::kBusy) return LeaveToSidecar();
  if (!opened.ok()) return opened.error();
  StateFile& state = *opened.value().state;
  ASSIGN_OR_RETURN(JournalContents contents, ReadJournals(folder_, opened.value().files));
  Select(&contents);
  if (contents.committed.empty()) return state.Close();
  ASSIGN_OR_RETURN(MoveWriter::Origin origin, ReadOrigin(contents));
  ASSIGN_OR_RETURN(const Incarnation incarnation, Connect());
  RETURN_IF_ERROR(RefuseOtherRedis(origin, incarnation, state.landed()));
  ASSIGN_OR_RETURN(const uint64_t rows, CountRows(contents, state.landed(), incarnation));
  if (rows > 0) {
    report_.progress().SetTotal(report_.counts.landed + report_.counts.already_there + rows);
    RETURN_IF_ERROR(Forward(contents, std::move(origin), &state));
  }
  return state.Close();
}

/// With --ack disk it forwards them itself, and says how far it is.
Status JournalDrain::LeaveToSidecar() {
  std::string why = "a sidecar is at work: only its STATUS says what has landed";
  std::string way_out = "give its --socket";
  if (!options_.socket_path.empty()) {
    const Result<SidecarView> view = AskSidecar(options_.socket_path);
    if (view.ok() && view.value().all_landed == true) return {};
    if (view.ok() && view.value().all_landed) {
      why = "their sidecar has not forwarded all of them yet";
      const std::string& refused = view.value().refused;
      way_out = refused.empty() ? "wait; its STATUS names the streams that are behind"
                                : "mend what Redis refuses; the sidecar then sends it by itself: " + refused;
    } else if (view.ok()) {
      why = "the sidecar that is at work runs with --ack redis, which does not forward them";
      way_out = "stop it, drain, and start it again";
    }
  }
  report_.Worsen(DrainResult::kLeft);
  report_.Warn("journals-left", {{"why", why}, {"way_out", way_out}});
  return {};
}

/// --streams, and --rename: these events have their entry ids in the stream that their clients named.
void JournalDrain::Select(JournalContents* contents) {
  std::erase_if(contents->committed, [&](const auto& each) { return !GlobMatch(options_.streams, each.first); });
  for (const auto& [stream, target] : options_.renames) {
    if (contents->committed.erase(stream) == 0) continue;
    report_.Worsen(DrainResult::kLeft);
    report_.Warn("journal-not-renamed",
                 {{"stream", Escape(stream)}, {"why", kJournalWhy}, {"way_out", "drain without this --rename"}});
  }
}

Result<MoveWriter::Origin> JournalDrain::ReadOrigin(const JournalContents& contents) {
  MoveWriter::Origin origin;
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder_.List());
  for (auto info = files.rbegin(); info != files.rend(); ++info) {
    const auto is_it = [&](const JournalFile& file) { return file.number == info->number; };
    if (std::none_of(contents.files.begin(), contents.files.end(), is_it)) continue;
    ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder_.OpenFile(*info));
    const std::optional<int> database = file->database();
    if (!options_.force && database && *database != options_.redis.url.database) {
      return Error{ErrorCode::kRefused, NameOf(*info) + " was written for database " + std::to_string(*database) +
                                            " of Redis, and --redis names database " +
                                            std::to_string(options_.redis.url.database) +
                                            ": name the other one, or give --force to drain into this one"};
    }
    std::vector<std::string>& fields = origin.event_id_fields;
    if (fields.empty()) {
      origin.producer = file->producer();
      origin.database = database;
      origin.server = file->server();
    }
    if (std::find(fields.begin(), fields.end(), file->event_id_field()) == fields.end())
      fields.push_back(file->event_id_field());
  }
  return origin;
}

// ---- Redis

/// Which it is, and which life it lives.
Result<Incarnation> JournalDrain::Connect() {
  RETURN_IF_ERROR(link_.Connect());
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, link_.client().Call({"INFO"}));
  const std::string_view info = TextOf(*reply);
  if (IsError(*reply)) return Error{ErrorCode::kNotPermitted, "INFO: " + std::string(info)};
  return Incarnation{std::string(InfoField(info, "run_id")), std::string(InfoField(info, "master_replid"))};
}

/// Another address, another life, and its streams have not reached what these had: whoever gave the address may have
/// mistaken it. (At the same address, it is one that has lost its data.)
Status JournalDrain::RefuseOtherRedis(const MoveWriter::Origin& origin, const Incarnation& incarnation,
                                      const LandedMarks& marks) {
  const Result<RedisUrl> meant = ParseRedisUrl(origin.server);
  if (options_.force || !meant.ok() || IsSameAddress(meant.value(), options_.redis.url)) return {};
  const LandedMark* behind = nullptr;
  StreamId top;
  for (const auto& [stream, mark] : marks) {
    if (mark.run_id == incarnation.run_id) return {};
    if (mark.top == kStreamBegin) continue;
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, link_.client().Call({"XINFO", "STREAM", stream}));
    const auto facts = StreamInfo::In(AnswerOf(*reply));
    if (!facts) continue;
    if (facts->top >= mark.top) return {};
    behind = &mark;
  }
  if (behind == nullptr) return {};
  return Error{ErrorCode::kRefused, "the journals were written for " + origin.server + ", where stream " +
                                        Escape(behind->stream) + " had reached " + ToString(behind->top) + "; at " +
                                        options_.redis.url.ForLogs() +
                                        " it has not: give the right address, or --force where this is the Redis that "
                                        "takes its place"};
}

/// As many rows as may have to be sent: those that have not landed in this life of Redis. Salvaged ones are to be
/// looked for, and not counted. 0: nothing is to be done.
Result<uint64_t> JournalDrain::CountRows(const JournalContents& contents, const LandedMarks& marks,
                                         const Incarnation& incarnation) {
  std::map<std::string_view, StreamId> open;  // streams with rows that have not landed, and how far they have
  for (const auto& [stream, committed] : contents.committed) {
    const auto mark = marks.find(stream);
    const bool is_this_life = mark != marks.end() && mark->second.run_id == incarnation.run_id &&
                              mark->second.replication_id == incarnation.replication_id;
    const StreamId landed = is_this_life ? mark->second.landed : kStreamBegin;
    if (landed < committed) open[stream] = landed;
  }
  for (const JournalFile& file : contents.files) {
    for (const auto& [stream, first] : file.first_ids) {
      if (contents.committed.contains(stream)) open.try_emplace(stream, contents.committed.find(stream)->second);
    }
  }
  if (open.empty()) return uint64_t{0};
  uint64_t rows = 0;
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder_.List());
  for (const SpillFileInfo& info : files) {
    if (!WaitsForDrain(info)) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder_.OpenFile(info);
    if (!file.ok() || !file.value()->names_entries()) continue;
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.value()->UncountedStreams());
    for (const SpilledStream& stream : streams) {
      const auto found = open.find(stream.name);
      if (found == open.end()) continue;
      ASSIGN_OR_RETURN(const int64_t up_to, LastTicketUpTo(*file.value(), stream, found->second));
      ASSIGN_OR_RETURN(const int64_t above, file.value()->CountAfter(stream, up_to));
      rows += static_cast<uint64_t>(above);
    }
  }
  return std::max<uint64_t>(rows, 1);
}

// ---- Forwarding

Status JournalDrain::Forward(const JournalContents& contents, MoveWriter::Origin origin, StateFile* state) {
  ASSIGN_OR_RETURN(std::vector<EntryTag> tags, DrawTag(contents, state));
  ForwarderOptions options;  // the link logs in
  options.client_name = "sprockets-replayer";
  options.placing = options_.placing;
  options.flight.rows = pace_.MostRows();
  journal_.emplace(folder_, state, std::move(origin), &report_);
  forwarder_.emplace(std::move(options), std::move(tags), &link_, &*journal_, static_cast<ForwarderNotices*>(this));
  Restore(contents, state->landed(), /*others_too=*/false, &*forwarder_);
  settled_ms_ = lost_ms_ = SteadyClockMs();
  Status forwarded = RunForwarder(state);
  Count();
  CountRefused();
  const Status closed = journal_->Close();
  const Status noted = NoteLanded(state);
  if (forwarded.ok() && closed.ok() && link_.connected() && !link_.awaits())
    RETURN_IF_ERROR(AcceptWhatIsThere(folder_, link_.client()));
  if (!forwarded.ok()) return forwarded;
  RETURN_IF_ERROR(closed);
  return noted;
}

Status JournalDrain::RunForwarder(StateFile* state) {
  forwarder_->OnConnected();
  while (!StopRequested()) {
    if (!link_.connected()) {
      RETURN_IF_ERROR(Reconnect());
      continue;
    }
    if (!pace_.WaitFor(forwarder_->counters().landed - paced_)) break;
    paced_ = forwarder_->counters().landed;
    forwarder_->Tick({SteadyClockMs()}, static_cast<uint64_t>(WallClockMs()));
    link_.Pump();
    ASSIGN_OR_RETURN(const bool worked, journal_->Work(&*forwarder_));
    if (link_.awaits()) {
      link_.Receive(&*forwarder_);
    } else if (!worked && link_.connected()) {
      if (IsDone()) {
        ASSIGN_OR_RETURN(const bool is_proven, IsProven());
        if (is_proven) return {};
        continue;
      }
      ASSIGN_OR_RETURN(const bool goes_on, Wait());
      if (!goes_on) return {};
    }
    Count();
    if (SteadyClockMs() - marked_ms_ >= kMarkEveryMs) RETURN_IF_ERROR(NoteLanded(state));
  }
  if (StopRequested()) report_.Worsen(DrainResult::kLeft);
  return {};
}

/// A stream that is refused alone is mended by a human.
bool JournalDrain::IsDone() const {
  const auto is_done = [](const auto& each) {
    const AheadStream& stream = *each.second;
    return stream.state == AheadStream::State::kRefused ||
           (stream.state == AheadStream::State::kReady && !stream.has_rows_to_send() && !stream.salvaged);
  };
  const auto& streams = forwarder_->streams();
  return forwarder_->ready() && std::all_of(streams.begin(), streams.end(), is_done);
}

/// Is the dataset still the one in which everything landed? The guard is watched since before that was asked. False:
/// all is asked again on a new connection.
Result<bool> JournalDrain::IsProven() {
  std::string why;
  if (forwarder_->guarded()) {
    ASSIGN_OR_RETURN(const RedisClient::Reply begun, link_.client().Call({"MULTI"}));
    ASSIGN_OR_RETURN(const RedisClient::Reply done, link_.client().Call({"EXEC"}));
    if (AnswerOf(*done).kind != RedisAnswer::Kind::kArray) why = "the dataset was replaced under the connection";
  }
  ASSIGN_OR_RETURN(const RedisClient::Reply info, link_.client().Call({"INFO", "replication"}));
  if (why.empty()) why = NoMaster(TextOf(*info)).value_or("");
  if (why.empty() && InfoField(TextOf(*info), "master_replid") != forwarder_->incarnation().replication_id)
    why = "Redis has changed its role";
  if (why.empty()) return true;
  link_.Close(why);
  forwarder_->OnDisconnected(/*by_server=*/false);
  return false;
}

/// Nothing can be done now. False: not in a while either.
Result<bool> JournalDrain::Wait() {
  if (SteadyClockMs() - settled_ms_ < kJournalRefusalPatienceMs) {
    (void)SleepUnlessStopped(kJournalLookAgainMs);
    return true;
  }
  report_.Worsen(DrainResult::kLeft);
  report_.Warn("redis-refuses", {{"why", link_.why()}});
  return false;
}

Status JournalDrain::Reconnect() {
  if (!link_.unusable().empty()) return Error{ErrorCode::kRefused, link_.unusable()};
  if (link_.TakeGreeted()) {
    lost_ms_ = SteadyClockMs();
    report_.Warn("connection-lost", {{"redis", options_.redis.url.ForLogs()}, {"why", link_.why()}});
    if (++breaks_ > kMostJournalBreaksInARow)
      return Error{ErrorCode::kUnreachable, "every connection to Redis breaks: " + link_.why()};
  }
  // The first break costs no wait: where others follow, it is the network, or a server that loads.
  if (tries_++ > 0 && !SleepUnlessStopped(backoff_.NextMs(random_()))) return {};
  if (SteadyClockMs() - lost_ms_ > kJournalPatienceMs) return Error{ErrorCode::kUnreachable, link_.why()};
  const Status connected = link_.Connect();
  if (connected.ok()) forwarder_->OnConnected();
  return connected.ok() || connected.error().code == ErrorCode::kUnreachable ? Status() : connected;
}

// ---- What is told

void JournalDrain::Ready(const Incarnation&, bool guarded, bool is_new) {
  if (is_new && !guarded)
    report_.Warn("guard-not-permitted",
                 {{"key", kGuardKey}, {"cost", "a replaced dataset is noticed only if it closes connections"}});
}

void JournalDrain::Decided(const AheadStream& stream, const Placing::Counts& counts) {
  report_.Warn("entries-not-in-place", {{"stream", Escape(stream.name)},
                                        {"overtaken", counts.overtaken},
                                        {"unproven", counts.unproven},
                                        {"reported", counts.reported}});
}

void JournalDrain::StreamRefused(const AheadStream& stream, std::string_view why) {
  report_.Warn("stream-refused",
               {{"stream", Escape(stream.name)}, {"why", why}, {"way_out", "mend the stream, and drain again"}});
}

/// Marks may lag, and never lead: what was kept aside is written down before.
Status JournalDrain::NoteLanded(StateFile* state) {
  marked_ms_ = SteadyClockMs();
  RETURN_IF_ERROR(journal_->KeepRejected());
  const std::vector<LandedMark> marks = forwarder_->TakeMarks();
  return state->NoteLanded(marks);
}

void JournalDrain::Count() {
  const ForwarderCounters& now = forwarder_->counters();
  JournalCounts& journals = *report_.journals;
  journals.landed = now.landed;
  journals.overtaken = now.overtaken;
  journals.unproven = now.unproven;
  journals.reported = now.reported;
  journals.rejected = now.rejected;
  journals.refills = now.refills;
  report_.counts.read = before_.read + now.landed + now.rejected;
  report_.counts.landed = before_.landed + now.landed;
  report_.counts.unproven = before_.unproven + now.unproven + now.reported;
  report_.ShowProgress();
  const uint64_t settled = now.landed + now.rejected + now.overtaken + now.unproven + now.reported;
  if (settled == settled_) return;
  settled_ = settled;
  settled_ms_ = SteadyClockMs();
  breaks_ = 0;
  tries_ = 0;
  backoff_.Reset();
}

void JournalDrain::CountRefused() {
  for (const auto& [name, stream] : forwarder_->streams()) {
    if (stream->state != AheadStream::State::kRefused) continue;
    report_.Worsen(DrainResult::kLeft);
    report_.journals->refused.push_back({name, stream->refusal});
  }
}

}  // namespace sprockets
