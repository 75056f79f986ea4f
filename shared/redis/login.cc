#include "shared/redis/login.h"

#include "shared/redis/resp.h"

namespace sprockets {

std::string AuthCommand(const RedisUrl& url) {
  if (!url.user.empty()) return MakeCommand({"AUTH", url.user, url.password});
  return url.password.empty() ? std::string() : MakeCommand({"AUTH", url.password});
}

}  // namespace sprockets
