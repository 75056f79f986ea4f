// What a drain goes by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "replayer/drain/batch.h"
#include "replayer/redis/target.h"
#include "shared/ahead/placing.h"

namespace sprockets {

struct DrainOptions {
  RedisTarget redis;                                        // where the streams are
  std::string socket_path;                                  // the sidecar's; empty: not given
  std::string streams = "*";                                // glob: only these
  std::map<std::string, std::string, std::less<>> renames;  // of streams: OLD to NEW
  int64_t rate = 0;                                         // events per second; 0: as fast as it goes
  size_t rows_a_batch = Batch::kMostRows;                   // fewer in tests, which have few rows and want many batches
  int64_t fence_wait_ms = 5'000;                            // how long to wait where connections cannot be fenced
  PlacingPolicy placing;                                    // of events in journals that others overtook
  bool force = false;  // send what is unproven of a drained file, too; take a Redis that is not the sidecar's
};

}  // namespace sprockets
