// Keeps the structures of a set that say `-- follow:` current from SQL, row by row. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "replayer/postgres/postgres.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/rebuild.h"
#include "replayer/structure/stores.h"
#include "replayer/terminal/progress.h"

namespace sprockets {

/// Up to which id a table's rows are all there. Ids are given out in order but commit in any: a row may still appear
/// below one that is there. A transaction takes its lock on the table before its first id, so once every transaction
/// that held one when the highest id was read has ended, nothing can appear below that id. Who only reads takes no such
/// lock and holds nothing up. (Sequences with CACHE above 1 hand out older ids later: not for a table that is
/// followed.)
class Horizon {
 public:
  Horizon(std::string table, std::string id_column) : table_(std::move(table)), id_column_(std::move(id_column)) {}

  /// Asks the database; the horizon rises when those have ended whom it waited for.
  Status Advance(Postgres& postgres);
  /// None: it has not been reached once.
  std::optional<int64_t> id() const { return id_; }
  /// Who holds it up, in words, and since when.
  struct Blocker {
    std::string name;
    int64_t since_ms = 0;
  };
  const std::optional<Blocker>& blocker() const { return blocker_; }

 private:
  Result<std::map<std::string, std::string>> Writers(Postgres& postgres) const;
  /// Nobody is waited for any more.
  void Reach();

  std::string table_;
  std::string id_column_;
  std::optional<int64_t> id_;
  std::optional<int64_t> candidate_;                // the highest id when it was last read
  std::map<std::string, std::string> waiting_for_;  // transactions, and how to name them
  std::optional<Blocker> blocker_;
};

struct FollowOptions {
  Stores stores;
  RebuildOptions rebuild;  // of what differs at the beginning
  int64_t poll_ms = 250;   // between two looks for new rows, where no notification comes before
  ProgressStyle progress = ProgressStyle::kAuto;
};

/// Until a signal. The error is what cannot be mended by trying again.
Status FollowSet(const FollowOptions& options, const std::vector<Structure>& structures,
                 const std::vector<ConsumerGroup>& groups);

}  // namespace sprockets
