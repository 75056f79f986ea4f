// What the loop asks of the writer thread, and what comes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/result.h"
#include "sidecar/core/traffic.h"
#include "sidecar/core/window.h"
#include "sidecar/disk/spill_report.h"

namespace sprockets {

// Jobs. A SpillRequest and a RecordJob are, too.
struct ForgetLiveJob {};  // no connection is live: doubts that follow list all of them
struct SealJob {
  uint64_t token = 0;
};
struct DescribeJob {};    // what does the folder hold?
struct ReadFolderJob {};  // one more file of what earlier lives left
using SpillJob = std::variant<SpillRequest, RecordJob, ForgetLiveJob, SealJob, DescribeJob, ReadFolderJob>;

// What comes back. A SpillOutcome and a Recorded are, too.
struct Sealed {
  uint64_t token = 0;
  Status status;
  std::string name;  // of the sealed file; empty: there was nothing to seal
};
struct Described {
  SpillReport report;
};
struct FolderRead {
  EarlierEvents events;
  size_t left = 0;        // files that are still to be read
  bool done = false;      // nothing is left, nor has to be tried again
  bool complete = false;  // FolderReader::complete
};
using SpillCompletion = std::variant<SpillOutcome, Recorded, Sealed, Described, FolderRead>;

/// Takes what is done, as soon as it is: before any housekeeping.
using PostCompletions = std::function<void(std::vector<SpillCompletion>)>;

}  // namespace sprockets
