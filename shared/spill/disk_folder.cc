// Markers, locks and renames in the spill folder.
#include "shared/spill/disk_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <unordered_set>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/files.h"
#include "shared/spill/file_names.h"
#include "shared/spill/sqlite_file.h"
#include "shared/spill/sqlite_state.h"
#include "shared/spill/sqlite_writer.h"

namespace sprockets {
namespace {

namespace fs = std::filesystem;
using State = SpillFileInfo::State;

constexpr std::string_view kSuspectSuffix = ".suspect";
constexpr std::string_view kQuarantinedSuffix = ".quarantined";
constexpr std::string_view kOfferedSuffix = ".offered";
constexpr std::string_view kReserveName = "reserve";
constexpr int64_t kReserveBytes = 16 * 1024 * 1024;  // a WAL at its limit, checkpointed, and a rollback journal
constexpr int64_t kLockPollMs = 50;

Error SystemError(const fs::path& path, std::string_view action) {
  const int number = errno;
  const ErrorCode code = CodeOfSystemError(number);
  const std::string owner = code == ErrorCode::kForbidden ? WhoOwns(path) : "";
  return {code, "cannot " + std::string(action) + " " + path.native() + ": " + std::generic_category().message(number) +
                    (owner.empty() ? "" : ": " + owner)};
}

/// Bytes of a file; 0 if there is none.
int64_t FileBytes(const fs::path& path) {
  struct stat facts = {};
  return stat(path.c_str(), &facts) == 0 ? facts.st_size : 0;
}

fs::path WithSuffix(const fs::path& path, std::string_view suffix) {
  return path.native() + std::string(suffix);
}

/// fsync of a file or a folder.
Status SyncPath(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError(path, "open");
  const bool synced = fsync(fd) == 0;
  Status status = synced ? Status() : Status(SystemError(path, "sync"));
  close(fd);
  return status;
}

Status CreateFolder(const fs::path& path) {
  if (mkdir(path.c_str(), 0700) == 0) {
    const fs::path parent = path.parent_path();
    return SyncPath(parent.empty() ? fs::path(".") : parent);
  }
  if (errno == EEXIST) return {};
  return SystemError(path, "create the folder");
}

Result<fs::path> RealFolder(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) {
    return Error{CodeOfSystemError(error.value()), "cannot use the folder " + path.native() + ": " + error.message()};
  }
  if (!fs::is_directory(real, error)) return Error{ErrorCode::kIo, path.native() + " is not a folder"};
  if (access(real.c_str(), R_OK | W_OK | X_OK) != 0) return SystemError(path, "read and write the folder");
  return real;
}

/// The names in a folder; nothing if it does not exist.
Result<std::vector<std::string>> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().native());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Error{CodeOfSystemError(error.value()), "cannot list " + folder.native() + ": " + error.message()};
  }
  return names;
}

Status CreateMarker(const fs::path& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return SystemError(path, "create");
  close(fd);
  GiveToOwnerOfFolder(path);
  RETURN_IF_ERROR(SyncPath(path));
  return SyncPath(path.parent_path());
}

/// Deletes a file, which may be missing already.
Status Delete(const fs::path& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return SystemError(path, "delete");
}

/// What SQLite keeps beside a database. It may be deleted only when it is empty, or with its database.
std::array<fs::path, 2> JournalsOf(const fs::path& database) {
  return {WithSuffix(database, "-wal"), WithSuffix(database, "-journal")};
}

