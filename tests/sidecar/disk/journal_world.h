// What the tests of --ack disk's disk share: a store over a real folder whose COMMITs fail when they are told to.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shared/redis/resp.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/start_up.h"
#include "sidecar/disk/spill_store.h"
#include "tests/shared/spill/fixture.h"

namespace sprockets::testing {

/// How the next calls go wrong; each entry is one COMMIT.
enum class CommitFault { kNone, kIsLost, kAppears };
struct DiskFaults {
  std::deque<CommitFault> commits;
  bool every_commit = false;
  bool create = false;
  bool marker = false;
  bool open = false;
  bool state = false;  // marks cannot be noted
  std::optional<int64_t> free_bytes;
};

inline Error Fault(std::string what) {
  return {ErrorCode::kIo, std::move(what)};
}

class FaultyWriter final : public SpillWriter {
 public:
  FaultyWriter(std::unique_ptr<SpillWriter> writer, DiskFaults* faults) : writer_(std::move(writer)), faults_(faults) {}

  Status Begin() override { return writer_->Begin(); }
  Status AppendAll(std::span<const SpillRow> rows) override { return writer_->AppendAll(rows); }
  Status AddConnections(std::span<const ConnectionId> connections) override {
    return writer_->AddConnections(connections);
  }
  Status Commit() override {
    CommitFault fault = faults_->every_commit ? CommitFault::kIsLost : CommitFault::kNone;
    if (!faults_->commits.empty()) {
      fault = faults_->commits.front();
      faults_->commits.pop_front();
    }
    if (fault == CommitFault::kNone) return writer_->Commit();
    if (fault == CommitFault::kAppears) Must(writer_->Commit());
    return Fault("commit");
  }
  void Rollback() override { writer_->Rollback(); }
  Status Sync() override { return writer_->Sync(); }
  int64_t number() const override { return writer_->number(); }
  int64_t rows() const override { return writer_->rows(); }
  int64_t FileBytes() const override { return writer_->FileBytes(); }
  int64_t WalBytes() const override { return writer_->WalBytes(); }
  int64_t oldest_received_ms() const override { return writer_->oldest_received_ms(); }
  Status CheckpointIfDue(bool force = false) override { return writer_->CheckpointIfDue(force); }
  Status Seal(const SpillFolder& folder) override { return writer_->Seal(folder); }
  void Abandon() override { writer_->Abandon(); }

 private:
  const std::unique_ptr<SpillWriter> writer_;
  DiskFaults* const faults_;
};

class FaultyState final : public StateStore {
 public:
  FaultyState(std::unique_ptr<StateStore> store, DiskFaults* faults) : store_(std::move(store)), faults_(faults) {}

  const Content& content() const override { return store_->content(); }
  Status Write(const Content& next) override { return store_->Write(next); }
  Status WriteLanded(std::span<const LandedMark> marks) override {
    return faults_->state ? Status(Fault("marks")) : store_->WriteLanded(marks);
  }
  Status Close() override { return store_->Close(); }

 private:
  const std::unique_ptr<StateStore> store_;
  DiskFaults* const faults_;
};

class FaultyFolder final : public SpillFolder {
 public:
  FaultyFolder(DiskFolder folder, DiskFaults* faults)
      : SpillFolder(folder.path()), folder_(std::move(folder)), faults_(faults) {}

  using SpillFolder::List;
  Result<FileLock> LockForWriting(int64_t wait_ms) const override { return folder_.LockForWriting(wait_ms); }
  Result<FileLock> LockForDraining(int64_t wait_ms) const override { return folder_.LockForDraining(wait_ms); }
  Result<std::unique_ptr<SpillWriter>> CreateActive(SpillWriterOptions options) const override {
    if (faults_->create) return Error{ErrorCode::kFull, "create"};
    ASSIGN_OR_RETURN(std::unique_ptr<SpillWriter> writer, folder_.CreateActive(std::move(options)));
    return std::unique_ptr<SpillWriter>(std::make_unique<FaultyWriter>(std::move(writer), faults_));
  }
  Result<std::unique_ptr<SpillFile>> OpenFile(const SpillFileInfo& file) const override {
    if (faults_->open) return Error{ErrorCode::kStarved, "open"};
    return folder_.OpenFile(file);
  }
  Result<std::unique_ptr<StateStore>> OpenState(const FoundInFolder& found) const override {
    ASSIGN_OR_RETURN(std::unique_ptr<StateStore> store, folder_.OpenState(found));
    return std::unique_ptr<StateStore>(std::make_unique<FaultyState>(std::move(store), faults_));
  }
  Result<std::unique_ptr<StateStore>> OpenExistingState() const override { return folder_.OpenExistingState(); }
  Result<std::vector<SpillFileInfo>> List(const std::function<bool(int64_t number)>& wanted) const override {
    return folder_.List(wanted);
  }
  bool Has(int64_t number, SpillFileInfo::State state) const override { return folder_.Has(number, state); }
  bool HasNoBytes(const SpillFileInfo& file) const override { return folder_.HasNoBytes(file); }
  Result<int64_t> NextNumber() const override { return folder_.NextNumber(); }
  Status KeepReserve() const override { return folder_.KeepReserve(); }
  Status SpendReserve() const override { return folder_.SpendReserve(); }
  Result<int64_t> TotalBytes() const override { return folder_.TotalBytes(); }
  Result<int64_t> FreeBytes() const override {
    return faults_->free_bytes ? Result<int64_t>(*faults_->free_bytes) : folder_.FreeBytes();
  }
  Status MarkSuspect(int64_t number) const override {
    return faults_->marker ? Status(Fault("marker")) : folder_.MarkSuspect(number);
  }
  Status MarkQuarantined(int64_t number) const override { return folder_.MarkQuarantined(number); }
  Status MarkOffered(int64_t number) const override { return folder_.MarkOffered(number); }
  Status ClearOffered(int64_t number) const override { return folder_.ClearOffered(number); }
  Status Move(int64_t number, SpillFileInfo::State from, SpillFileInfo::State to) const override {
    return folder_.Move(number, from, to);
  }
  void NoteTime(const SpillFileInfo& file, int64_t wall_ms) const override { folder_.NoteTime(file, wall_ms); }
  Status Remove(const SpillFileInfo& file) const override { return folder_.Remove(file); }

