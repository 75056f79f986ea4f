// Rows of journals that Redis would not take: they stay in their files, which say so until Redis has them after all. No
// other connection to the files may be open. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "replayer/redis/client.h"
#include "shared/base/result.h"
#include "shared/spill/folder.h"

namespace sprockets {

Status KeepAside(const SpillFolder& folder, const std::string& stream, int64_t ticket, std::string_view why);
/// What was kept aside and is in Redis by now is not rejected any more.
Status AcceptWhatIsThere(const SpillFolder& folder, RedisClient& redis);

}  // namespace sprockets
