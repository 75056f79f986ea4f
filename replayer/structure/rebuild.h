// Structures from PostgreSQL into Redis, one after the other and all from one state of the database: written beside the
// live keys, compared by value, and swapped in. One thread; others can help it, each with an object of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "replayer/config.h"
#include "replayer/postgres/postgres.h"
#include "replayer/redis/lock.h"
#include "replayer/redis/pipeline.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/compare.h"
#include "replayer/structure/key_owners.h"
#include "replayer/structure/loader.h"

namespace sprockets {

/// The guard against a source that has lost its rows, of rebuild and of repairs: would a key that holds `live` elements
/// be left with less than half of them?
inline bool LosesTooMuch(uint64_t live, uint64_t left) {
  return left * 2 < live;
}

struct RebuiltStructure {
  enum class State { kUnchanged, kRebuilt, kWouldChange, kDrilled };
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
  Rebuilder(Postgres& postgres, RedisClient& redis, const SetConfig& config, std::vector<ConsumerGroup> groups,
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
  struct LiveState {
    bool differs = false;
    std::vector<std::string> gone;  // keys that the source does not give any more
    std::string extra_entry;        // of a stream: one that the source lacks; empty: none
    std::vector<ComparedKey> keys;  // that the source gives; where it gives one only, and that is no stream, none
  };
  Result<RebuiltStructure> RebuildOne(const Structure& structure, Progress& progress,
                                      const std::function<Status()>& before_swap);
  Status RemoveLeftovers();
  Result<LiveState> LookAtLive(Source& source, const Structure& structure, RebuiltStructure* rebuilt);
  Status Load(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
              std::vector<Loader::Key>* keys);
  Status BuildNew(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
                  std::vector<Loader::Key>* keys);
  Status GuardLive(const Structure& structure, const LiveState& live) const;
  Status GuardRows(const Structure& structure, const std::string& key, uint64_t rows);
  Status VerifyLoaded(Source& source, const Structure& structure, RebuiltStructure* rebuilt);
  /// How many of the new stream's entries a group has read, so that a further copy has to count only those behind.
  struct ReadUpTo {
    std::string position = "0-0";
    int64_t entries = 0;
  };
  Status CopyGroups(const Loader::Key& key, std::map<std::string, ReadUpTo>* read_up_to);
  Status CopyConsumers(const std::string& from, const std::string& to, const std::string& group);
  Status CopyPending(const std::string& from, const std::string& to, const std::string& group);
  Status RemoveGroups(const std::string& key);
  Status Swap(const std::vector<Loader::Key>& keys);
  Status SwapStreams(const Structure& structure, const std::vector<Loader::Key>& keys, const LiveState& live);
  Status SwapStream(const Structure& structure, const Loader::Key& key, StreamId compared_up_to);
  Status AddCleanUp(Pipeline& pipeline, const Loader::Key& key) const;
  Status RemoveGone(const std::vector<std::string>& gone);
  std::string AsideOf(const std::string& key) const;
  Status RemoveLoaded(const std::vector<Loader::Key>& keys);

  Postgres& postgres_;
  RedisClient& redis_;
  const SetConfig& config_;
  const std::vector<ConsumerGroup> groups_;
  KeyOwners& owners_;
  const RedisLock* lock_ = nullptr;  // nothing is swapped once it is lost
  const std::string number_;         // of this object, in the names of what it writes beside the live keys
  const std::string prefix_;         // of the keys that are being written
};

}  // namespace sprockets
