// The second act: the streams are archived and scored, Redis loses everything, and equals what it was.
#pragma once

#include "tests/harness/redis_server.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

/// Throws where a step does not end as it should. Afterwards `redis` holds what it held before, and the boards.
void TellOfArchivedStreams(const TempDir& folder, RedisServer& redis);

}  // namespace sprockets::harness
