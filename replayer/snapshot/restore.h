// A snapshot back into Redis.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "replayer/snapshot/snapshot.h"
#include "replayer/structure/rebuild_run.h"
#include "shared/base/result.h"

namespace sprockets {

struct RestoreOptions {
  Stores stores;
  std::string keys = "*";        // glob over the keys of sorted sets and of streams
  int64_t number = 0;            // of the snapshot; 0: the newest whole one
  std::filesystem::path schema;  // its structures are rebuilt first; empty: none
  bool if_empty = false;         // do nothing where Redis has a key
  bool force = false;            // replace sorted sets that are there, past the guards
  ProgressStyle progress = ProgressStyle::kAuto;
};

struct RestoredSnapshot {
  bool not_empty = false;  // nothing was done: Redis has keys
  int64_t number = 0;
  std::string taken_at;
  int64_t log_position = 0;
  int64_t archived_since = 0;  // entries of the log above that position
  uint64_t zsets = 0;          // that were restored
  uint64_t members = 0;
  uint64_t from_sql = 0;    // sorted sets of the snapshot that the schema set gives, as they are now
  uint64_t zsets_kept = 0;  // that were there already
  uint64_t groups = 0;
  uint64_t groups_kept = 0;
  uint64_t groups_without_stream = 0;
  uint64_t pending = 0;
  uint64_t pending_without_entry = 0;
  std::vector<RebuiltStructure> rebuilt;  // of the schema set
};

/// Structures of the schema set first, from SQL; then what they do not give: sorted sets and groups that are missing.
/// Nothing is replaced before the snapshot was read, counted, loaded and compared. kRefused: there is no whole
/// snapshot, a guard, or a server said no.
Result<RestoredSnapshot> RestoreSnapshot(const RestoreOptions& options);

}  // namespace sprockets
