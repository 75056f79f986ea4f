// hiredis's replies in the words of those who decide what they mean.
#pragma once

#include <hiredis/hiredis.h>

#include "shared/redis/answer.h"

namespace sprockets {

/// The whole reply. Its texts are views into it.
RedisAnswer AnswerOf(const redisReply& reply);

}  // namespace sprockets
