// The simulated disk behind SpillFolder, SpillWriter, SpillFile and StateFile.
#include <algorithm>

#include "shared/spill/file.h"
#include "shared/spill/folder.h"
#include "shared/spill/state_file.h"
#include "tests/faults/simulation/world.h"

namespace sprockets {

using sim::DiskFile;
using sim::DiskRow;
using sim::DiskStream;
using sim::TheWorld;
using State = SpillFileInfo::State;

namespace {

constexpr int kWritingLock = 1;
constexpr int kDrainingLock = 2;

Error IoError(std::string what) {
  return {ErrorCode::kIo, std::move(what)};
}

DiskFile* Find(int64_t number) {
  const auto found = TheWorld().disk.files.find(number);
  return found == TheWorld().disk.files.end() ? nullptr : &found->second;
}

}  // namespace

// ---- Folder

FileLock::~FileLock() {
  if (fd_ == kWritingLock) TheWorld().disk.writing_locked = false;
  if (fd_ == kDrainingLock) TheWorld().disk.draining_locked = false;
}

Result<SpillFolder> SpillFolder::Open(const std::filesystem::path& path) {
  return SpillFolder(path);
}
Result<SpillFolder> SpillFolder::OpenExisting(const std::filesystem::path& path) {
  return SpillFolder(path);
}
std::filesystem::path SpillFolder::PathOf(int64_t number, State state) const {
  return path_ / (std::to_string(number) + "." + std::to_string(static_cast<int>(state)));
}
Result<FileLock> SpillFolder::LockForWriting(int64_t) const {
  if (std::exchange(TheWorld().disk.writing_locked, true)) return Error{ErrorCode::kBusy, "locked"};
  return FileLock(kWritingLock);
}
Result<FileLock> SpillFolder::LockForDraining(int64_t) const {
  if (std::exchange(TheWorld().disk.draining_locked, true)) return Error{ErrorCode::kBusy, "locked"};
  return FileLock(kDrainingLock);
}
Result<std::vector<SpillFileInfo>> SpillFolder::List() const {
  return List([](int64_t) { return true; });
}
Result<std::vector<SpillFileInfo>> SpillFolder::List(const std::function<bool(int64_t number)>& wanted) const {
  std::vector<SpillFileInfo> list;
  for (const auto& [number, file] : TheWorld().disk.files) {
    if (wanted(number)) list.push_back(file.info);
  }
  return list;
}
Result<int64_t> SpillFolder::NextNumber() const {
  const auto& files = TheWorld().disk.files;
  return files.empty() ? 1 : files.rbegin()->first + 1;
}
Result<int64_t> SpillFolder::TotalBytes() const {
  return 0;
}
Result<int64_t> SpillFolder::FreeBytes() const {
  return int64_t{1} << 40;
}
bool SpillFolder::Has(int64_t number, State state) const {
  const DiskFile* file = Find(number);
  return file != nullptr && file->info.state == state;
}
Status SpillFolder::KeepReserve() const {
  return {};
}
Status SpillFolder::SpendReserve() const {
  return {};
}
Status SpillFolder::Sync() const {
  return {};
}

Status SpillFolder::MarkSuspect(int64_t number) const {
  TheWorld().Step("mark suspect");
  if (TheWorld().Chance(TheWorld().faults.marker_fails)) return IoError("marker");
  if (DiskFile* file = Find(number)) file->info.suspect = true;
  TheWorld().Step("marked suspect");
  return {};
}
Status SpillFolder::MarkOffered(int64_t) const {
  return {};
}
Status SpillFolder::ClearOffered(int64_t) const {
  return {};
}
Status SpillFolder::MarkQuarantined(int64_t number) const {
  if (DiskFile* file = Find(number)) file->info.quarantined = true;
  return {};
}
Status SpillFolder::Move(int64_t number, State from, State to) const {
  TheWorld().Step("move");
  DiskFile* file = Find(number);
  SPROCKETS_ASSERT(file != nullptr && file->info.state == from);
  file->info.state = to;
  file->info.path = PathOf(number, to);
  if (to == State::kDrained) file->info.suspect = file->info.quarantined = false;
  TheWorld().Step("moved");
  return {};
}
Status SpillFolder::Remove(const SpillFileInfo& file) const {
  TheWorld().disk.files.erase(file.number);
  return {};
}

// ---- The active file

struct SpillWriter::Impl {
  SpillFolder folder;
  int64_t number = 0;
  std::vector<DiskStream> open_streams;  // of the transaction: copies that Commit puts in place
  std::vector<ConnectionId> open_connections;
  int64_t oldest_ms = 0;
  bool closed = false;
  bool sync_failed = false;

