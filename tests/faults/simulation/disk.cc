#include "tests/faults/simulation/disk.h"

#include <algorithm>
#include <utility>

#include "shared/spill/layout.h"
#include "tests/faults/simulation/disk_file.h"

namespace sprockets::sim {

using State = SpillFileInfo::State;

namespace {

Error IoError(std::string what) {
  return {ErrorCode::kIo, std::move(what)};
}

int64_t RowsIn(const DiskFile& file) {
  int64_t rows = 0;
  for (const DiskStream& stream : file.streams) rows += static_cast<int64_t>(stream.rows.size());
  return rows;
}

Result<FileLock> Take(bool* locked) {
  struct Hold : FileLock::Hold {
    explicit Hold(bool* held) : locked(held) {}
    ~Hold() override { *locked = false; }
    bool* const locked;
  };
  if (std::exchange(*locked, true)) return Error{ErrorCode::kBusy, "locked"};
  return FileLock(std::make_unique<Hold>(locked));
}

// ---- The active file

class SimulatedWriter final : public SpillWriter {
 public:
  SimulatedWriter(World* world, int64_t number) : world_(world), number_(number) {}
  ~SimulatedWriter() override { Abandon(); }

  Status Begin() override {
    open_streams_ = file().streams;
    open_connections_ = file().connections;
    return {};
  }
  Status AppendAll(std::span<const SpillRow> rows) override;
  Status AddConnections(std::span<const ConnectionId> connections) override {
    for (const ConnectionId& connection : connections) AddOnce(open_connections_, connection);
    return {};
  }
  Status Commit() override;
  void Rollback() override {}
  Status Sync() override { return {}; }

  int64_t number() const override { return number_; }
  int64_t rows() const override {
    const DiskFile* there = world_->disk.Find(number_);
    return there == nullptr ? 0 : RowsIn(*there);
  }
  int64_t FileBytes() const override { return 0; }
  int64_t WalBytes() const override { return 0; }
  int64_t oldest_received_ms() const override { return 0; }
  Status CheckpointIfDue(bool) override { return {}; }

  Status Seal(const SpillFolder& folder) override {
    Abandon();
    return rows() == 0 ? folder.Remove(file().info) : folder.Move(number_, State::kActive, State::kSealed);
  }
  void Abandon() override {
    if (DiskFile* there = closed_ ? nullptr : world_->disk.Find(number_)) there->held_by_sidecar = false;
    closed_ = true;
  }

 private:
  Status AppendOne(const SpillRow& row);
  DiskFile& file() const { return *world_->disk.Find(number_); }

  World* const world_;
  const int64_t number_;
  std::vector<DiskStream> open_streams_;  // of the transaction: copies that Commit puts in place
  std::vector<ConnectionId> open_connections_;
  bool closed_ = false;
  bool sync_failed_ = false;
};

Status SimulatedWriter::AppendAll(std::span<const SpillRow> rows) {
  for (const SpillRow& row : rows) RETURN_IF_ERROR(AppendOne(row));
  return {};
}

Status SimulatedWriter::AppendOne(const SpillRow& row) {
  const EventView& event = *row.event;
  const auto doubt = row.doubt != nullptr ? std::optional<Doubt>(*row.doubt) : std::nullopt;
  SPROCKETS_ASSERT(row.id.has_value() == file().options.names_entries && row.origin >= 0 && row.origin < row.ticket);
  if (world_->Chance(world_->faults.append_fails)) return IoError("insert");
  auto stream = std::find_if(open_streams_.begin(), open_streams_.end(),
                             [&](const DiskStream& s) { return s.name == event.stream; });
  if (stream == open_streams_.end()) {
    DiskStream created;
    created.id = static_cast<int64_t>(open_streams_.size()) + 1;
    created.name = event.stream;
    created.tail = row.stream_tail;
    open_streams_.push_back(created);
    stream = open_streams_.end() - 1;
  }
  stream->rows.push_back({row.ticket,
                          row.received_ms,
                          doubt,
                          {event.options.begin(), event.options.end()},
                          {event.fields.begin(), event.fields.end()},
                          event.event_id_at,
                          IsOwnId(event, file().options.producer),
                          row.id,
                          row.origin});
  if (doubt && doubt->connection) AddOnce(open_connections_, *doubt->connection);
  return {};
}

Status SimulatedWriter::Commit() {
  world_->Step("commit");
  // SQLite would go on and say that all is well, on top of what the disk has never had.
  if (sync_failed_) return {};
  sync_failed_ = true;
  if (world_->Chance(world_->faults.commit_fails)) return IoError("commit");
  file().streams = open_streams_;
  file().connections = open_connections_;
  if (world_->Chance(world_->faults.commit_fails_but_appears)) return IoError("commit that appears");
  sync_failed_ = false;
  world_->Step("committed");
  return {};
}

// ---- State file

class SimulatedState final : public StateStore {
 public:
  explicit SimulatedState(World* world) : world_(world) {}