/// Would SQLite need it to make the database whole? A rollback journal that begins with a zero is a finished one: an
/// error kept SQLite from deleting it. https://sqlite.org/fileformat.html, section 3.
bool HoldsAPart(const fs::path& journal) {
  if (FileBytes(journal) == 0) return false;
  if (!journal.native().ends_with("-journal")) return true;
  const int fd = open(journal.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  char first = 1;
  const bool is_finished = read(fd, &first, 1) == 1 && first == 0;
  close(fd);
  return !is_finished;
}

/// A file as it lies there; nothing if it has moved on since the folder was listed. There may be 10,000, so nothing is
/// asked of the system twice: `journals` are the names of all that were listed.
std::optional<SpillFileInfo> Describe(const SpillFolder& folder, int64_t number, State state,
                                      const std::unordered_set<std::string>& journals) {
  SpillFileInfo file;
  file.number = number;
  file.state = state;
  file.path = folder.PathOf(number, state);
  struct stat facts = {};
  if (lstat(file.path.c_str(), &facts) != 0) return std::nullopt;
  file.bytes = facts.st_size;
  file.changed_ms = facts.st_mtim.tv_sec * 1000 + facts.st_mtim.tv_nsec / 1'000'000;
  if (journals.empty()) return file;
  for (const fs::path& journal : JournalsOf(file.path)) {
    if (journals.contains(journal.filename())) file.bytes += FileBytes(journal);
  }
  return file;
}

/// An exclusive flock. The kernel drops it when the process dies.
class Flock final : public FileLock::Hold {
 public:
  static Result<FileLock> Take(const fs::path& path, int64_t wait_ms);
  explicit Flock(int fd) : fd_(fd) {}
  Flock(const Flock&) = delete;
  Flock& operator=(const Flock&) = delete;
  ~Flock() override { close(fd_); }

 private:
  const int fd_;
};

Result<FileLock> Flock::Take(const fs::path& path, int64_t wait_ms) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return SystemError(path, "open");
  auto lock = std::make_unique<Flock>(fd);
  GiveToOwnerOfFolder(path);
  const int64_t give_up_ms = SteadyClockMs() + wait_ms;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return SystemError(path, "lock");
    if (SteadyClockMs() >= give_up_ms) return Error{ErrorCode::kBusy, path.native() + " is locked by another process"};
    SleepMs(kLockPollMs);
  }
  return FileLock(std::move(lock));
}

/// Has the file no bytes, or does it not exist?
bool HasNone(const fs::path& path) {
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  return error ? error == std::errc::no_such_file_or_directory : bytes == 0;
}

}  // namespace

Result<DiskFolder> DiskFolder::Open(const fs::path& path) {
  RETURN_IF_ERROR(CreateFolder(path));
  ASSIGN_OR_RETURN(fs::path real, RealFolder(path));
  RETURN_IF_ERROR(CreateFolder(real / "drained"));
  GiveToOwnerOfFolder(real / "drained");
  if (auto drained = RealFolder(real / "drained"); !drained.ok()) return std::move(drained).error();
  return DiskFolder(std::move(real));
}

Result<DiskFolder> DiskFolder::OpenExisting(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return Error{ErrorCode::kNotFound,
                 "there is no spill folder " + path.native() + ": give the folder of the sidecar's --spill-dir"};
  }
  ASSIGN_OR_RETURN(fs::path real, RealFolder(path));
  DiskFolder folder(std::move(real));
  const bool has_state = fs::exists(folder.StatePath(), ignored) || fs::exists(folder.path() / "drained", ignored);
  if (!has_state) {
    ASSIGN_OR_RETURN(const int64_t next, folder.NextNumber());
    if (next == 1) {
      return Error{ErrorCode::kNotFound, path.native() +
                                             " is not a spill folder: it has neither state.sqlite nor drained/ "
                                             "nor a spill file. Give the folder of the sidecar's --spill-dir"};
    }
  }
  return folder;
}

Result<FileLock> DiskFolder::LockForWriting(int64_t wait_ms) const {
  return Flock::Take(path() / "lock", wait_ms);
}

Result<FileLock> DiskFolder::LockForDraining(int64_t wait_ms) const {
  return Flock::Take(path() / "drain.lock", wait_ms);
}

Result<std::unique_ptr<SpillWriter>> DiskFolder::CreateActive(SpillWriterOptions options) const {
  ASSIGN_OR_RETURN(std::unique_ptr<SpillWriter> writer, SqliteWriter::Create(*this, std::move(options)));
  return writer;
}

Result<std::unique_ptr<SpillFile>> DiskFolder::OpenFile(const SpillFileInfo& file) const {
  ASSIGN_OR_RETURN(SqliteFile opened, SqliteFile::Open(file));
  return std::unique_ptr<SpillFile>(std::make_unique<SqliteFile>(std::move(opened)));
}

Result<std::unique_ptr<StateStore>> DiskFolder::OpenState(const FoundInFolder& found) const {
  auto state = OpenSqliteState(StatePath(), found);
  if (state.ok()) RETURN_IF_ERROR(Sync());
  return state;
}

Result<std::unique_ptr<StateStore>> DiskFolder::OpenExistingState() const {
  return OpenExistingSqliteState(StatePath());
}

