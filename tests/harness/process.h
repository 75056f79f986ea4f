// A child process that cannot be left behind: killed with its object, and by the kernel if we die first.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "tests/harness/wait.h"

namespace sprockets::harness {

/// Runs in a process group of its own, which receives the signals, so that a Ctrl-C on the terminal goes past it. Its
/// output goes to files, so nobody has to read it for it to go on. The kernel ties the child's life to the *thread*
/// that starts it: start processes on a thread that outlives them.
class Process {
 public:
  struct Options {
    std::vector<std::string> command;      // the program, searched in PATH, and its arguments
    std::filesystem::path output;          // stdout is appended to <output>.stdout, stderr to <output>.stderr
    std::vector<std::string> environment;  // NAME=value, in addition to ours
  };

  explicit Process(Options options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool Running() { return !TryWait().has_value(); }

  void Signal(int signal);
  void Stop();
  void Continue();
  /// SIGKILL, and waits until it is gone.
  void Kill9();

  /// The exit code, 128 + signal if a signal ended it, or nothing if it still runs when `limit` has passed.
  std::optional<int> Wait(std::chrono::milliseconds limit = kPatience);

  std::string Stdout() const;
  std::string Stderr() const;

 private:
  std::optional<int> TryWait();

  Options options_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

struct RunResult {
  int exit_code = -1;
  std::string out;
  std::string err;
};

/// Runs a command to its end; its output files are made in `folder`. One that takes longer than `limit` is killed, and
/// that is an exception.
RunResult Run(std::vector<std::string> command, const std::filesystem::path& folder,
              std::chrono::milliseconds limit = std::chrono::minutes(2));

std::string ReadWholeFile(const std::filesystem::path& path);

/// The memory that a process holds, in KiB; 0: it is gone.
size_t ResidentKib(pid_t pid);

}  // namespace sprockets::harness
