// What the spill folder holds, for STATUS and logs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
};

}  // namespace sprockets