Result<std::vector<SpillFileInfo>> DiskFolder::List(const std::function<bool(int64_t number)>& wanted) const {
  // drained/ comes last: a file that moves there meanwhile is seen twice rather than not at all.
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(path()));
  ASSIGN_OR_RETURN(const std::vector<std::string> drained_names, NamesIn(path() / "drained"));
  std::vector<std::pair<int64_t, State>> found;
  std::unordered_set<int64_t> suspect;
  std::unordered_set<int64_t> quarantined;
  std::unordered_set<int64_t> offered;
  std::unordered_set<std::string> journals;
  for (const auto* listed : {&names, &drained_names}) {
    const auto is_journal = [](const std::string& name) {
      return name.ends_with("-wal") || name.ends_with("-journal");
    };
    std::copy_if(listed->begin(), listed->end(), std::inserter(journals, journals.end()), is_journal);
  }
  for (const std::string& name : names) {
    if (const int64_t number = NumberOf(name, kActiveSuffix)) found.emplace_back(number, State::kActive);
    if (const int64_t number = NumberOf(name, kSealedSuffix)) found.emplace_back(number, State::kSealed);
    if (const int64_t number = NumberOf(name, kSuspectSuffix)) suspect.insert(number);
    if (const int64_t number = NumberOf(name, kQuarantinedSuffix)) quarantined.insert(number);
    if (const int64_t number = NumberOf(name, kOfferedSuffix)) offered.insert(number);
  }
  for (const std::string& name : drained_names) {
    if (const int64_t number = NumberOf(name, kDrainedSuffix)) found.emplace_back(number, State::kDrained);
  }

  std::map<int64_t, SpillFileInfo> files;
  for (const auto& [number, state] : found) {
    if (!wanted(number)) continue;
    std::optional<SpillFileInfo> file = Describe(*this, number, state, journals);
    if (!file) continue;
    // A marker that a crash left behind says nothing about a drained file: all of its rows are settled.
    file->suspect = state != State::kDrained && suspect.contains(number);
    file->quarantined = state != State::kDrained && quarantined.contains(number);
    file->offered = state == State::kDrained && offered.contains(number);
    const auto [other, is_new] = files.try_emplace(number, std::move(*file));
    if (is_new) continue;  // if not, nothing was moved
    if (Describe(*this, number, other->second.state, journals)) {
      return Error{ErrorCode::kCorrupt, "both " + other->second.path.native() + " and " + file->path.native() +
                                            " exist: move one of them out of the spill folder"};
    }
    other->second = *std::move(file);
  }

  std::vector<SpillFileInfo> sorted;
  sorted.reserve(files.size());
  for (auto& [number, file] : files) sorted.push_back(std::move(file));
  return sorted;
}

Result<int64_t> DiskFolder::NextNumber() const {
  int64_t highest = 0;
  for (const fs::path& folder : {path(), path() / "drained"}) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder));
    for (const std::string& name : names) highest = std::max(highest, NumberIn(name));
  }
  return highest + 1;
}

bool DiskFolder::HasNoBytes(const SpillFileInfo& file) const {
  return HasNone(file.path) && HasNone(WithSuffix(file.path, "-wal"));
}

bool DiskFolder::Has(int64_t number, State state) const {
  struct stat facts = {};
  return lstat(PathOf(number, state).c_str(), &facts) == 0 || errno != ENOENT;
}

Result<int64_t> DiskFolder::TotalBytes() const {
  int64_t bytes = 0;
  for (const fs::path& folder : {path(), path() / "drained"}) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder));
    for (const std::string& name : names) {
      struct stat facts = {};
      if (!name.starts_with(kSpillPrefix)) continue;
      const std::string path = folder.native() + "/" + name;
      if (lstat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) bytes += facts.st_size;
    }
  }
  return bytes;
}

Result<int64_t> DiskFolder::FreeBytes() const {
  struct statvfs facts = {};
  if (statvfs(path().c_str(), &facts) != 0) return SystemError(path(), "ask for the free space of");
  return static_cast<int64_t>(facts.f_bavail) * static_cast<int64_t>(facts.f_frsize);
}

