// hiredis's replies in the words of those who decide what they mean.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <hiredis/hiredis.h>

#include "shared/redis/answer.h"
#include "sidecar/core/handshake.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

inline std::string_view TextIn(const redisReply& reply) {
  return {reply.str, static_cast<size_t>(reply.len)};
}

Handshake::Answer AnswerIn(const redisReply& reply);

/// The whole reply. Its texts are views into it.
RedisAnswer WholeAnswer(const redisReply& reply);

/// Of XREVRANGE; nothing if it is anything else. The fields point into the reply.
std::optional<std::vector<TailEntry>> EntriesIn(const redisReply& reply);

}  // namespace sprockets
