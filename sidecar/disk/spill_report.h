// What the spill folder holds, for STATUS and logs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/latency_histogram.h"

namespace sprockets {

struct SpillReport {
  struct File {
    std::string name;
    int64_t rows = -1;  // as spilled; -1: not known in this life
    int64_t bytes = 0;
    int64_t oldest_ms = 0;
  };
  std::vector<File> files;  // not yet drained
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t oldest_ms = 0;  // when its oldest row was received; 0: none

  // All files, drained ones included, each in one state.
  struct States {
    size_t active = 0;
    size_t sealed = 0;
    size_t suspect = 0;
    size_t quarantined = 0;
    size_t drained = 0;
  };
  States states;
  int64_t free_bytes = -1;       // that the disk still gives; -1: it does not say
  std::optional<bool> writable;  // whether something was just written and synced; nothing: nobody wanted to know
  std::string write_error;       // why not
  LatencyHistogram commits;      // since the start, the sync included where a COMMIT has one
};

}  // namespace sprockets
