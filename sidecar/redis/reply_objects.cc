#include "sidecar/redis/reply_objects.h"

#include <cstring>

#include <hiredis/hiredis.h>

#include "shared/base/result.h"

namespace sprockets {

namespace {

constexpr int kMostElements = 1 << 20;

// The one short reply that is being looked at: hiredis frees it before it parses the next.
struct ShortReply {
  redisReply reply{};
  char text[64];
  bool used = false;
};
ShortReply short_reply;

redisReplyObjectFunctions HeapObjects() {
  redisReader* reader = redisReaderCreate();
  SPROCKETS_ASSERT(reader != nullptr);
  const redisReplyObjectFunctions functions = *reader->fn;
  redisReaderFree(reader);
  return functions;
}

const redisReplyObjectFunctions& Heap() {
  static const redisReplyObjectFunctions functions = HeapObjects();
  return functions;
}

void* CreateString(const redisReadTask* task, char* text, size_t size) {
  const bool is_plain = task->type == REDIS_REPLY_STRING || task->type == REDIS_REPLY_STATUS;
  const bool fits = task->parent == nullptr && is_plain && size < sizeof short_reply.text;
  if (!fits || short_reply.used) return Heap().createString(task, text, size);
  short_reply.used = true;
  std::memcpy(short_reply.text, text, size);
  short_reply.text[size] = '\0';
  short_reply.reply.type = task->type;
  short_reply.reply.str = short_reply.text;
  short_reply.reply.len = size;
  return &short_reply.reply;
}

// hiredis makes room for as many elements as are announced. Nothing that we ask is answered with so many.
void* CreateArray(const redisReadTask* task, int elements) {
  return elements <= kMostElements ? Heap().createArray(task, elements) : nullptr;
}

void FreeObject(void* object) {
  if (object == &short_reply.reply) {
    short_reply.used = false;
  } else {
    Heap().freeObject(object);
  }
}

}  // namespace

redisReplyObjectFunctions* ReplyObjects() {
  static redisReplyObjectFunctions functions = [] {
    redisReplyObjectFunctions all = Heap();
    all.createString = CreateString;
    all.createArray = CreateArray;
    all.freeObject = FreeObject;
    return all;
  }();
  return &functions;
}

}  // namespace sprockets
