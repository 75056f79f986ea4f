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
constexpr int64_t kLogRefusedEveryMs = 10'000;
constexpr size_t kRowsAtOnce = 1024;  // so many events are taken apart before they are inserted
constexpr size_t kKeptFields = 64;    // as many each has room for afterwards

}  // namespace

SpillStore::SpillStore(const SpillFolder& folder, StateFile state, Options options, FolderReader earlier, Post post)
    : folder_(folder),
      state_(std::move(state)),
      options_(std::move(options)),
      earlier_(std::move(earlier)),
      known_files_(earlier_.TakeWaiting()),
      post_(std::move(post)),
      room_(folder_, {options_.spill_max_bytes, options_.most_doubt_bytes}),
      highest_ticket_(state_->highest_ticket()) {}

void SpillStore::Close(bool nothing_in_flight) {
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
    if (!batch.empty()) SpillBatch(std::exchange(batch, {}));
  };
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
                   [&](DescribeJob) { Describe(); },
                   [&](ReadFolderJob) { ReadFolder(); },
                   [&](RetryJob) {},
                   [&](const LandedJob&) {},
               },
               job);
  }
  spill_gathered();
  // Its doubts came in the same turn.
  if (connection_ended && !live_) NoteNothingInFlight();
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

void SpillStore::Describe() {
  Described described;
  SpillReport& report = described.report;
  const auto files = folder_.List();
  if (files.ok()) {
    for (const SpillFileInfo& info : files.value()) {
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
  PostOne(std::move(described));
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
  int64_t bytes = 0;
  for (const SpillRequest* request : batch) bytes += static_cast<int64_t>(request->event->wire.size());
  if (const Status room = CheckRoom(bytes); room.ok()) {
    room_.RestoreAllowance();
  } else {
    RefuseForLackOfRoom(&batch, room.error());
    if (batch.empty()) return;
  }
  std::vector<int64_t> tickets;
  Status stored = Store(batch, &tickets);
  if (!stored.ok() && stored.error().code == ErrorCode::kFull && !commit_failed_ && file_ != nullptr &&
      file_->rows() > 0) {
    // The file is at its limit, not the disk: the next one has room.
    std::string name;
    if (SealActive(&name).ok()) stored = Store(batch, &tickets);
  }
  if (!stored.ok() && !commit_failed_) return Refuse(batch, stored.error());
  Answer(batch, stored, tickets);
  KeepHouse();
}

// What this sidecar never sent can be refused. What it sent and knows nothing of finds a place as long as that is
// allowed.
void SpillStore::RefuseForLackOfRoom(std::vector<SpillRequest*>* batch, const Error& error) {
  const auto refused = std::stable_partition(batch->begin(), batch->end(), [this](const SpillRequest* request) {
    return request->was_sent && room_.AllowsDoubt(static_cast<int64_t>(request->event->wire.size()));
  });
  Refuse(Batch(*batch).subspan(static_cast<size_t>(refused - batch->begin())), error);
  batch->erase(refused, batch->end());
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
      outcome.anchor = tails_[batch[i]->event->stream->name];
      if (batch[i]->doubt) outcome.anchor = std::min(outcome.anchor, batch[i]->doubt->anchor);
      outcome.why = stored.error().message;
    }
    outcome.request = std::move(*batch[i]);
  }
  answered_unknown_ = answered_unknown_ || !stored.ok();
  if (!stored.ok()) Distrust(stored.error());  // the marker is synced before anything is answered
  post_(std::move(done));
}

// One transaction. An error leaves nothing stored, unless commit_failed_.
Status SpillStore::Store(Batch batch, std::vector<int64_t>* tickets) {
  commit_failed_ = false;
  RETURN_IF_ERROR(MarkDistrusted());
  RETURN_IF_ERROR(OpenState());
  RETURN_IF_ERROR(OpenFile());
  Status appended = file_->Begin();
  if (appended.ok()) appended = Append(batch, tickets);
  if (!appended.ok()) {
    file_->Rollback();
    if (appended.error().code != ErrorCode::kFull) Distrust(appended.error());
    return appended;
  }
  Status committed = file_->Commit();
  commit_failed_ = !committed.ok();
  return committed;
}

Status SpillStore::Append(Batch batch, std::vector<int64_t>* tickets) {
  tickets->clear();
  const bool doubtful =
      std::any_of(batch.begin(), batch.end(), [](const SpillRequest* request) { return request->doubt.has_value(); });
  if (doubtful) {
    // Everything that may still deliver one of these, or an earlier copy: all but the live connection.
    std::vector<ConnectionId> connections = state_->connections();
    if (live_) std::erase(connections, *live_);
    RETURN_IF_ERROR(file_->AddConnections(connections));
  }
  for (size_t at = 0; at < batch.size(); at += kRowsAtOnce) {
    RETURN_IF_ERROR(AppendPart(batch.subspan(at, std::min(kRowsAtOnce, batch.size() - at)), tickets));
  }
  return {};
}