  const Content& content() const override { return *world_->disk.state; }
  Status Write(const Content& next) override {
    world_->Step("record");
    if (world_->Chance(world_->faults.record_fails)) return IoError("record");
    world_->disk.state = next;
    world_->Step("recorded");
    return {};
  }
  Status WriteLanded(std::span<const LandedMark> marks) override {
    world_->Step("note landed");
    if (world_->Chance(world_->faults.record_fails)) return IoError("note landed");
    for (const LandedMark& mark : marks) world_->disk.state->landed.insert_or_assign(mark.stream, mark);
    world_->Step("noted landed");
    return {};
  }
  Status Close() override { return {}; }

 private:
  World* const world_;
};

}  // namespace

// ---- Folder

Result<FileLock> SimulatedFolder::LockForWriting(int64_t) const {
  return Take(&world_->disk.writing_locked);
}
Result<FileLock> SimulatedFolder::LockForDraining(int64_t) const {
  return Take(&world_->disk.draining_locked);
}

Result<std::unique_ptr<SpillWriter>> SimulatedFolder::CreateActive(SpillWriterOptions options) const {
  world_->Step("create");
  const int64_t number = options.number;
  DiskFile file;
  file.info.number = number;
  file.info.state = State::kActive;
  file.info.path = PathOf(number, State::kActive);
  file.options = std::move(options);
  file.held_by_sidecar = true;
  world_->disk.files[number] = std::move(file);
  world_->Step("created");
  return std::unique_ptr<SpillWriter>(std::make_unique<SimulatedWriter>(world_, number));
}

Result<std::unique_ptr<SpillFile>> SimulatedFolder::OpenFile(const SpillFileInfo& info) const {
  const DiskFile* file = world_->disk.Find(info.number);
  if (file == nullptr || file->info.state != info.state) return Error{ErrorCode::kNotFound, "gone"};
  if (file->held_by_sidecar) return Error{ErrorCode::kBusy, "the sidecar's"};
  world_->Step("open file");
  return std::unique_ptr<SpillFile>(std::make_unique<SimulatedFile>(world_, file->info));
}

Result<std::unique_ptr<StateStore>> SimulatedFolder::OpenState(const FoundInFolder& found) const {
  if (!world_->disk.state) world_->disk.state = StateStore::Content::First(found);
  return std::unique_ptr<StateStore>(std::make_unique<SimulatedState>(world_));
}

Result<std::unique_ptr<StateStore>> SimulatedFolder::OpenExistingState() const {
  if (!world_->disk.state) return Error{ErrorCode::kNotFound, "no state file"};
  return std::unique_ptr<StateStore>(std::make_unique<SimulatedState>(world_));
}

Result<std::vector<SpillFileInfo>> SimulatedFolder::List(const std::function<bool(int64_t number)>& wanted) const {
  std::vector<SpillFileInfo> list;
  for (const auto& [number, file] : world_->disk.files) {
    if (wanted(number)) list.push_back(file.info);
  }
  return list;
}

Result<int64_t> SimulatedFolder::NextNumber() const {
  const auto& files = world_->disk.files;
  return files.empty() ? 1 : files.rbegin()->first + 1;
}

bool SimulatedFolder::Has(int64_t number, State state) const {
  const DiskFile* file = world_->disk.Find(number);
  return file != nullptr && file->info.state == state;
}

bool SimulatedFolder::HasNoBytes(const SpillFileInfo& info) const {
  const DiskFile* file = world_->disk.Find(info.number);
  return file == nullptr || RowsIn(*file) == 0;
}

Status SimulatedFolder::MarkSuspect(int64_t number) const {
  world_->Step("mark suspect");
  if (world_->Chance(world_->faults.marker_fails)) return IoError("marker");
  if (DiskFile* file = world_->disk.Find(number)) file->info.suspect = true;
  world_->Step("marked suspect");
  return {};
}

Status SimulatedFolder::MarkQuarantined(int64_t number) const {
  if (DiskFile* file = world_->disk.Find(number)) file->info.quarantined = true;
  return {};
}

Status SimulatedFolder::MarkOffered(int64_t number) const {
  if (DiskFile* file = world_->disk.Find(number)) file->info.offered = true;
  return {};
}

Status SimulatedFolder::ClearOffered(int64_t number) const {
  if (DiskFile* file = world_->disk.Find(number)) file->info.offered = false;
  return {};
}

Status SimulatedFolder::Move(int64_t number, State from, State to) const {
  world_->Step("move");
  DiskFile* file = world_->disk.Find(number);
  SPROCKETS_ASSERT(file != nullptr && file->info.state == from);
  file->info.state = to;
  file->info.path = PathOf(number, to);
  if (to == State::kDrained) file->info.suspect = file->info.quarantined = false;
  world_->Step("moved");
  return {};
}

Status SimulatedFolder::Remove(const SpillFileInfo& file) const {
  world_->disk.files.erase(file.number);
  return {};
}

}  // namespace sprockets::sim
