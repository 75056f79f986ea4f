// A library for LD_PRELOAD: it counts the calls by which a program changes files and speaks to others, and makes one of
// them go wrong. The position is counted over the whole process: strace can inject, too, but counts for each thread, so
// that the first calls of a second thread can never be struck.
//
// FAULT_FOLDER  files below it count
// FAULT_CALLS   which calls count, as a comma list of: write sync create rename unlink truncate send
// FAULT_AT      strike at the n-th of them; 0: only count
// FAULT_DO      kill (before the call), tear (half a write, then kill), delay:MS, or an error: EIO ENOSPC EMFILE EINTR
// FAULT_TIMES   how many calls in a row are struck; 0: all from then on
// FAULT_REPORT  a file that gets a line for the first call struck
// FAULT_ARMED   calls count from the moment on when this file exists; not set: from the start
// FAULT_CLOCK   a file that says how many seconds the wall clock is wrong; read anew each time
// FAULT_BURST   of so many writes to one file in a row, the later ones count as one; 0: each counts
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <signal.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

namespace {

enum class Deed { kNothing, kKill, kTear, kDelay, kFail };

std::string Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int ErrorOf(std::string_view name) {
  if (name == "EIO") return EIO;
  if (name == "ENOSPC") return ENOSPC;
  if (name == "EMFILE") return EMFILE;
  if (name == "EINTR") return EINTR;
  return 0;
}

struct Plan {
  std::string folder = Setting("FAULT_FOLDER");
  std::string calls = "," + Setting("FAULT_CALLS") + ",";
  std::string report = Setting("FAULT_REPORT");
  long at = std::atol(Setting("FAULT_AT").c_str());
  long times = std::atol(Setting("FAULT_TIMES").c_str());
  std::string armed = Setting("FAULT_ARMED");
  std::string clock = Setting("FAULT_CLOCK");
  long burst = std::atol(Setting("FAULT_BURST").c_str());
  Deed deed = Deed::kNothing;
  int error = 0;
  long delay_ms = 0;

