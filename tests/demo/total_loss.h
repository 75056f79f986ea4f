// The third act: Redis loses everything, and comes back from PostgreSQL.
#pragma once

#include "tests/harness/redis_server.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

/// Nothing of the old server is left, neither in memory nor on disk.
void Empty(RedisServer& redis);

/// Throws where a step does not end as it should. Afterwards `redis` holds what PostgreSQL gave it, and nothing else.
void TellTheTotalLoss(const TempDir& folder, RedisServer& redis);

}  // namespace sprockets::harness
