// LogSync without a thread: a sync comes at once, or with the next one, or when somebody waits for it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sidecar/disk/log_sync.h"
#include "sidecar/disk/spill_jobs.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

class SimulatedSync final : public LogSync {
 public:
  SimulatedSync(World* world, PostCompletions post) : world_(world), post_(std::move(post)) {}

  void Add(std::shared_ptr<SpillLog> log, std::vector<SpillOutcome> outcomes) override;
  void Finish() override;
  std::optional<Failed> TakeFailed() override { return std::exchange(failed_, std::nullopt); }
  bool has_failed() const { return failed_.has_value(); }

 private:
  struct Unsynced {
    std::shared_ptr<SpillLog> log;
    std::vector<SpillOutcome> outcomes;
  };
  void Fail(const Error& error, std::vector<SpillOutcome> outcomes);

  World* const world_;
  const PostCompletions post_;
  std::vector<Unsynced> queue_;
  std::shared_ptr<SpillLog> failed_log_;
  std::optional<Failed> failed_;
};

}  // namespace sprockets::sim
