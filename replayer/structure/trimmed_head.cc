#include "replayer/structure/trimmed_head.h"

#include <optional>

#include "replayer/redis/pipeline.h"
#include "replayer/redis/xinfo.h"

namespace sprockets {

Result<TrimmedHead> LookAtHead(RedisClient& redis, std::string_view name) {
  ASSIGN_OR_RETURN(const RedisClient::Reply info, redis.Call({"XINFO", "STREAM", name}));
  RETURN_IF_ERROR(RefuseError(*info));
  const redisReply* const length = FieldOf(*info, "length");
  const redisReply* const added = FieldOf(*info, "entries-added");
  const redisReply* const last = FieldOf(*info, "last-generated-id");
  const redisReply* const first_entry = FieldOf(*info, "first-entry");
  if (length == nullptr || added == nullptr || last == nullptr || first_entry == nullptr)
    return Error{ErrorCode::kRefused, "-- trimmed: needs Redis 7.0, whose XINFO STREAM counts the entries added"};
  TrimmedHead head;
  head.entries = added->integer > length->integer ? static_cast<uint64_t>(added->integer - length->integer) : 0;
  // Of an empty stream, everything that it ever had is gone.
  const bool is_empty = first_entry->elements == 0;
  const auto id = ParseStreamId(TextOf(is_empty ? *last : *first_entry->element[0]));
  if (!id) return Error{ErrorCode::kRefused, "XINFO STREAM gave no entry id"};
  head.first = is_empty ? Next(*id).value_or(*id) : *id;
  return head;
}

}  // namespace sprockets
