// Names, markers, locks and renames in the spill folder. Any thread: nothing is kept in memory but the path.
#include "shared/spill/folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <unordered_set>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/files.h"

namespace sprockets {
namespace {

namespace fs = std::filesystem;
using State = SpillFileInfo::State;

constexpr std::string_view kPrefix = "spill-";
constexpr std::string_view kActiveSuffix = ".active.sqlite";
constexpr std::string_view kSealedSuffix = ".sealed.sqlite";
constexpr std::string_view kDrainedSuffix = ".sqlite";
constexpr std::string_view kSuspectSuffix = ".suspect";
constexpr std::string_view kQuarantinedSuffix = ".quarantined";
constexpr std::string_view kOfferedSuffix = ".offered";
constexpr std::string_view kReserveName = "reserve";
constexpr int64_t kReserveBytes = 16 * 1024 * 1024;  // a WAL at its limit, checkpointed, and a rollback journal
constexpr auto kLockPoll = std::chrono::milliseconds(50);

Error SystemError(const fs::path& path, std::string_view action) {
  const int number = errno;
  const ErrorCode code = CodeOfSystemError(number);
  const std::string owner = code == ErrorCode::kForbidden ? WhoOwns(path) : "";
  return {code, "cannot " + std::string(action) + " " + path.native() + ": " + std::generic_category().message(number) +
                    (owner.empty() ? "" : ": " + owner)};
}

std::string Stem(int64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "spill-%06lld", static_cast<long long>(number));
  return text;
}

/// The number in a name that begins as ours do, whatever follows it; 0 if there is none.
int64_t NumberIn(std::string_view name) {
  if (!name.starts_with(kPrefix)) return 0;
  name.remove_prefix(kPrefix.size());
  int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && number > 0 && end != name.data() + name.size() && *end == '.' ? number : 0;
}

/// The number of a file in exactly this form; 0 for every other name.
int64_t NumberOf(std::string_view name, std::string_view suffix) {
  const int64_t number = NumberIn(name);
  return number > 0 && name == Stem(number).append(suffix) ? number : 0;
}

/// Bytes of a file; 0 if there is none.
int64_t BytesOf(const fs::path& path) {
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
  if (BytesOf(journal) == 0) return false;
  if (!journal.native().ends_with("-journal")) return true;
  const int fd = open(journal.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  char first = 1;
  const bool is_finished = read(fd, &first, 1) == 1 && first == 0;
  close(fd);
  return !is_finished;
}

/// A file as it lies there; nothing if it has moved on since the folder was listed.
std::optional<SpillFileInfo> Describe(const SpillFolder& folder, int64_t number, State state) {
  SpillFileInfo file;
  file.number = number;
  file.state = state;
  file.path = folder.PathOf(number, state);
  struct stat facts = {};
  if (lstat(file.path.c_str(), &facts) != 0) return std::nullopt;
  file.bytes = facts.st_size;
  for (const fs::path& journal : JournalsOf(file.path)) file.bytes += BytesOf(journal);
  return file;
}

}  // namespace

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

Result<FileLock> FileLock::Take(const fs::path& path, int64_t wait_ms) {
  FileLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.held()) return SystemError(path, "open");
  GiveToOwnerOfFolder(path);
  const int64_t give_up_ms = SteadyClockMs() + wait_ms;
  while (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return SystemError(path, "lock");
    if (SteadyClockMs() >= give_up_ms) return Error{ErrorCode::kBusy, path.native() + " is locked by another process"};
    std::this_thread::sleep_for(kLockPoll);
  }
  return lock;
}

Result<SpillFolder> SpillFolder::Open(const fs::path& path) {
  RETURN_IF_ERROR(CreateFolder(path));
  ASSIGN_OR_RETURN(fs::path real, RealFolder(path));
  RETURN_IF_ERROR(CreateFolder(real / "drained"));
  GiveToOwnerOfFolder(real / "drained");
  if (auto drained = RealFolder(real / "drained"); !drained.ok()) return std::move(drained).error();
  return SpillFolder(std::move(real));
}

Result<SpillFolder> SpillFolder::OpenExisting(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return Error{ErrorCode::kNotFound,
                 "there is no spill folder " + path.native() + ": give the folder of the sidecar's --spill-dir"};
  }
  ASSIGN_OR_RETURN(fs::path real, RealFolder(path));
  SpillFolder folder(std::move(real));
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

fs::path SpillFolder::PathOf(int64_t number, State state) const {
  const std::string stem = Stem(number);
  switch (state) {
    case State::kActive:
      return path_ / WithSuffix(stem, kActiveSuffix);
    case State::kSealed:
      return path_ / WithSuffix(stem, kSealedSuffix);
    case State::kDrained:
      break;
  }
  return path_ / "drained" / WithSuffix(stem, kDrainedSuffix);
}

Result<FileLock> SpillFolder::LockForWriting(int64_t wait_ms) const {
  return FileLock::Take(path_ / "lock", wait_ms);
}

Result<FileLock> SpillFolder::LockForDraining(int64_t wait_ms) const {
  return FileLock::Take(path_ / "drain.lock", wait_ms);
}

Result<std::vector<SpillFileInfo>> SpillFolder::List() const {
  return List([](int64_t) { return true; });
}

