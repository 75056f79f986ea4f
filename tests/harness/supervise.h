// Leaves nothing behind, whatever happens to the program: neither processes nor files.
#pragma once

#include <functional>

namespace sprockets::harness {

/// Runs `body` in a child process with a temporary folder as its TMPDIR, and returns its exit code. When the child has
/// ended, or when SIGINT, SIGTERM or SIGHUP arrives, every process that it left is killed and the folder removed.
/// Single-threaded callers only.
int RunSupervised(const std::function<int()>& body);

}  // namespace sprockets::harness