Status DiskFolder::KeepReserve() const {
  struct statvfs facts = {};
  if (statvfs(path().c_str(), &facts) != 0) return SystemError(path(), "ask for the size of");
  const int64_t block = static_cast<int64_t>(facts.f_frsize);
  const int64_t wanted = std::min(kReserveBytes, static_cast<int64_t>(facts.f_blocks) * block / 16);
  const fs::path reserve = path() / kReserveName;
  struct stat found = {};
  if (lstat(reserve.c_str(), &found) == 0 && found.st_size >= wanted) return {};
  // Never the last bytes of a disk that is filling up.
  if (static_cast<int64_t>(facts.f_bavail) * block < 2 * wanted)
    return Error{ErrorCode::kFull, "no room for a reserve in " + path().native()};
  const int fd = open(reserve.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return SystemError(reserve, "create");
  const int error = posix_fallocate(fd, 0, wanted);
  close(fd);
  GiveToOwnerOfFolder(reserve);
  if (error == 0) return {};
  unlink(reserve.c_str());
  errno = error;
  return SystemError(reserve, "allocate");
}

Status DiskFolder::SpendReserve() const {
  ASSIGN_OR_RETURN(const int64_t free, FreeBytes());
  if (free >= kReserveBytes) return {};
  const fs::path reserve = path() / kReserveName;
  if (unlink(reserve.c_str()) != 0 && errno != ENOENT) return SystemError(reserve, "remove");
  return {};
}

Status DiskFolder::MarkSuspect(int64_t number) const {
  return CreateMarker(path() / WithSuffix(StemOf(number), kSuspectSuffix));
}

Status DiskFolder::MarkQuarantined(int64_t number) const {
  return CreateMarker(path() / WithSuffix(StemOf(number), kQuarantinedSuffix));
}

Status DiskFolder::MarkOffered(int64_t number) const {
  return CreateMarker(path() / WithSuffix(StemOf(number), kOfferedSuffix));
}

Status DiskFolder::ClearOffered(int64_t number) const {
  return Delete(path() / WithSuffix(StemOf(number), kOfferedSuffix));
}

Status DiskFolder::Move(int64_t number, State from, State to) const {
  const fs::path source = PathOf(number, from);
  const fs::path target = PathOf(number, to);
  for (const fs::path& journal : JournalsOf(source)) {
    if (HoldsAPart(journal)) {
      return Error{ErrorCode::kBusy,
                   "not renaming " + source.native() + ": " + journal.native() + " has a part of its data"};
    }
    RETURN_IF_ERROR(Delete(journal));
  }
  struct stat ignored = {};
  if (lstat(target.c_str(), &ignored) == 0) {
    return Error{ErrorCode::kIo, "not renaming " + source.native() + ": " + target.native() + " exists"};
  }
  RETURN_IF_ERROR(SyncPath(source));
  if (rename(source.c_str(), target.c_str()) != 0) return SystemError(source, "rename");
  RETURN_IF_ERROR(SyncPath(target.parent_path()));
  RETURN_IF_ERROR(SyncPath(source.parent_path()));
  if (to != State::kDrained) return {};
  RETURN_IF_ERROR(Delete(path() / WithSuffix(StemOf(number), kSuspectSuffix)));
  return Delete(path() / WithSuffix(StemOf(number), kQuarantinedSuffix));
}

Status DiskFolder::Sync() const {
  return SyncPath(path());
}

void DiskFolder::NoteTime(const SpillFileInfo& file, int64_t wall_ms) const {
  const timespec time{wall_ms / 1000, wall_ms % 1000 * 1'000'000};
  const std::array<timespec, 2> times{time, time};
  (void)utimensat(AT_FDCWD, file.path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
}

Status DiskFolder::Remove(const SpillFileInfo& file) const {
  // The database first: a journal without a database is nothing, a database without its journal looks whole and is not.
  RETURN_IF_ERROR(Delete(file.path));
  for (const fs::path& journal : JournalsOf(file.path)) RETURN_IF_ERROR(Delete(journal));
  // Beside a drained file, too: a drain that was killed after its rename left them.
  RETURN_IF_ERROR(Delete(path() / WithSuffix(StemOf(file.number), kSuspectSuffix)));
  RETURN_IF_ERROR(Delete(path() / WithSuffix(StemOf(file.number), kQuarantinedSuffix)));
  RETURN_IF_ERROR(ClearOffered(file.number));
  return SyncPath(file.path.parent_path());
}

}  // namespace sprockets
