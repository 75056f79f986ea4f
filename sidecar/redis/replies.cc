#include "sidecar/redis/replies.h"

namespace sprockets {

Handshake::Answer AnswerIn(const redisReply& reply) {
  Handshake::Answer answer;
  if (reply.type == REDIS_REPLY_ARRAY)
    return reply.elements == 0 ? answer : AnswerIn(*reply.element[reply.elements - 1]);
  answer.is_error = reply.type == REDIS_REPLY_ERROR;
  if (reply.type == REDIS_REPLY_INTEGER) {
    answer.integer = reply.integer;
  } else if (reply.str != nullptr) {
    answer.text = TextIn(reply);
  }
  return answer;
}

RedisAnswer WholeAnswer(const redisReply& reply) {
  RedisAnswer answer;
  switch (reply.type) {
    case REDIS_REPLY_NIL:
      break;
    case REDIS_REPLY_INTEGER:
      answer.kind = RedisAnswer::Kind::kInteger;
      answer.integer = reply.integer;
      break;
    case REDIS_REPLY_ARRAY:
      answer.kind = RedisAnswer::Kind::kArray;
      answer.elements.reserve(reply.elements);
      for (size_t i = 0; i < reply.elements; ++i) answer.elements.push_back(WholeAnswer(*reply.element[i]));
      break;
    default:
      answer.kind = reply.type == REDIS_REPLY_ERROR ? RedisAnswer::Kind::kError : RedisAnswer::Kind::kText;
      answer.text = TextIn(reply);
      break;
  }
  return answer;
}

// [[id, [field, value, …]], …]
std::optional<std::vector<TailEntry>> EntriesIn(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY) return std::nullopt;
  std::vector<TailEntry> entries;
  for (size_t i = 0; i < reply.elements; ++i) {
    const redisReply& pair = *reply.element[i];
    if (pair.type != REDIS_REPLY_ARRAY || pair.elements != 2 || pair.element[0]->type != REDIS_REPLY_STRING)
      return std::nullopt;
    const auto id = ParseStreamId(TextIn(*pair.element[0]));
    const redisReply& fields = *pair.element[1];
    if (!id || fields.type != REDIS_REPLY_ARRAY) return std::nullopt;
    TailEntry entry{*id, {}};
    entry.fields.reserve(fields.elements);
    for (size_t f = 0; f < fields.elements; ++f) {
      if (fields.element[f]->type != REDIS_REPLY_STRING) return std::nullopt;
      entry.fields.push_back(TextIn(*fields.element[f]));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace sprockets
