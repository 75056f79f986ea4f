// The consumer groups of the archive: made where the set says and, when they are lost, where reading began.
#pragma once

#include <string>
#include <vector>

#include "replayer/postgres/postgres.h"
#include "replayer/redis/client.h"
#include "replayer/schema_set/schema_set.h"
#include "shared/base/result.h"

namespace sprockets {

/// Where reading of a stream began is in PostgreSQL (sprockets.log_begins). A group that is lost, by FLUSHALL, XGROUP
/// DESTROY or a failover, is made there again, not at the highest archived id: below that there may be entries that
/// were pending when the group was lost, and, in a Redis that was restored, entries that are new and have lower ids.
/// What the log has already is known when it comes again. A stream that ends below where reading began is another one,
/// and read from its beginning.
class GroupMaker {
 public:
  /// `declared`: the groups of the set. PostgreSQL is only asked for the streams whose groups are missing, and once for
  /// each of the others.
  GroupMaker(PostgresTarget postgres, std::vector<ConsumerGroup> declared, std::string group)
      : postgres_(std::move(postgres)), declared_(std::move(declared)), group_(std::move(group)) {}

  /// kUnreachable; kRefused: the key is no stream, or the user may not.
  Status Ensure(RedisClient& redis, const std::string& stream);

 private:
  const PostgresTarget postgres_;
  const std::vector<ConsumerGroup> declared_;
  const std::string group_;
};

}  // namespace sprockets
