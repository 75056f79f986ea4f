#include "replayer/redis/answer.h"

#include "replayer/redis/client.h"

namespace sprockets {

RedisAnswer AnswerOf(const redisReply& reply) {
  RedisAnswer answer;
  if (reply.type == REDIS_REPLY_NIL) return answer;
  if (reply.type == REDIS_REPLY_INTEGER) {
    answer.kind = RedisAnswer::Kind::kInteger;
    answer.integer = reply.integer;
  } else if (reply.type == REDIS_REPLY_ARRAY) {
    answer.kind = RedisAnswer::Kind::kArray;
    answer.elements.reserve(reply.elements);
    for (size_t i = 0; i < reply.elements; ++i) answer.elements.push_back(AnswerOf(*reply.element[i]));
  } else {
    answer.kind = IsError(reply) ? RedisAnswer::Kind::kError : RedisAnswer::Kind::kText;
    answer.text = TextOf(reply);
  }
  return answer;
}

}  // namespace sprockets