 private:
  const DiskFolder folder_;
  DiskFaults* const faults_;
};

/// Event number n of a stream, under EntryOf(n); `origin`: it moves that one.
inline SpillRequest RequestOf(const std::string& stream, int64_t n, int64_t origin = 0, std::string_view data = "x") {
  SpillRequest request;
  request.event = std::make_unique<PendingEvent>();
  const std::string event_id = "e-" + std::to_string(origin == 0 ? n : origin);
  request.event->wire = MakeCommand({"XADD", stream, "*", "data", data, "event_id", event_id});
  request.event->received = {1'700'000'000'000 + n};
  request.id = EntryOf(n);
  request.origin = origin;
  return request;
}

/// What one life of a store answers.
struct JournalWorld {
  TemporaryFolder temporary;
  DiskFaults faults;
  FaultyFolder folder{Must(DiskFolder::Open(temporary.path() / "spill")), &faults};
  SpillStore::Options options = DefaultOptions();
  std::optional<FileLock> lock;
  std::optional<SpillStore> store;
  std::vector<SpillOutcome> outcomes;
  std::vector<JournalBlocked> blocked;
  std::vector<std::string> order;  // in which both came

  JournalWorld() { Start(); }

  static SpillStore::Options DefaultOptions() {
    SpillStore::Options options;
    options.producer = "prod";
    options.event_id_field = "event_id";
    options.names_entries = true;
    return options;
  }

  void Start() {
    OpenedFolder opened = Must(OpenSpillFolder(folder));
    lock.emplace(std::move(opened.lock));
    SpillStore::Options its = options;
    its.earlier_journals = Must(ReadJournals(folder, opened.files)).files;
    store.emplace(folder, *std::move(opened.state), its, FolderReader(folder, opened.files, {}),
                  [this](std::vector<SpillCompletion> done) { Take(std::move(done)); });
  }
  /// As a kill does.
  void Kill() {
    store.reset();
    lock.reset();
  }
  void Restart() {
    Kill();
    Start();
  }

  void Take(std::vector<SpillCompletion> done) {
    for (SpillCompletion& completion : done) {
      if (auto* outcome = std::get_if<SpillOutcome>(&completion)) {
        order.emplace_back(outcome->kind == SpillOutcome::Kind::kSpilled   ? "spilled"
                           : outcome->kind == SpillOutcome::Kind::kRefused ? "refused"
                                                                           : "unknown");
        outcomes.push_back(std::move(*outcome));
      } else if (const auto* told = std::get_if<JournalBlocked>(&completion)) {
        order.emplace_back(told->blocked ? "blocked" : "goes on");
        blocked.push_back(*told);
      }
    }
  }

  template <typename... Jobs>
  void Process(Jobs... jobs) {
    std::vector<SpillJob> all;
    (all.emplace_back(std::move(jobs)), ...);
    store->Process(all);
  }
  /// Rows `first` to `last` of the stream, in a file of their own.
  void SealFile(const std::string& stream, int64_t first, int64_t last, std::string_view data = "x") {
    std::vector<SpillJob> jobs;
    for (int64_t n = first; n <= last; ++n) jobs.emplace_back(RequestOf(stream, n, 0, data));
    jobs.emplace_back(SealJob{});
    store->Process(jobs);
  }
  LandedJob Landed(const std::string& stream, int64_t n, const std::string& run_id = "run") const {
    return {{{stream, EntryOf(n), EntryOf(n), run_id, "replid"}}};
  }

  std::vector<int64_t> FileNumbers() const {
    std::vector<int64_t> numbers;
    for (const SpillFileInfo& info : Must(folder.List())) numbers.push_back(info.number);
    return numbers;
  }
  /// Each row of each file that no writer has open, as "number:ticket:id".
  std::vector<std::pair<int64_t, StreamId>> Rows() const {
    std::vector<std::pair<int64_t, StreamId>> rows;
    for (const SpillFileInfo& info : Must(folder.List())) {
      if (info.state == SpillFileInfo::State::kActive && !info.suspect) continue;
      const auto file = Must(folder.OpenFile(info));
      for (const OwnedRow& row : ReadAll(*file)) rows.emplace_back(row.ticket, *row.id);
    }
    return rows;
  }
};

}  // namespace sprockets::testing
