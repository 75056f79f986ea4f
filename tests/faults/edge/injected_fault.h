// How a test asks for one system call of the sidecar or the replayer to go wrong.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sprockets::harness {

/// Everything by which a program changes its files, and what it says to others.
inline constexpr char kEveryCall[] = "write,sync,create,rename,unlink,truncate,send";

struct InjectedFault {
  std::string calls = kEveryCall;  // which calls count; the injector's own text lists the words
  std::string deed;                // kill, tear, delay:MS, EIO, ENOSPC, …
  int at = 1;                      // the n-th of them, over all threads
  int times = 1;                   // so many in a row; 0: all from then on
  int burst = 0;  // of so many writes to one file in a row, the later ones count as one; 0: each counts
  std::filesystem::path armed = {};  // calls count from the moment on when this file exists; empty: from the start

  /// The words to put before a command. Only files below `folder`, and sockets, count. The first call that is struck is
  /// described in `report`, which must not be below it.
  std::vector<std::string> Prefix(const std::filesystem::path& folder, const std::filesystem::path& report) const;
};

/// What was struck: "12 sync /spill-000001.active.sqlite-wal". Empty if the run ended before.
std::string ReadReport(const std::filesystem::path& report);

}  // namespace sprockets::harness
