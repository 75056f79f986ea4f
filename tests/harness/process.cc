#include "tests/harness/process.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sprockets::harness {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> OurEnvironmentAnd(const std::vector<std::string>& more) {
  std::vector<std::string> all = more;  // first, so that getenv finds ours before an inherited one
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

int OpenForAppending(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), path.string());
  return fd;
}

// Between fork and exec only async-signal-safe calls are allowed: other threads may hold any lock.
[[noreturn]] void BecomeProgram(pid_t parent, int out, int err, char** argv, char** env) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  execvpe(argv[0], argv, env);
  _exit(127);
}

}  // namespace

Process::Process(Options options) : options_(std::move(options)) {
  std::vector<std::string> environment = OurEnvironmentAnd(options_.environment);
  std::vector<char*> argv = Pointers(options_.command);
  std::vector<char*> env = Pointers(environment);
  const int out = OpenForAppending(options_.output.string() + ".stdout");
  const int err = OpenForAppending(options_.output.string() + ".stderr");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) BecomeProgram(parent, out, err, argv.data(), env.data());
  close(out);
  close(err);
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  setpgid(pid_, pid_);  // the child does it too: whoever comes first, no signal goes astray
}

Process::~Process() {
  if (Running()) Kill9();
}

void Process::Signal(int signal) {
  if (Running()) kill(-pid_, signal);
}

// The signal reaches a thread that is running only when that thread next enters the kernel.
void Process::Stop() {
  if (!Running()) return;
  Signal(SIGSTOP);
  siginfo_t stopped;
  waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED | WEXITED | WNOWAIT);
}
void Process::Continue() {
  Signal(SIGCONT);
}

void Process::Kill9() {
  Signal(SIGKILL);
  if (!exit_code_) {
    int status = 0;
    waitpid(pid_, &status, 0);
    exit_code_ = 128 + SIGKILL;
  }
}

std::optional<int> Process::TryWait() {
  if (exit_code_) return exit_code_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

std::optional<int> Process::Wait(std::chrono::milliseconds limit) {
  WaitUntil([this] { return TryWait().has_value(); }, limit);
  return exit_code_;
}

std::string Process::Stdout() const {
  return ReadWholeFile(options_.output.string() + ".stdout");
}
std::string Process::Stderr() const {
  return ReadWholeFile(options_.output.string() + ".stderr");
}

RunResult Run(std::vector<std::string> command, const std::filesystem::path& folder, std::chrono::milliseconds limit) {
  static std::atomic<int> runs = 0;
  const std::string name = std::filesystem::path(command.front()).filename();
  const std::string shown = command.size() > 1 ? name + " " + command[1] : name;
  Process process(
      {.command = std::move(command), .output = folder / (name + "-" + std::to_string(++runs)), .environment = {}});
  const std::optional<int> exit_code = process.Wait(limit);
  if (!exit_code)
    throw std::runtime_error(shown + " did not end in " + std::to_string(limit.count()) + "ms: " + process.Stderr());
  return {.exit_code = *exit_code, .out = process.Stdout(), .err = process.Stderr()};
}

std::string ReadWholeFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

size_t ResidentKib(pid_t pid) {
  const std::string status = ReadWholeFile("/proc/" + std::to_string(pid) + "/status");
  const size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 6, nullptr, 10);
}

}  // namespace sprockets::harness