Result<std::vector<SpillFileInfo>> SpillFolder::List(const std::function<bool(int64_t number)>& wanted) const {
  // drained/ comes last: a file that moves there meanwhile is seen twice rather than not at all.
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(path_));
  ASSIGN_OR_RETURN(const std::vector<std::string> drained_names, NamesIn(path_ / "drained"));
  std::vector<std::pair<int64_t, State>> found;
  std::unordered_set<int64_t> suspect;
  std::unordered_set<int64_t> quarantined;
  std::unordered_set<int64_t> offered;
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
    std::optional<SpillFileInfo> file = Describe(*this, number, state);
    if (!file) continue;
    // A marker that a crash left behind says nothing about a drained file: all of its rows are settled.
    file->suspect = state != State::kDrained && suspect.contains(number);
    file->quarantined = state != State::kDrained && quarantined.contains(number);
    file->offered = state == State::kDrained && offered.contains(number);
    const auto [other, is_new] = files.try_emplace(number, *file);
    if (is_new) continue;
    if (Describe(*this, number, other->second.state)) {
      return Error{ErrorCode::kCorrupt, "both " + other->second.path.native() + " and " + file->path.native() +
                                            " exist: move one of them out of the spill folder"};
    }
    other->second = *std::move(file);
  }

  std::vector<SpillFileInfo> sorted;
  for (auto& [number, file] : files) sorted.push_back(std::move(file));
  return sorted;
}

Result<int64_t> SpillFolder::NextNumber() const {
  int64_t highest = 0;
  for (const fs::path& folder : {path_, path_ / "drained"}) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder));
    for (const std::string& name : names) highest = std::max(highest, NumberIn(name));
  }
  return highest + 1;
}

bool SpillFolder::Has(int64_t number, State state) const {
  struct stat facts = {};
  return lstat(PathOf(number, state).c_str(), &facts) == 0 || errno != ENOENT;
}

Result<int64_t> SpillFolder::TotalBytes() const {
  int64_t bytes = 0;
  for (const fs::path& folder : {path_, path_ / "drained"}) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder));
    for (const std::string& name : names) {
      struct stat facts = {};
      if (!name.starts_with(kPrefix)) continue;
      if (lstat((folder / name).c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) bytes += facts.st_size;
    }
  }
  return bytes;
}

Result<int64_t> SpillFolder::FreeBytes() const {
  struct statvfs facts = {};
  if (statvfs(path_.c_str(), &facts) != 0) return SystemError(path_, "ask for the free space of");
  return static_cast<int64_t>(facts.f_bavail) * static_cast<int64_t>(facts.f_frsize);
}

Status SpillFolder::KeepReserve() const {
  struct statvfs facts = {};
  if (statvfs(path_.c_str(), &facts) != 0) return SystemError(path_, "ask for the size of");
  const int64_t block = static_cast<int64_t>(facts.f_frsize);
  const int64_t wanted = std::min(kReserveBytes, static_cast<int64_t>(facts.f_blocks) * block / 16);
  const fs::path path = path_ / kReserveName;
  struct stat found = {};
  if (lstat(path.c_str(), &found) == 0 && found.st_size >= wanted) return {};
  // Never the last bytes of a disk that is filling up.
  if (static_cast<int64_t>(facts.f_bavail) * block < 2 * wanted)
    return Error{ErrorCode::kFull, "no room for a reserve in " + path_.native()};
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return SystemError(path, "create");
  const int error = posix_fallocate(fd, 0, wanted);
  close(fd);
  GiveToOwnerOfFolder(path);
  if (error == 0) return {};
  unlink(path.c_str());
  errno = error;
  return SystemError(path, "allocate");
}

Status SpillFolder::SpendReserve() const {
  ASSIGN_OR_RETURN(const int64_t free, FreeBytes());
  if (free >= kReserveBytes) return {};
  const fs::path path = path_ / kReserveName;
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError(path, "remove");
  return {};
}

Status SpillFolder::MarkSuspect(int64_t number) const {
  return CreateMarker(path_ / WithSuffix(Stem(number), kSuspectSuffix));
}

Status SpillFolder::MarkQuarantined(int64_t number) const {
  return CreateMarker(path_ / WithSuffix(Stem(number), kQuarantinedSuffix));
}

Status SpillFolder::MarkOffered(int64_t number) const {
  return CreateMarker(path_ / WithSuffix(Stem(number), kOfferedSuffix));
}

Status SpillFolder::ClearOffered(int64_t number) const {
  return Delete(path_ / WithSuffix(Stem(number), kOfferedSuffix));
}

Status SpillFolder::Move(int64_t number, State from, State to) const {
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
  RETURN_IF_ERROR(Delete(path_ / WithSuffix(Stem(number), kSuspectSuffix)));
  return Delete(path_ / WithSuffix(Stem(number), kQuarantinedSuffix));
}

Status SpillFolder::Sync() const {
  return SyncPath(path_);
}

Status SpillFolder::Remove(const SpillFileInfo& file) const {
  // The database first: a journal without a database is nothing, a database without its journal looks whole and is not.
  RETURN_IF_ERROR(Delete(file.path));
  for (const fs::path& journal : JournalsOf(file.path)) RETURN_IF_ERROR(Delete(journal));
  // Beside a drained file, too: a drain that was killed after its rename left them.
  RETURN_IF_ERROR(Delete(path_ / WithSuffix(Stem(file.number), kSuspectSuffix)));
  RETURN_IF_ERROR(Delete(path_ / WithSuffix(Stem(file.number), kQuarantinedSuffix)));
  RETURN_IF_ERROR(ClearOffered(file.number));
  return SyncPath(file.path.parent_path());
}

}  // namespace sprockets
