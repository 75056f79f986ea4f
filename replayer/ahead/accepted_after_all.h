// Rows of journals that Redis would not take once, and that are there by now. No other connection to the files may be
// open. One thread.
#pragma once

#include "replayer/redis/client.h"
#include "shared/base/result.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// What was kept aside and is in Redis by now is not rejected any more.
Status AcceptWhatIsThere(const SpillFolder& folder, RedisClient& redis);

}  // namespace sprockets