  DiskFile& file() const { return *Find(number); }
  int64_t rows() const {
    if (Find(number) == nullptr) return 0;
    int64_t rows = 0;
    for (const DiskStream& stream : file().streams) rows += static_cast<int64_t>(stream.rows.size());
    return rows;
  }
  void Store() {
    file().streams = open_streams;
    file().connections = open_connections;
  }
};

SpillWriter::SpillWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SpillWriter::~SpillWriter() {
  if (Find(impl_->number) != nullptr && !impl_->closed) impl_->file().held_by_sidecar = false;
}

Result<std::unique_ptr<SpillWriter>> SpillWriter::Create(const SpillFolder& folder, Options options) {
  TheWorld().Step("create");
  DiskFile file;
  file.info.number = options.number;
  file.info.state = State::kActive;
  file.info.path = folder.PathOf(options.number, State::kActive);
  file.options = options;
  file.held_by_sidecar = true;
  TheWorld().disk.files[options.number] = file;
  TheWorld().Step("created");
  auto impl = std::make_unique<Impl>(Impl{folder, options.number, {}, {}, 0, false});
  return std::unique_ptr<SpillWriter>(new SpillWriter(std::move(impl)));
}

Status SpillWriter::Begin() {
  impl_->open_streams = impl_->file().streams;
  impl_->open_connections = impl_->file().connections;
  return {};
}

Status SpillWriter::Append(int64_t ticket, int64_t received_ms, const EventView& event,
                           const std::optional<Doubt>& doubt, StreamId stream_tail) {
  if (TheWorld().Chance(TheWorld().faults.append_fails)) return IoError("insert");
  auto stream = std::find_if(impl_->open_streams.begin(), impl_->open_streams.end(),
                             [&](const DiskStream& s) { return s.name == event.stream; });
  if (stream == impl_->open_streams.end()) {
    DiskStream created;
    created.id = static_cast<int64_t>(impl_->open_streams.size()) + 1;
    created.name = event.stream;
    created.tail = stream_tail;
    impl_->open_streams.push_back(created);
    stream = impl_->open_streams.end() - 1;
  }
  DiskRow row{ticket,
              received_ms,
              doubt,
              {event.options.begin(), event.options.end()},
              {event.fields.begin(), event.fields.end()},
              event.event_id_at,
              false};
  row.own_id = event.event_id().starts_with(impl_->file().options.producer + "-");
  stream->rows.push_back(std::move(row));
  if (doubt && doubt->connection) return AddConnections({&*doubt->connection, 1});
  return {};
}

Status SpillWriter::AddConnections(std::span<const ConnectionId> connections) {
  for (const ConnectionId& connection : connections) {
    auto& listed = impl_->open_connections;
    if (std::find(listed.begin(), listed.end(), connection) == listed.end()) listed.push_back(connection);
  }
  return {};
}

Status SpillWriter::Commit() {
  sim::World& world = TheWorld();
  world.Step("commit");
  // SQLite would go on and say that all is well, on top of what the disk has never had.
  if (impl_->sync_failed) return {};
  impl_->sync_failed = true;
  if (world.Chance(world.faults.commit_fails)) return IoError("commit");
  impl_->Store();
  if (world.Chance(world.faults.commit_fails_but_appears)) return IoError("commit that appears");
  impl_->sync_failed = false;
  world.Step("committed");
  return {};
}

void SpillWriter::Rollback() {}
int64_t SpillWriter::number() const {
  return impl_->number;
}
int64_t SpillWriter::rows() const {
  return impl_->rows();
}
int64_t SpillWriter::FileBytes() const {
  return 0;
}
int64_t SpillWriter::oldest_received_ms() const {
  return 0;
}
Status SpillWriter::CheckpointIfDue(bool) {
  return {};
}

Status SpillWriter::Seal(const SpillFolder& folder) {
  impl_->closed = true;
  impl_->file().held_by_sidecar = false;
  if (impl_->rows() == 0) {
    TheWorld().disk.files.erase(impl_->number);
    return {};
  }
  return folder.Move(impl_->number, State::kActive, State::kSealed);
}

void SpillWriter::Abandon() {
  impl_->closed = true;
  impl_->file().held_by_sidecar = false;
}

// ---- Files that no writer has open

struct SpillFile::Impl {
  SpillFileInfo info;
  DiskFile& file() const { return *Find(info.number); }
};

SpillFile::SpillFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SpillFile::SpillFile(SpillFile&&) noexcept = default;
SpillFile& SpillFile::operator=(SpillFile&&) noexcept = default;
SpillFile::~SpillFile() = default;

Result<SpillFile> SpillFile::Open(const SpillFileInfo& info) {
  DiskFile* file = Find(info.number);
  if (file == nullptr || file->info.state != info.state) return Error{ErrorCode::kNotFound, "gone"};
  if (file->held_by_sidecar) return Error{ErrorCode::kBusy, "the sidecar's"};
  TheWorld().Step("open file");
  return SpillFile(std::make_unique<Impl>(Impl{file->info}));
}

const SpillFileInfo& SpillFile::info() const {
  return impl_->info;
}
const std::string& SpillFile::producer() const {
  return impl_->file().options.producer;
}
const std::string& SpillFile::event_id_field() const {
  return impl_->file().options.event_id_field;
}
int64_t SpillFile::begun_ms() const {
  return impl_->file().options.begun_ms;
}
std::optional<int> SpillFile::database() const {
  return impl_->file().options.database;
}
const std::string& SpillFile::server() const {
  return impl_->file().options.server;
}
bool SpillFile::connections_lost() const {
  return impl_->file().options.connections_lost;
}
int64_t SpillFile::drained_ms() const {
  return impl_->file().drained_ms;
}
Status SpillFile::VerifyAsRead() {
  return Verify();
}

Status SpillFile::Verify() {
  return {};
}

Result<std::vector<SpilledStream>> SpillFile::Streams() {
  std::vector<SpilledStream> streams;
  for (const DiskStream& stream : impl_->file().streams) {
    SpilledStream spilled;
    spilled.id = stream.id;
    spilled.name = spilled.table = stream.name;
    spilled.rows = static_cast<int64_t>(stream.rows.size());
    spilled.last_ticket = stream.rows.empty() ? 0 : stream.rows.back().ticket;
    spilled.tail = stream.tail;
    spilled.cursor = stream.cursor;
    spilled.led_to = stream.led_to;
    spilled.rejected = std::count_if(impl_->file().rejected.begin(), impl_->file().rejected.end(),
                                     [&](const Rejected& row) { return row.stream_id == stream.id; });
    spilled.rows_left = std::count_if(stream.rows.begin(), stream.rows.end(),
                                      [&](const DiskRow& row) { return row.ticket > stream.cursor.done_ticket; });
    streams.push_back(std::move(spilled));
  }
  return streams;
}

Result<std::vector<ConnectionId>> SpillFile::Connections() {
  return impl_->file().connections;
}

Result<std::vector<std::pair<std::string, std::string>>> SpillFile::RenamedStreams() {
  return std::vector<std::pair<std::string, std::string>>();
}

namespace {

DiskStream& StreamOf(DiskFile& file, int64_t id) {
  return *std::find_if(file.streams.begin(), file.streams.end(),
                       [id](const DiskStream& stream) { return stream.id == id; });
}

SpilledEvent ViewOf(const DiskStream& stream, const DiskRow& row) {
  SpilledEvent event;
  event.ticket = row.ticket;
  event.received_ms = row.received_ms;
  event.doubt = row.doubt;
  event.own_id = row.own_id;
  event.event.stream = stream.name;
  event.event.options.assign(row.options.begin(), row.options.end());
  event.event.fields.assign(row.fields.begin(), row.fields.end());
  event.event.event_id_at = row.event_id_at;
  return event;
}

}  // namespace

Status SpillFile::Visit(const SpilledStream& stream, int64_t after, int64_t up_to,
                        const std::function<bool(const SpilledEvent&)>& visitor,
                        const std::function<void(int64_t, std::string_view)>&) {
  const DiskStream copy = StreamOf(impl_->file(), stream.id);
  for (const DiskRow& row : copy.rows) {
    if (row.ticket <= after || (up_to != 0 && row.ticket > up_to)) continue;
    if (!visitor(ViewOf(copy, row))) break;
  }
  return {};
}

Status SpillFile::VisitDoubts(const SpilledStream& stream, int64_t after,
                              const std::function<bool(const SpilledEvent&)>& visitor) {
  return Visit(stream, after, 0, [&](const SpilledEvent& event) { return !event.doubt || visitor(event); });
}

Status SpillFile::VisitNewestFirst(const SpilledStream& stream,
                                   const std::function<bool(const SpilledEvent&)>& visitor) {
  const DiskStream copy = StreamOf(impl_->file(), stream.id);
  for (auto row = copy.rows.rbegin(); row != copy.rows.rend(); ++row) {
    if (!visitor(ViewOf(copy, *row))) break;
  }
  return {};
}

Status SpillFile::AddConnection(const ConnectionId& connection) {
  TheWorld().Step("drain: list connection");
  auto& listed = impl_->file().connections;
  if (std::find(listed.begin(), listed.end(), connection) == listed.end()) listed.push_back(connection);
  TheWorld().Step("drain: listed connection");
  return {};
}

Status SpillFile::KeepLedTo(int64_t stream_id, const LedTo& place) {
  TheWorld().Step("drain: keep place");
  StreamOf(impl_->file(), stream_id).led_to.push_back(place);
  return {};
}

Status SpillFile::SaveCursor(int64_t stream_id, const Cursor& cursor) {
  TheWorld().Step("drain: save cursor");
  DiskStream& stream = StreamOf(impl_->file(), stream_id);
  stream.cursor = cursor;
  if (cursor.open && cursor.open->target != stream.name) {
    stream.led_to.push_back({cursor.open->target, cursor.open->anchor, cursor.open->run_id});
  }
  TheWorld().Step("drain: saved cursor");
  return {};
}

Status SpillFile::Reject(int64_t stream_id, int64_t ticket, std::string_view reason, const Cursor& cursor) {
  impl_->file().rejected.push_back({stream_id, ticket, std::string(reason)});
  return SaveCursor(stream_id, cursor);
}

Status SpillFile::Accept(int64_t stream_id, std::span<const int64_t> tickets) {
  std::erase_if(impl_->file().rejected, [&](const Rejected& row) {
    return row.stream_id == stream_id && std::find(tickets.begin(), tickets.end(), row.ticket) != tickets.end();
  });
  return {};
}

Result<std::vector<SpillFile::Rejected>> SpillFile::RejectedRows() {
  return impl_->file().rejected;
}
Status SpillFile::MarkDrained(int64_t now_ms) {
  impl_->file().drained_ms = now_ms;
  TheWorld().Step("drain: marked drained");
  return {};
}
Status SpillFile::ResetCursors() {
  for (DiskStream& stream : impl_->file().streams) stream.cursor = {};
  return {};
}
Status SpillFile::FinishAsSealed() {
  return {};
}
Status SpillFile::Close() {
  return {};
}

Result<RecoveryReport> RecoverLeftBehind(const SpillFolder& folder) {
  RecoveryReport report;
  std::vector<int64_t> left;
  for (const auto& [number, file] : TheWorld().disk.files) {
    if (file.info.state == State::kActive && !file.info.suspect && !file.info.quarantined) left.push_back(number);
  }
  for (const int64_t number : left) {
    DiskFile* file = Find(number);
    SPROCKETS_ASSERT(!file->held_by_sidecar);
    const bool empty = std::all_of(file->streams.begin(), file->streams.end(),
                                   [](const DiskStream& stream) { return stream.rows.empty(); });
    if (empty) {
      TheWorld().disk.files.erase(number);
    } else {
      RETURN_IF_ERROR(folder.Move(number, State::kActive, State::kSealed));
      ++report.sealed;
    }
  }
  return report;
}

// ---- State file

struct StateFile::Impl {
  bool nothing_was_in_flight = false;
  bool recorded = false;
  sim::DiskState& state() const { return *TheWorld().disk.state; }
};

StateFile::StateFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StateFile::StateFile(StateFile&&) noexcept = default;
StateFile& StateFile::operator=(StateFile&&) noexcept = default;
StateFile::~StateFile() = default;

Result<StateFile> StateFile::Open(const SpillFolder&, const Found& found) {
  if (!TheWorld().disk.state) {
    TheWorld().disk.state.emplace();
    TheWorld().disk.state->next_ticket = found.highest_ticket + 1;
    TheWorld().disk.state->lost = found.folder_has_files;
    TheWorld().disk.state->nothing_in_flight = !found.folder_has_files;
  }
  StateFile file(std::make_unique<Impl>());
  file.impl_->nothing_was_in_flight = TheWorld().disk.state->nothing_in_flight;
  return file;
}

Result<StateFile> StateFile::OpenExisting(const SpillFolder&) {
  if (!TheWorld().disk.state) return Error{ErrorCode::kNotFound, "no state file"};
  return StateFile(std::make_unique<Impl>());
}

const std::vector<ConnectionId>& StateFile::connections() const {
  return impl_->state().connections;
}
bool StateFile::nothing_was_in_flight() const {
  return impl_->nothing_was_in_flight;
}
bool StateFile::connections_lost() const {
  return impl_->state().lost;
}

Status StateFile::Record(const ConnectionId& live, std::span<const ConnectionId> dead) {
  sim::World& world = TheWorld();
  world.Step("record");
  if (world.Chance(world.faults.record_fails)) return IoError("record");
  sim::DiskState& state = impl_->state();
  state.nothing_in_flight = false;
  impl_->recorded = true;
  for (const ConnectionId& connection : dead) std::erase(state.connections, connection);
  if (std::find(state.connections.begin(), state.connections.end(), live) == state.connections.end())
    state.connections.push_back(live);
  if (state.lost && state.lost_under.empty()) state.lost_under = live.run_id;
  if (state.lost && state.lost_under != live.run_id) state.lost = false;
  world.Step("recorded");
  return {};
}

Status StateFile::Strike(std::span<const ConnectionId> dead) {
  for (const ConnectionId& connection : dead) std::erase(impl_->state().connections, connection);
  return {};
}

int64_t StateFile::highest_ticket() const {
  return impl_->state().next_ticket - 1;
}
Result<int64_t> StateFile::NextTicket() {
  return impl_->state().next_ticket++;
}
Status StateFile::Close() {
  return {};
}
Status StateFile::NoteNothingInFlight() {
  if (impl_->nothing_was_in_flight || impl_->recorded) impl_->state().nothing_in_flight = true;
  return {};
}

}  // namespace sprockets
