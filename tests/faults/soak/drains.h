// The replayer of the event soak: it drains while faults strike, is killed, or comes to its end and is judged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "shared/spill/folder.h"
#include "tests/faults/soak/plan.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::soak {

inline constexpr char kLedSuffix[] = ":led";  // --rename

class Drains {
 public:
  /// `stack` must outlive it.
  Drains(harness::Stack& stack, std::filesystem::path password_file);

  bool running() const { return replayer_ && replayer_->Running(); }
  /// Starts a drain unless one runs. True: one was started that leads a stream elsewhere, which leaves the order.
  bool EnsureRuns(const DrainPlan& plan);
  /// With -9.
  void Kill() { replayer_.reset(); }
  /// Gives it some time to end by itself, or on SIGTERM if it would never.
  void Await();
  /// One that still runs is killed, one that has ended is judged.
  void End();

  int begun() const { return begun_; }
  /// Those that said verified, and were right.
  int verified() const { return verified_; }

 private:
  std::vector<SpillFileInfo> Files() const;
  /// A drain has ended by itself. If it says verified, then every row of every drained file is in its stream, once, and
  /// what waited when it began waits no more.
  void Judge();

  harness::Stack& stack_;
  const std::filesystem::path password_file_;
  std::vector<std::string> streams_;  // that there are
  std::unique_ptr<harness::Process> replayer_;
  std::set<int64_t> waited_;  // files that the running drain has to take
  bool follows_ = false;
  int begun_ = 0;
  int verified_ = 0;
};

}  // namespace sprockets::soak
