// One run of rebuild: the structures of a set, several at once. PostgreSQL sorts one while Redis loads another.
#pragma once

#include <cstdint>
#include <vector>

#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/key_owners.h"
#include "replayer/structure/rebuild.h"
#include "replayer/structure/stores.h"
#include "replayer/terminal/progress.h"
#include "shared/base/result.h"

namespace sprockets {

struct RebuildRunOptions {
  Stores stores;
  RebuildOptions rebuild;
  int64_t jobs = 4;  // structures at once
  ProgressStyle progress = ProgressStyle::kAuto;
};

struct RebuildOutcome {
  std::vector<RebuiltStructure> structures;  // that came to their end, in the order of their files
  Status status;                             // the error of the first one, in that order, that failed
};

/// One structure at least. All are of one state of the database, and appear in the order in which they are given,
/// whichever is ready first. Behind one that fails, none is changed. `owners` is told which gives which key.
RebuildOutcome RebuildSideBySide(const RebuildRunOptions& options, const std::vector<Structure>& structures,
                                 const std::vector<ConsumerGroup>& groups, KeyOwners& owners);

}  // namespace sprockets
