#include "sidecar/disk/spill_store.h"

#include <algorithm>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/overloaded.h"
#include "shared/redis/resp.h"
#include "sidecar/core/stream_state.h"

namespace sprockets {

namespace {

// A file may grow by one batch past the size at which it is sealed.
constexpr int64_t kFileSlackBytes = 64ll << 20;
constexpr size_t kRowsAtOnce = 1024;  // so many events are taken apart before they are inserted
constexpr size_t kKeptFields = 64;    // as many each has room for afterwards
constexpr int64_t kProofHoldsMs = 3'000;

size_t& StateOf(const SpillFileInfo& file, SpillReport::States* states) {
  if (file.state == SpillFileInfo::State::kDrained) return states->drained;
  if (file.quarantined) return states->quarantined;
  if (file.suspect) return states->suspect;
  return file.state == SpillFileInfo::State::kActive ? states->active : states->sealed;
}

}  // namespace

SpillStore::SpillStore(const SpillFolder& folder, StateFile state, Options options, FolderReader earlier, Post post)
    : folder_(folder),
      state_(std::move(state)),
      options_(std::move(options)),
      earlier_(std::move(earlier)),
      known_files_(earlier_.TakeWaiting()),
      post_(std::move(post)),
      retention_(folder_, options_.retain_ms, /*refills=*/options_.names_entries, std::move(options_.earlier_journals),
                 state_->landed()),
      room_(folder_, {options_.spill_max_bytes, options_.most_doubt_bytes,
                      options_.names_entries ? "what has not landed in Redis fills it" : "drain it",
                      [this](int64_t bytes) { return retention_.MakeRoom(bytes); }}),
      highest_ticket_(state_->highest_ticket()) {}

void SpillStore::Close(bool nothing_in_flight) {
  if (options_.names_entries) GiveUp();
  std::string name;
  if (file_ != nullptr) {
    const Status sealed = SealActive(&name);
    if (!sealed.ok()) LogError("seal-failed", {{"error", sealed.error().message}});
  }
  if (state_) {
    if (nothing_in_flight) NoteNothingInFlight();
    const Status closed = state_ ? state_->Close() : Status();
    if (!closed.ok()) LogError("state-close-failed", {{"error", closed.error().message}});
  }
}

void SpillStore::Process(std::span<SpillJob> jobs) {
  std::vector<SpillRequest*> batch;
  bool connection_ended = false;
  const auto spill_gathered = [&] {
    if (options_.names_entries && !batch.empty()) RefuseWhatMustWait(&batch);
    if (!batch.empty()) SpillBatch(std::exchange(batch, {}));
  };
  if (options_.names_entries) TryAgain();
  for (SpillJob& job : jobs) {
    if (!std::holds_alternative<SpillRequest>(job)) spill_gathered();
    std::visit(Overloaded{
                   [&](SpillRequest& request) { batch.push_back(&request); },
                   [&](const RecordJob& record) { Record(record); },
                   [&](ForgetLiveJob) {
                     live_.reset();
                     connection_ended = true;
                   },
                   [&](const SealJob& seal) { Seal(seal); },
                   [&](const DescribeJob& describe) { Describe(describe); },
                   [&](ReadFolderJob) { ReadFolder(); },
                   [&](KeepJournalJob) {},
                   [&](const LandedJob& landed) { NoteLanded(landed); },
                   [&](const RedisLifeJob& life) { retention_.NoteRedisLife(life.run_id, life.replication_id); },
                   [&](const RejectJob& rejected) { KeepRejected(rejected); },
                   [&](SalvagedPlacedJob) { retention_.NoteSalvagedPlaced(); },
               },
               job);
  }
  spill_gathered();
  // Its doubts came in the same turn.
  if (connection_ended && !live_) NoteNothingInFlight();
  retention_.KeepHouse();
  if (!options_.names_entries) return;
  SyncIfDue();
  NoteWhatLanded();
  TellBlocked();
}

void SpillStore::NoteNothingInFlight() {
  if (!state_ || answered_unknown_) return;
  const Status noted = state_->NoteNothingInFlight();
  if (noted.ok()) return;
  LogWarning("state-file-not-written", {{"error", noted.error().message}});
  state_.reset();  // it is read anew before it is needed
}

void SpillStore::PostOne(SpillCompletion done) {
  std::vector<SpillCompletion> one;
  one.push_back(std::move(done));
  post_(std::move(one));
}

void SpillStore::Record(const RecordJob& job) {
  Recorded recorded;
  Status status = OpenState();
  if (status.ok()) status = state_->Record(job.live, job.dead);
  recorded.ok = status.ok();
  if (status.ok()) {
    live_ = job.live;
    recorded.connections = state_->connections();
    recorded.connections_lost = state_->connections_lost();
  } else {
    recorded.why = status.error().message;
    state_.reset();
  }
  PostOne(std::move(recorded));
}

void SpillStore::Seal(const SealJob& job) {
  Sealed sealed{job.token, {}, {}};
  if (file_ != nullptr) sealed.status = SealActive(&sealed.name);
  if (sealed.status.ok()) sealed.status = MarkDistrusted();
  PostOne(std::move(sealed));
}

void SpillStore::Describe(const DescribeJob& job) {
  Described described;
  described.proves = job.prove;
  SpillReport& report = described.report;
  const auto files = folder_.List();
  if (files.ok()) {
    for (const SpillFileInfo& info : files.value()) {
      ++StateOf(info, &report.states);
      if (info.state == SpillFileInfo::State::kDrained) continue;
      SpillReport::File file;
      const auto known = known_files_.find(info.number);
      if (known != known_files_.end()) file = known->second;
      if (file_ != nullptr && info.number == file_->number()) {
        file.rows = file_->rows();
        file.oldest_ms = file_->oldest_received_ms();
      }
      file.name = info.path.filename();
      file.bytes = info.bytes;
      report.rows += std::max<int64_t>(file.rows, 0);
      report.bytes += file.bytes;
      if (file.oldest_ms > 0 && (report.oldest_ms == 0 || file.oldest_ms < report.oldest_ms))
        report.oldest_ms = file.oldest_ms;
      report.files.push_back(std::move(file));
    }
  }
  report.commits = commits_;
  report.free_bytes = folder_.FreeBytes().ok() ? folder_.FreeBytes().value() : -1;
  if (job.prove) {
    const Status proven = ProveWritable();
    report.writable = proven.ok();
    if (!proven.ok()) report.write_error = proven.error().message;
  }
  PostOne(std::move(described));
}

// What was just committed is proof enough.
Status SpillStore::ProveWritable() {
  if (synced_ms_ > 0 && SteadyClockMs() - synced_ms_ < kProofHoldsMs) return {};
  RETURN_IF_ERROR(folder_.ProveWritable());
  synced_ms_ = SteadyClockMs();
  return {};
}

void SpillStore::ReadFolder() {
  FolderRead read;
  if (Result<EarlierEvents> events = earlier_.ReadNext(); events.ok()) {
    read.events = std::move(events).value();
  } else {
    LogError("spill-file-not-read", {{"error", events.error().message}});
  }
  known_files_.merge(earlier_.TakeWaiting());
  read.left = earlier_.left();
  read.done = earlier_.done();
  read.complete = earlier_.complete();
  PostOne(std::move(read));
}

// ---- Spilling

void SpillStore::SpillBatch(std::vector<SpillRequest*> batch) {
  if (!MakeRoomFor(&batch)) return;
  std::vector<int64_t> tickets;
  Status stored = Store(batch, &tickets);
  if (!stored.ok() && stored.error().code == ErrorCode::kFull && !commit_failed_ && file_ != nullptr &&
      file_->rows() > 0) {
    // The file is at its limit, not the disk: the next one has room.
    std::string name;
    if (SealActive(&name).ok()) stored = Store(batch, &tickets);
  }
  if (!stored.ok() && !commit_failed_) return Refuse(std::move(batch), stored.error());
  if (!stored.ok() && options_.names_entries) return HoldFailed(batch, std::move(tickets), stored.error());
  Answer(batch, stored, tickets);
  KeepHouse();
}

// After the COMMIT: as spilled, or, if that failed, as unknown.
void SpillStore::Answer(Batch batch, const Status& stored, const std::vector<int64_t>& tickets) {
  std::vector<SpillCompletion> done;
  done.reserve(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    auto& outcome = std::get<SpillOutcome>(done.emplace_back(std::in_place_type<SpillOutcome>));
    outcome.kind = stored.ok() ? SpillOutcome::Kind::kSpilled : SpillOutcome::Kind::kUnknown;
    if (stored.ok()) {
      outcome.ticket = tickets[i];
    } else {
      outcome.anchor = tails_.find(batch[i]->event->stream->name)->second;
      if (batch[i]->doubt) outcome.anchor = std::min(outcome.anchor, batch[i]->doubt->anchor);
      outcome.why = stored.error().message;
    }
    outcome.request = std::move(*batch[i]);
  }
  answered_unknown_ = answered_unknown_ || !stored.ok();
  if (!stored.ok()) Distrust(stored.error());  // the marker is synced before anything is answered
  post_(std::move(done));
}

// One transaction. An error leaves nothing stored, unless commit_failed_. The tickets that are there are used, and
// others drawn as they are needed.
Status SpillStore::Store(Batch batch, std::vector<int64_t>* tickets) {
  commit_failed_ = false;
  RETURN_IF_ERROR(MarkDistrusted());
  RETURN_IF_ERROR(OpenState());
  RETURN_IF_ERROR(OpenFile());
  Status appended = file_->Begin();
  if (appended.ok()) appended = Append(batch, tickets);
  if (!appended.ok()) {
    file_->Rollback();
    tally_.Rollback();
    if (appended.error().code != ErrorCode::kFull) Distrust(appended.error());
    return appended;
  }
  const int64_t begun_us = SteadyClockUs();
  Status committed = file_->Commit();
  if (committed.ok()) commits_.Record(SteadyClockUs() - begun_us);
  if (committed.ok() && options_.sync_every_ms == 0) synced_ms_ = SteadyClockMs();
  commit_failed_ = !committed.ok();
  commit_failed_ ? tally_.Rollback() : tally_.Commit();
  if (options_.sync_every_ms > 0 && unsynced_since_ms_ == 0) unsynced_since_ms_ = SteadyClockMs();
  return committed;
}

Status SpillStore::Append(Batch batch, std::vector<int64_t>* tickets) {
  const bool doubtful =
      std::any_of(batch.begin(), batch.end(), [](const SpillRequest* request) { return request->doubt.has_value(); });
  if (doubtful) {
    // Everything that may still deliver one of these, or an earlier copy: all but the live connection.
    std::vector<ConnectionId> connections = state_->connections();
    if (live_) std::erase(connections, *live_);
    RETURN_IF_ERROR(file_->AddConnections(connections));
  }
  for (size_t at = 0; at < batch.size(); at += kRowsAtOnce) {
    RETURN_IF_ERROR(AppendPart(batch.subspan(at, std::min(kRowsAtOnce, batch.size() - at)), at, tickets));
  }
  return {};
}

Status SpillStore::AppendPart(Batch part, size_t at, std::vector<int64_t>* tickets) {
  views_.resize(std::max(views_.size(), part.size()));
  rows_.clear();
  for (const SpillRequest* request : part) {
    const PendingEvent& event = *request->event;
    EventView& view = views_[rows_.size()];
    SPROCKETS_ASSERT(ParseWholeCommand(event.wire, &args_) && ParseXadd(args_, options_.event_id_field, &view).ok());
    if (tickets->size() == at + rows_.size()) RETURN_IF_ERROR(DrawTicket(tickets));
    const int64_t ticket = (*tickets)[at + rows_.size()];
    SPROCKETS_ASSERT(request->id.has_value() == options_.names_entries);
    if (request->id) {
      tally_.Add(view.stream, *request->id, ticket, request->origin);
    } else if (!tails_.contains(view.stream)) {
      tails_.emplace(view.stream, request->tail);
    }
    rows_.push_back({ticket, event.received.ms, &view, request->doubt ? &*request->doubt : nullptr, request->tail,
                     request->id, request->origin});
  }
  const Status appended = file_->AppendAll(rows_);
  for (EventView& view : std::span(views_).first(rows_.size())) {
    if (view.fields.capacity() > kKeptFields) view = EventView();
  }
  return appended;
}

Status SpillStore::DrawTicket(std::vector<int64_t>* tickets) {
  const Result<int64_t> ticket = state_->NextTicket();
  if (!ticket.ok()) {
    state_.reset();
    return ticket.error();
  }
  tickets->push_back(ticket.value());
  highest_ticket_ = std::max(highest_ticket_, ticket.value());
  return {};
}

Status SpillStore::OpenFile() {
  if (file_ != nullptr) return {};
  ASSIGN_OR_RETURN(const int64_t number, folder_.NextNumber());
  SpillWriter::Options options;
  options.number = number;
  options.producer = options_.producer;
  options.event_id_field = options_.event_id_field;
  options.begun_ms = WallClockMs();
  options.max_bytes = options_.spill_file_bytes + kFileSlackBytes;
  options.database = options_.database;
  options.server = options_.server;
  options.connections_lost = state_->connections_lost();
  options.names_entries = options_.names_entries;
  options.sync_commits = options_.sync_every_ms == 0;
  ASSIGN_OR_RETURN(file_, folder_.CreateActive(options));
  tails_.clear();
  unsynced_since_ms_ = 0;
  LogInfo("spill-file-begun", {{"number", number}});
  return {};
}

Status SpillStore::OpenState() {
  if (state_) return {};
  auto state = StateFile::Open(folder_, {.folder_has_files = true, .highest_ticket = highest_ticket_});
  if (!state.ok()) return std::move(state).error();
  state_ = std::move(state).value();
  return {};
}

// After the answers: nobody waits for this.
void SpillStore::KeepHouse() {
  if (file_ == nullptr) return;
  if (const Status checkpointed = file_->CheckpointIfDue(); !checkpointed.ok()) return Distrust(checkpointed.error());
  std::string name;
  if (file_->FileBytes() >= options_.spill_file_bytes) {
    const Status sealed = SealActive(&name);
    if (!sealed.ok()) LogError("seal-failed", {{"error", sealed.error().message}});
  }
}

// SQLite would go on after a failed sync, and later commits would stand on sand: this file gets nothing any more.
void SpillStore::Distrust(const Error& error) {
  const int64_t number = file_->number();
  const int64_t rows = file_->rows();
  const int64_t bytes = file_->FileBytes();
  LogError("spill-file-suspect", {{"number", number}, {"rows", rows}, {"error", error.message}});
  file_->Abandon();
  const int64_t oldest_ms = file_->oldest_received_ms();
  file_.reset();
  room_.Relist();
  if (options_.names_entries && rows == 0 && RemoveUnanswered(number)) return;
  known_files_[number] = {{}, rows, 0, oldest_ms};
  if (options_.names_entries) KeepTally(number, bytes);
  distrusted_.push_back(number);
  if (const Status marked = MarkDistrusted(); !marked.ok()) {
    blocked_why_ = marked.error().message;
    LogError("suspect-marker-failed", {{"number", number}, {"error", marked.error().message}});
  }
}

// Until its marker stands, a drainer would trust the file: so nothing is spilled before that.
Status SpillStore::MarkDistrusted() {
  while (!distrusted_.empty()) {
    RETURN_IF_ERROR(folder_.MarkSuspect(distrusted_.back()).Prefixed("marking a suspect spill file"));
    distrusted_.pop_back();
  }
  return {};
}

Status SpillStore::SealActive(std::string* name) {
  const int64_t number = file_->number();
  const int64_t rows = file_->rows();
  const int64_t bytes = file_->FileBytes();
  const int64_t oldest_ms = file_->oldest_received_ms();
  const Status sealed = file_->Seal(folder_);
  if (!sealed.ok()) {
    Distrust(sealed.error());
    return sealed;
  }
  file_.reset();
  room_.Relist();
  if (options_.names_entries) KeepTally(number, bytes);
  if (rows == 0) return {};
  known_files_[number] = {{}, rows, 0, oldest_ms};
  *name = folder_.PathOf(number, SpillFileInfo::State::kSealed).filename();
  LogInfo("spill-file-sealed", {{"number", number}, {"rows", rows}});
  return {};
}

}  // namespace sprockets
