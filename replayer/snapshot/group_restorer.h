// Consumer groups of a snapshot, back on streams that are there.
#pragma once

#include <string>
#include <vector>

#include "replayer/postgres/postgres.h"
#include "replayer/redis/client.h"
#include "replayer/snapshot/restore.h"
#include "shared/base/result.h"

namespace sprockets {

class GroupRestorer {
 public:
  /// References outlive this.
  GroupRestorer(Postgres& postgres, RedisClient& redis, RestoredSnapshot& restored)
      : postgres_(postgres), redis_(redis), restored_(restored) {}

  /// Every group of the snapshot whose stream's name matches. One that exists stays as it is, unless nobody has read by
  /// it yet. What was acknowledged since the snapshot is delivered again.
  Status Restore(std::string_view glob);

 private:
  struct Group {
    std::string number;
    std::string stream;
    std::string name;
    std::string last_delivered;
  };
  Status RestoreGroup(const Group& group);
  Result<int64_t> EntriesRead(const Group& group);
  Status RestoreConsumers(const Group& group);
  Status RestorePending(const Group& group);
  std::string OfGroup(const Group& group) const;

  Postgres& postgres_;
  RedisClient& redis_;
  RestoredSnapshot& restored_;
};

}  // namespace sprockets
