// The soak of events: clients, sidecar, drains and Redis under a plan of faults that a seed draws, round after round
// over the same files. After each round everything is healed and drained, and the books are compared: nothing lost,
// nothing doubled, nothing left behind.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/faults/soak/drains.h"
#include "tests/faults/soak/plan.h"
#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::soak {

class EventSoak {
 public:
  explicit EventSoak(uint64_t seed);

  /// Throws in words where a promise is broken.
  void RunRound();
  /// What the rounds until now have shown, in a line.
  std::string Progress() const;
  /// How often each thing happened, as lines of a table.
  std::string Table() const;
  /// How sidecar and Redis are, after a failure.
  std::string LastWords();

 private:
  void ExpectEndsWell();
  void Strike(const Event& event);
  /// Of the sidecar's user what makes it spill, of the drain's what it asks Redis with. (Without CLIENT KILL, or for a
  /// sidecar that starts without XREVRANGE, nothing is promised.)
  void TakeRights(const Event& event);
  /// Redis and the network are well again; what is left is drained by a replayer that nobody kills.
  void Heal();
  /// Of the drained files that are still there. Where a server refuses a drain's events for a moment, those behind them
  /// that were on their way already go first; so no order is expected of such a round.
  void NoteTicketsNeverSent();
  std::set<std::string> Files() const;
  void Check();

  Planner planner_;
  const std::string window_;
  const harness::TempDir secrets_;
  harness::Stack stack_;
  harness::Ledger ledger_;
  harness::Ledger::Comparison books_;  // after the last round
  Drains drains_;
  std::map<Blow, int> struck_;
  std::set<std::string> never_sent_;  // tickets of events that were spilled at once
  bool disordered_ = false;           // in this round a drain had to leave the order, or led streams elsewhere
  std::set<std::string> files_;       // of an idle sidecar, as is
  size_t descriptors_ = 0;
  uint64_t next_event_ = 0;
  int rounds_ = 0;
};

}  // namespace sprockets::soak
