// An answer of the simulated Redis, as hiredis gives it.
#pragma once

#include <string>

#include "replayer/redis/client.h"
#include "shared/base/result.h"

namespace sprockets::sim {

inline RedisClient::Reply ParseReply(const std::string& resp) {
  redisReader* reader = redisReaderCreate();
  void* reply = nullptr;
  redisReaderFeed(reader, resp.data(), resp.size());
  const bool parsed = redisReaderGetReply(reader, &reply) == REDIS_OK && reply != nullptr;
  redisReaderFree(reader);
  SPROCKETS_ASSERT(parsed);
  return RedisClient::Reply(static_cast<redisReply*>(reply));
}

}  // namespace sprockets::sim
