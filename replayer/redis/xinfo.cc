#include "replayer/redis/xinfo.h"

#include "replayer/redis/client.h"

namespace sprockets {

const redisReply* FieldOf(const redisReply& answer, std::string_view name) {
  for (size_t i = 0; i + 1 < answer.elements; i += 2) {
    if (TextOf(*answer.element[i]) == name) return answer.element[i + 1];
  }
  return nullptr;
}

}  // namespace sprockets
