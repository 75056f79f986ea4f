// The two sides of a schema set.
#pragma once

#include "replayer/postgres/postgres.h"
#include "replayer/redis/target.h"

namespace sprockets {

struct Stores {
  PostgresTarget postgres;  // where the truth is
  RedisTarget redis{.url = {}, .deadline_ms = kWholeKeyDeadlineMs};
};

}  // namespace sprockets
