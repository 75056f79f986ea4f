// The sidecar of --ack disk without its sockets: the real start-up, acceptor, window, journal, forwarder and spill
// store, driven step by step over the world's disk. What it sends to Redis, and whom it answers, is its owner's.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/ahead/forwarder.h"
#include "shared/journal/journal_pages.h"
#include "shared/spill/start_up.h"
#include "sidecar/core/acceptor.h"
#include "sidecar/core/journal.h"
#include "sidecar/disk/spill_store.h"
#include "tests/faults/simulation/disk.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

/// Hears what the sidecar does with the events.
class AheadWitness {
 public:
  virtual ~AheadWitness() = default;
  virtual void Answered(uint64_t slot, std::string_view resp) = 0;
  virtual void Moves() = 0;
  virtual void Rejects(const std::string& event_id) = 0;
};

class AheadSidecar : public ReplySink, public SpillSink, public JournalWork {
 public:
  struct Options {
    ForwarderOptions forwarder;
    size_t page_rows = 3;
    int64_t retain_ms = 24 * 60 * 60 * 1000;
  };
  AheadSidecar(World* world, AheadWitness* witness, ForwarderLink* link, ForwarderNotices* notices);
  ~AheadSidecar() override;

  /// False: the disk does not let it.
  bool Start(const Options& options);
  /// kill -9.
  void Die();
  bool running() const { return forwarder_ != nullptr; }
  Forwarder& forwarder() { return *forwarder_; }
  const Forwarder& forwarder() const { return *forwarder_; }

  // Each is one step of the loop, or of a thread.
  void Accept(uint64_t slot, const std::vector<std::string_view>& xadd, LoopTime now);
  void RunDisk();
  void GivePage();
  void NoteMarks() { jobs_.emplace_back(LandedJob{forwarder_->TakeMarks()}); }
  void EverySecond(LoopTime now);
  void Seal() { jobs_.emplace_back(SealJob{}); }
  /// Nothing is on its way to the disk or back.
  bool quiet() const { return jobs_.empty() && pages_.empty() && acceptor_->unanswered() == 0 && !reads_folder_; }

  // ReplySink
  void Reply(uint64_t slot, std::string_view resp) override { witness_->Answered(slot, resp); }

 private:
  // SpillSink, JournalWork
  void Spill(SpillRequest request) override { jobs_.emplace_back(std::move(request)); }
  void ReadPage(JournalRead read) override;
  void SealActive() override { Seal(); }
  void SpillMoved(SpillRequest request) override;
  void KeepRejected(const std::string& stream, int64_t ticket, std::string_view why) override;

  World* const world_;
  AheadWitness* const witness_;
  ForwarderLink* const link_;
  ForwarderNotices* const notices_;
  const SimulatedFolder folder_;
  std::unique_ptr<OpenedFolder> opened_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<SpillStore> store_;
  std::unique_ptr<JournalPages> journal_pages_;
  std::vector<SpillJob> jobs_;
  std::deque<SpillCompletion> done_;
  std::deque<JournalRead> pages_;  // asked for
  bool reads_folder_ = false;
  bool has_salvaged_ = false;
  int lives_ = 0;
};

}  // namespace sprockets::sim