Status SpillStore::AppendPart(Batch part, std::vector<int64_t>* tickets) {
  views_.resize(std::max(views_.size(), part.size()));
  rows_.clear();
  for (const SpillRequest* request : part) {
    const PendingEvent& event = *request->event;
    EventView& view = views_[rows_.size()];
    SPROCKETS_ASSERT(ParseWholeCommand(event.wire, &args_) && ParseXadd(args_, options_.event_id_field, &view).ok());
    auto ticket = state_->NextTicket();
    if (!ticket.ok()) {
      state_.reset();
      return std::move(ticket).error();
    }
    tickets->push_back(ticket.value());
    highest_ticket_ = std::max(highest_ticket_, ticket.value());
    tails_.try_emplace(event.stream->name, request->tail);
    rows_.push_back(
        {ticket.value(), event.received.ms, &view, request->doubt ? &*request->doubt : nullptr, request->tail});
  }
  const Status appended = file_->AppendAll(rows_);
  for (EventView& view : std::span(views_).first(rows_.size())) {
    if (view.fields.capacity() > kKeptFields) view = EventView();
  }
  return appended;
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
  ASSIGN_OR_RETURN(file_, folder_.CreateActive(options));
  tails_.clear();
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

void SpillStore::Refuse(Batch batch, const Error& error) {
  if (batch.empty()) return;
  refused_ += batch.size();
  last_refusal_ = error.message;
  LogRefused();
  std::vector<SpillCompletion> done;
  done.reserve(batch.size());
  for (SpillRequest* request : batch) {
    answered_unknown_ = answered_unknown_ || request->was_sent;
    SpillOutcome outcome;
    outcome.kind = SpillOutcome::Kind::kRefused;
    outcome.why = error.message;
    outcome.request = std::move(*request);
    done.emplace_back(std::move(outcome));
  }
  post_(std::move(done));
}

// At once, and then a line now and then, however many events are refused and for however many reasons.
void SpillStore::LogRefused() {
  const int64_t now_ms = SteadyClockMs();
  if (refused_logged_ms_ != 0 && now_ms - refused_logged_ms_ < kLogRefusedEveryMs) return;
  LogError("spill-refused", {{"events", std::exchange(refused_, 0)}, {"why", last_refusal_}});
  refused_logged_ms_ = now_ms;
}

Status SpillStore::CheckRoom(int64_t bytes) {
  if (file_ != nullptr && !folder_.Has(file_->number(), SpillFileInfo::State::kActive)) {
    // Somebody has deleted it under us: what it holds is gone, and must not become more.
    LogError("spill-file-gone", {{"number", file_->number()}, {"rows", file_->rows()}});
    file_->Abandon();
    file_.reset();
  }
  RETURN_IF_ERROR(CheckDisk(Room::WantedFor(bytes)));
  return room_.CheckQuota(bytes, file_ == nullptr ? 0 : file_->FileBytes());
}

// The WAL needs as much again, once: where that is missing, neither a checkpoint nor the next start could put its rows
// into the file, so it is done while there is room.
Status SpillStore::CheckDisk(int64_t wanted) {
  ASSIGN_OR_RETURN(const bool is_free, room_.IsFree(wanted + (file_ == nullptr ? 0 : file_->WalBytes())));
  if (is_free) return {};
  if (file_ != nullptr) {
    if (Status checkpointed = file_->CheckpointIfDue(/*force=*/true); !checkpointed.ok()) {
      Distrust(checkpointed.error());
      return checkpointed;
    }
  }
  return room_.CheckFree(wanted);
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
  LogError("spill-file-suspect", {{"number", number}, {"rows", file_->rows()}, {"error", error.message}});
  known_files_[number] = {{}, file_->rows(), 0, file_->oldest_received_ms()};
  file_->Abandon();
  file_.reset();
  room_.Relist();
  distrusted_.push_back(number);
  if (const Status marked = MarkDistrusted(); !marked.ok())
    LogError("suspect-marker-failed", {{"number", number}, {"error", marked.error().message}});
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
  const int64_t oldest_ms = file_->oldest_received_ms();
  const Status sealed = file_->Seal(folder_);
  if (!sealed.ok()) {
    Distrust(sealed.error());
    return sealed;
  }
  file_.reset();
  room_.Relist();
  if (rows == 0) return {};
  known_files_[number] = {{}, rows, 0, oldest_ms};
  *name = folder_.PathOf(number, SpillFileInfo::State::kSealed).filename();
  LogInfo("spill-file-sealed", {{"number", number}, {"rows", rows}});
  return {};
}

}  // namespace sprockets
