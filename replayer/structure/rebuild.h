// Structures from PostgreSQL into Redis, one after the other and all from one state of the database: written beside the
// live keys, compared by value, and swapped in. One thread; others can help it, each with an object of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "replayer/postgres/postgres.h"
#include "replayer/redis/lock.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/guards.h"
#include "replayer/structure/key_owners.h"
#include "replayer/structure/loader.h"
#include "replayer/structure/scratch_keys.h"
#include "replayer/structure/swap.h"
#include "replayer/terminal/progress.h"

namespace sprockets {

struct RebuildOptions {
  std::optional<std::string> into;  // a drill under this prefix; none: the live keys
  bool force = false;               // past the guards
  bool dry_run = false;             // changes nothing
};

struct RebuiltStructure {
  enum class State { kUnchanged, kRebuilt, kWouldChange, kDrilled, kPassedOver };
  std::string name;
  State state = State::kUnchanged;
  uint64_t keys = 0;
  uint64_t rows = 0;
  int64_t load_ms = 0;    // until every row was in Redis
  int64_t verify_ms = 0;  // comparing them
};

class Rebuilder {
 public:
  /// `groups` are those of the set: a group of an empty stream is put where they say once the stream is filled.
  /// `owners` is that of the whole run: it outlives this object.
  Rebuilder(Postgres& postgres, RedisClient& redis, const RebuildOptions& options, std::vector<ConsumerGroup> groups,
            KeyOwners& owners);
  ~Rebuilder() { postgres_.Rollback(); }
  Rebuilder(const Rebuilder&) = delete;
  Rebuilder& operator=(const Rebuilder&) = delete;

  /// Once, before the first structure: keeps other rebuilds out until this object goes, and removes what a killed one
  /// has left behind. kBusy: another one is at work. `lock` outlives this object.
  Status Begin(const RedisLock& lock);
  /// Instead of Begin, of one that helps another which has begun: sees the same state of the database, `snapshot`.
  Status Join(const std::string& snapshot, const RedisLock& lock) {
    lock_ = &lock;
    return postgres_.JoinSnapshot(snapshot);
  }
  /// Nothing live changes before every key is loaded and compared. Then one key is swapped after the other: a run that
  /// is killed there leaves some new and some old, each whole, and the next run swaps the rest. kRefused: a guard, or
  /// bad data. `before_swap` is called when everything else is done, if there is something to swap; its error is a
  /// failure like another.
  Result<RebuiltStructure> Rebuild(const Structure& structure, Progress& progress,
                                   const std::function<Status()>& before_swap = nullptr);

 private:
  Result<RebuiltStructure> RebuildOne(const Structure& structure, Progress& progress,
                                      const std::function<Status()>& before_swap);
  /// Of counters that are bounds: what is wrong is corrected member by member, so that no other value changes.
  Result<RebuiltStructure> RebuildBounds(Source& source, const Structure& structure, const LiveState& live,
                                         Progress& progress, const std::function<Status()>& before_swap);
  Status AdjustInPlace(Source& source, const Structure& structure, const LiveState& live, RebuiltStructure* rebuilt);
  Result<LiveState> LookAtLive(Source& source, const Structure& structure, RebuiltStructure* rebuilt);
  Status Load(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
              std::vector<Loader::Key>* keys);
  Status BuildNew(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
                  std::vector<Loader::Key>* keys);
  Status VerifyLoaded(Source& source, const Structure& structure, RebuiltStructure* rebuilt);

  Postgres& postgres_;
  RedisClient& redis_;
  const RebuildOptions options_;
  const std::vector<ConsumerGroup> groups_;
  KeyOwners& owners_;
  const RedisLock* lock_ = nullptr;  // nothing is swapped once it is lost
  const ScratchKeys scratch_;
  Swapper swapper_;
};

}  // namespace sprockets
