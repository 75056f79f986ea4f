#include "tests/faults/simulation/sync.h"

#include <iterator>

namespace sprockets::sim {

void SimulatedSync::Add(std::shared_ptr<SpillLog> log, std::vector<SpillOutcome> outcomes) {
  queue_.push_back({std::move(log), std::move(outcomes)});
  if (world_->Chance(500)) Finish();
}

void SimulatedSync::Finish() {
  if (queue_.empty()) return;
  const std::shared_ptr<SpillLog> log = queue_.front().log;
  const Status synced = log == failed_log_ ? Error{ErrorCode::kIo, "an earlier sync failed"} : log->Sync();
  std::vector<SpillCompletion> done;
  for (Unsynced& batch : std::exchange(queue_, {})) {
    SPROCKETS_ASSERT(batch.log == log);
    if (!synced.ok()) Fail(synced.error(), std::exchange(batch.outcomes, {}));
    for (SpillOutcome& outcome : batch.outcomes) done.emplace_back(std::move(outcome));
  }
  if (synced.ok()) return post_(std::move(done));
  failed_log_ = log;
}

void SimulatedSync::Fail(const Error& error, std::vector<SpillOutcome> outcomes) {
  if (!failed_) failed_ = Failed{error, {}};
  failed_->outcomes.insert(failed_->outcomes.end(), std::make_move_iterator(outcomes.begin()),
                           std::make_move_iterator(outcomes.end()));
}

}  // namespace sprockets::sim
