#include "replayer/archive/group_positions.h"

#include <algorithm>
#include <optional>

#include "replayer/redis/pipeline.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

/// The value behind `name` in a reply of names and values; none: it is not there.
const redisReply* ValueOf(const redisReply& map, std::string_view name) {
  for (size_t i = 0; i + 1 < map.elements; i += 2) {
    if (TextOf(*map.element[i]) == name) return map.element[i + 1];
  }
  return nullptr;
}

bool IsNoSuchKey(const redisReply& reply) {
  return IsError(reply) && TextOf(reply).find("no such key") != std::string_view::npos;
}

}  // namespace

Result<std::vector<GroupPosition>> PositionsOfGroups(RedisClient& redis, const std::string& stream) {
  std::vector<GroupPosition> positions;
  ASSIGN_OR_RETURN(const RedisClient::Reply groups, redis.Call({"XINFO", "GROUPS", stream}));
  if (IsNoSuchKey(*groups)) return positions;
  RETURN_IF_ERROR(RefuseError(*groups).Prefixed("XINFO GROUPS " + Escape(stream)));
  for (size_t i = 0; i < groups->elements; ++i) {
    const redisReply* name = ValueOf(*groups->element[i], "name");
    const redisReply* delivered = ValueOf(*groups->element[i], "last-delivered-id");
    const auto id = delivered == nullptr ? std::nullopt : ParseStreamId(TextOf(*delivered));
    if (name == nullptr || !id) return Error{ErrorCode::kUnreachable, "XINFO GROUPS gives another reply than Redis's"};
    GroupPosition position{std::string(TextOf(*name)), *id};
    ASSIGN_OR_RETURN(const RedisClient::Reply pending, redis.Call({"XPENDING", stream, position.group}));
    RETURN_IF_ERROR(RefuseError(*pending).Prefixed("XPENDING " + Escape(stream)));
    const auto first = pending->elements > 1 ? ParseStreamId(TextOf(*pending->element[1])) : std::nullopt;
    if (first && *first > kStreamBegin) position.done = std::min(position.done, Before(*first));
    positions.push_back(std::move(position));
  }
  return positions;
}

Result<StreamId> LastIdOf(RedisClient& redis, const std::string& stream) {
  ASSIGN_OR_RETURN(const RedisClient::Reply info, redis.Call({"XINFO", "STREAM", stream}));
  if (IsNoSuchKey(*info)) return kStreamBegin;
  RETURN_IF_ERROR(RefuseError(*info).Prefixed("XINFO STREAM " + Escape(stream)));
  const redisReply* last = ValueOf(*info, "last-generated-id");
  const auto id = last == nullptr ? std::nullopt : ParseStreamId(TextOf(*last));
  if (!id) return Error{ErrorCode::kUnreachable, "XINFO STREAM gives no last-generated-id"};
  return *id;
}

}  // namespace sprockets
