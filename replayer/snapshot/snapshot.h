// A snapshot: what is in PostgreSQL of the sorted sets and the consumer groups of a Redis. Taking one.
#pragma once

#include <cstdint>
#include <string>

#include "replayer/postgres/postgres.h"
#include "replayer/structure/stores.h"
#include "replayer/terminal/progress.h"
#include "shared/base/result.h"

namespace sprockets {

struct SnapshotOptions {
  Stores stores;
  std::string keys = "*";  // glob over the keys of sorted sets and of streams
  int64_t keep = 24;       // whole snapshots that stay, the newest ones
  int64_t keep_ms = 0;     // for how long, at most; 0: however old. The newest one stays
  ProgressStyle progress = ProgressStyle::kAuto;
};

struct SnapshotCounts {
  int64_t zsets = 0;
  int64_t members = 0;
  int64_t groups = 0;
  int64_t pending = 0;
};

struct TakenSnapshot {
  int64_t number = 0;
  int64_t log_position = 0;  // what had been archived when it began
  SnapshotCounts counts;
  int64_t removed = 0;  // older snapshots
};

/// All of it in one transaction: a run that is killed or stopped leaves nothing. Each member that is in its set for as
/// long as that is read is in the snapshot, with a score that it had meanwhile. kBusy: another one is being taken;
/// kRefused: the tables are missing, or a server said no.
Result<TakenSnapshot> TakeSnapshot(const SnapshotOptions& options);

/// kRefused with the way out where `migrate` has not made the tables.
Status RequireSnapshotTables(Postgres& postgres);

}  // namespace sprockets
