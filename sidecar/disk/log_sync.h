// Waits for the disk in the writer's stead: while one sync is under way the next batch is put together and committed,
// so neither does the processor wait for the disk nor the disk for the processor.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "shared/base/result.h"
#include "shared/spill/file.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

class LogSync {
 public:
  /// Batches of one file that may be on disk or not, in the order of their commits. They have not been answered.
  struct Failed {
    Error error;
    std::vector<SpillOutcome> outcomes;
  };

  virtual ~LogSync() = default;
  /// `outcomes`, of a batch that was committed to `log`, are posted when it is on disk. After a failed sync of a log
  /// everything that is added to it has failed, too.
  virtual void Add(std::shared_ptr<SpillLog> log, std::vector<SpillOutcome> outcomes) = 0;
  /// Waits until everything that was added is on disk, or has failed.
  virtual void Finish() = 0;
  /// What has failed since the last call.
  virtual std::optional<Failed> TakeFailed() = 0;
};

}  // namespace sprockets
