// Fills streams from the journals of a folder, by hand: each retained row that counts, under its own id, in order. The
// folder is only read, so that it works beside a sidecar. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replayer/redis/target.h"
#include "replayer/terminal/progress.h"
#include "shared/base/result.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/folder.h"

namespace sprockets {

struct FromJournalOptions {
  RedisTarget redis;
  std::string socket_path;    // the sidecar's; empty: not given
  std::string streams = "*";  // glob: only these
  bool force = false;         // go on in a stream that lacks rows which cannot be added any more
  bool dry_run = false;       // only say what would be added
  ProgressStyle progress = ProgressStyle::kAuto;
};

struct FilledStream {
  std::string name;
  uint64_t rows = 0;     // that count
  uint64_t added = 0;    // or would be
  uint64_t there = 0;    // before, with the same fields
  uint64_t missing = 0;  // and not to be added: Redis takes no id below the last one
  StreamId first_missing;
  std::string why;  // its other rows were not looked at; empty: all were
};

struct FilledStreams {
  std::vector<FilledStream> streams;  // by name
  bool read_all = true;               // every file of the folder
};

/// kBusy: another rebuild is at work in this Redis, or another drain in the folder.
Status FillFromJournals(const FromJournalOptions& options, const SpillFolder& folder, FilledStreams* filled);

}  // namespace sprockets
