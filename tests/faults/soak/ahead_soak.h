// The soak of `--ack disk`: clients, a second writer and an operator, the sidecar and a Redis that forgets, under a
// plan of faults that a seed draws. After each round everything is healed, nobody does anything, and the books are
// compared when the journals have landed. A few rounds share a stage: then Redis, folder and books begin anew, since
// each loss of everything sends all of them again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "tests/faults/soak/ahead_books.h"
#include "tests/faults/soak/other_hands.h"
#include "tests/faults/soak/plan.h"
#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::soak {

class AheadSoak {
 public:
  explicit AheadSoak(uint64_t seed);

  /// Throws in words where a promise is broken.
  void RunRound();
  std::string Progress() const;
  /// How often each thing happened, as lines of a table.
  std::string Table() const;
  std::string LastWords();

 private:
  struct Stage {
    /// One Redis forgets what was not saved, and the journals keep everything; the other one keeps everything, and the
    /// journals go when they have landed.
    explicit Stage(bool redis_forgets);

    const harness::TempDir secrets;
    harness::Stack stack;
    harness::Ledger ledger;
    Operator hands;
  };

  void Strike(const Event& event);
  void TakeRights(const Event& event);
  /// Whatever the sidecar writes to may not grow any more, for a while.
  void LimitFiles(int lasts_ms);
  void AwaitLanded();
  void Check();
  /// From the log, because a life's counters go with it.
  std::map<std::string, Decided> WhatWasDecided();

  Planner planner_;
  bool redis_forgets_;
  std::unique_ptr<Stage> stage_;
  AheadComparison books_;                   // after the last round of this stage
  std::map<std::string, size_t> before_;    // what the books of earlier stages add up to
  std::map<std::string_view, int> struck_;  // by the blow's name
  uint64_t next_event_ = 0;
  int rounds_ = 0;
};

}  // namespace sprockets::soak
