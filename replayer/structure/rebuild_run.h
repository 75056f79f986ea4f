// One run of rebuild: the structures of a set, several at once. PostgreSQL sorts one while Redis loads another.
#pragma once

#include <vector>

#include "replayer/config.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/rebuild.h"
#include "shared/base/result.h"

namespace sprockets {

struct RebuildOutcome {
  std::vector<RebuiltStructure> structures;  // that came to their end, in the order of their files
  Status status;                             // the error of the first one, in that order, that failed
};

/// One structure at least. All are of one state of the database, and appear in the order in which they are given,
/// whichever is ready first. Behind one that fails, none is changed.
RebuildOutcome RebuildSideBySide(const Config& config, const std::vector<Structure>& structures,
                                 const std::vector<ConsumerGroup>& groups);

}  // namespace sprockets
