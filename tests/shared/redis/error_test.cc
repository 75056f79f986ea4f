// What an error reply to an XADD means, by its class.
#include "shared/redis/error.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

TEST_CASE("a refusal by the server is told from one of the stream") {
  for (const char* error :
       {"OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script.",
        "NOAUTH Authentication required.", "WRONGPASS invalid username-password pair or user is disabled.",
        "LOADING"}) {
    INFO(error);
    CHECK(ClassifyRedisError(error) == RefusalScope::kServer);
  }
  for (const char* error : {"WRONGTYPE Operation against a key holding the wrong kind of value",
                            "NOPERM this user has no permissions to run",
                            "ERR The stream has exhausted the last possible ID, unable to add more items"}) {
    INFO(error);
    CHECK(ClassifyRedisError(error) == RefusalScope::kStream);
  }
}

TEST_CASE("an error of no known class leaves the event in doubt, however alike it looks") {
  for (const char* error :
       {"", " ", "ERR", "ERR unknown command 'XADD'", "BUSYGROUP Consumer Group name already exists",
        "BUSYKEY Target key name already exists.", "oom command not allowed", " OOM", "OOM\tx", "OOMX",
        "ERR upstream timed out", "EXECABORT Transaction discarded"}) {
    INFO(error);
    CHECK(ClassifyRedisError(error) == RefusalScope::kUnknown);
  }
}

}  // namespace
}  // namespace sprockets
