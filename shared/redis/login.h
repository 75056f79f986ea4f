// How to log in to Redis. Pure.
#pragma once

#include <string>

#include "shared/redis/url.h"

namespace sprockets {

/// In RESP; empty: not at all.
std::string AuthCommand(const RedisUrl& url);

}  // namespace sprockets