  Plan() {
    const std::string what = Setting("FAULT_DO");
    constexpr std::string_view kDelay = "delay:";
    if (what == "kill") deed = Deed::kKill;
    if (what == "tear") deed = Deed::kTear;
    if (what.starts_with(kDelay)) {
      deed = Deed::kDelay;
      delay_ms = std::atol(what.c_str() + kDelay.size());
    }
    error = ErrorOf(what);
    if (error != 0) deed = Deed::kFail;
  }
};

const Plan& ThePlan() {
  static const Plan& plan = *new Plan;  // never destroyed: calls are made while the process exits
  return plan;
}

std::atomic<long> counted_calls = 0;
std::atomic<int> last_written = -1;  // the descriptor; any other call ends the burst
std::atomic<long> burst_length = 0;

// A state file is laid out by hundreds of writes in a row, and to die at one is to die at the next.
bool IsInBurst(std::string_view call, int fd) {
  const int writes_to = call == "write" ? fd : -1;
  const bool goes_on = last_written.exchange(writes_to) == writes_to && writes_to != -1;
  burst_length = goes_on ? burst_length + 1 : 1;
  return ThePlan().burst != 0 && burst_length > ThePlan().burst;
}

bool IsArmed() {
  static std::atomic<bool> armed = false;
  if (!armed) armed = ThePlan().armed.empty() || syscall(SYS_access, ThePlan().armed.c_str(), F_OK) == 0;
  return armed;
}

void Report(const char* call, const std::string& object, long position) {
  const std::string line = std::to_string(position) + " " + call + " " + object + "\n";
  const long fd = syscall(SYS_openat, AT_FDCWD, ThePlan().report.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd < 0) return;
  syscall(SYS_write, fd, line.data(), line.size());
  syscall(SYS_close, fd);
}

void Die() {
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

// What happens to this call. An error stands in errno then.
Deed DeedFor(const char* call, const std::string& object, int fd = -1) {
  const Plan& plan = ThePlan();
  const int saved = errno;
  const bool counts = IsArmed() && !IsInBurst(call, fd);
  errno = saved;
  if (!counts) return Deed::kNothing;
  if (plan.calls.find("," + std::string(call) + ",") == std::string::npos) return Deed::kNothing;
  const long position = ++counted_calls;
  if (plan.at == 0 || position < plan.at) return Deed::kNothing;
  if (plan.times != 0 && position >= plan.at + plan.times) return Deed::kNothing;
  if (position == plan.at) Report(call, object, position);
  if (plan.deed == Deed::kKill) Die();
  if (plan.deed == Deed::kDelay) {
    const timespec pause = {plan.delay_ms / 1000, plan.delay_ms % 1000 * 1'000'000};
    nanosleep(&pause, nullptr);
  }
  errno = plan.error;
  return plan.deed;
}

// A path as it counts: below the folder, else empty.
std::string Counted(const std::string& path) {
  const std::string& folder = ThePlan().folder;
  return !folder.empty() && path.starts_with(folder) ? path.substr(folder.size()) : "";
}

std::string PathOf(int fd) {
  char path[PATH_MAX];
  const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "";
}

// What a descriptor leads to, and by which name writing to it counts.
struct Target {
  const char* call = nullptr;
  std::string object;
};

Target TargetOf(int fd) {
  const int saved = errno;
  struct stat facts = {};
  Target target;
  if (fstat(fd, &facts) == 0 && S_ISSOCK(facts.st_mode)) {
    target = {"send", "socket"};
  } else if (S_ISREG(facts.st_mode)) {
    if (std::string path = Counted(PathOf(fd)); !path.empty()) target = {"write", std::move(path)};
  }
  errno = saved;
  return target;
}

// Any way of writing: `whole` does all of it, `half` half of it.
template <typename Whole, typename Half>
ssize_t Write(int fd, const Whole& whole, const Half& half) {
  const Target target = TargetOf(fd);
  if (target.call == nullptr) return whole();
  switch (DeedFor(target.call, target.object, fd)) {
    case Deed::kTear:
      half();
      Die();
      return -1;
    case Deed::kFail:
      return -1;
    default:
      return whole();
  }
}

// Any other call: on a descriptor or a path that counts.
template <typename Call>
int Do(const char* name, const std::string& object, const Call& call) {
  if (object.empty()) return static_cast<int>(call());
  const Deed deed = DeedFor(name, object);
  if (deed == Deed::kTear) Die();
  return deed == Deed::kFail ? -1 : static_cast<int>(call());
}

int OpenAt(int folder, const char* path, int flags, mode_t mode) {
  const auto call = [&] { return syscall(SYS_openat, folder, path, flags, mode); };
  if ((flags & O_CREAT) == 0) return static_cast<int>(call());
  return Do("create", Counted(path), call);
}

// By how much the wall clock is wrong now.
time_t ClockOffset() {
  const std::string& path = ThePlan().clock;
  if (path.empty()) return 0;
  const long fd = syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY);
  if (fd < 0) return 0;
  char text[32] = {};
  syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  return std::atol(text);
}

mode_t ModeOf(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  return Write(
      fd, [=] { return syscall(SYS_write, fd, bytes, count); },
      [=] { return syscall(SYS_write, fd, bytes, count / 2); });
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) {
  return Write(
      fd, [=] { return syscall(SYS_pwrite64, fd, bytes, count, at); },
      [=] { return syscall(SYS_pwrite64, fd, bytes, count / 2, at); });
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  return pwrite64(fd, bytes, count, at);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  return Write(
      fd, [=] { return syscall(SYS_writev, fd, parts, count); },
      [=] { return syscall(SYS_write, fd, parts[0].iov_base, parts[0].iov_len / 2); });
}

ssize_t sendto(int fd, const void* bytes, size_t count, int flags, const sockaddr* to, socklen_t to_length) {
  return Write(
      fd, [=] { return syscall(SYS_sendto, fd, bytes, count, flags, to, to_length); },
      [=] { return syscall(SYS_sendto, fd, bytes, count / 2, flags, to, to_length); });
}

ssize_t send(int fd, const void* bytes, size_t count, int flags) {
  return sendto(fd, bytes, count, flags, nullptr, 0);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  const auto whole = [=] { return syscall(SYS_sendmsg, fd, message, flags); };
  return Write(fd, whole, [] { return 0; });
}

int fdatasync(int fd) {
  return Do("sync", Counted(PathOf(fd) + "/"), [=] { return syscall(SYS_fdatasync, fd); });
}

int fsync(int fd) {
  return Do("sync", Counted(PathOf(fd) + "/"), [=] { return syscall(SYS_fsync, fd); });
}

int ftruncate64(int fd, off64_t length) noexcept {
  return Do("truncate", Counted(PathOf(fd)), [=] { return syscall(SYS_ftruncate, fd, length); });
}

int ftruncate(int fd, off_t length) noexcept {
  return ftruncate64(fd, length);
}

int rename(const char* from, const char* to) noexcept {
  return Do("rename", Counted(from), [=] { return syscall(SYS_rename, from, to); });
}

int unlink(const char* path) noexcept {
  return Do("unlink", Counted(path), [=] { return syscall(SYS_unlink, path); });
}

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += ClockOffset();
  return static_cast<int>(result);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return OpenAt(AT_FDCWD, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return OpenAt(AT_FDCWD, path, flags, mode);
}

}  // extern "C"
