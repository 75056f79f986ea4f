#include "tests/harness/supervise.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include "tests/harness/temp_dir.h"

namespace sprockets::harness {
namespace {

[[noreturn]] void RunChild(const TempDir& folder, const sigset_t& signals, const std::function<int()>& body) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  setenv("TMPDIR", folder.path().c_str(), 1);
  std::exit(body());
}

// Until the child has ended or somebody wants us to: its exit code, else 128 + signal.
int WaitForChildOrSignal(pid_t child, const sigset_t& signals) {
  for (;;) {
    const int signal = sigwaitinfo(&signals, nullptr);
    if (signal < 0) continue;  // stopped and continued
    if (signal != SIGCHLD) return 128 + signal;
    int status = 0;
    if (waitpid(child, &status, WNOHANG) != child) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

// We are their subreaper, so the orphans of whatever we kill become our children, until there are none.
void KillDescendants() {
  const std::string children = "/proc/self/task/" + std::to_string(getpid()) + "/children";
  for (;;) {
    std::ifstream list(children);
    for (pid_t child = 0; list >> child;) kill(child, SIGKILL);
    if (waitpid(-1, nullptr, 0) < 0 && errno == ECHILD) return;
  }
}

}  // namespace

int RunSupervised(const std::function<int()>& body) {
  const TempDir folder;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  const pid_t child = fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) RunChild(folder, signals, body);
  const int exit_code = WaitForChildOrSignal(child, signals);
  KillDescendants();
  return exit_code;
}

}  // namespace sprockets::harness
