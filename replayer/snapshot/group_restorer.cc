#include "replayer/snapshot/group_restorer.h"

#include <array>
#include <optional>

#include "replayer/redis/pipeline.h"
#include "replayer/redis/xinfo.h"
#include "shared/base/text.h"
#include "shared/redis/stream_id.h"

namespace sprockets {
namespace {

/// Nobody has read by it, and it stands before `position`: as one that `access` has made since the loss.
bool IsUnused(const redisReply& group, std::string_view position) {
  const auto is_none = [&](std::string_view name) {
    const redisReply* const count = FieldOf(group, name);
    return count != nullptr && count->type == REDIS_REPLY_INTEGER && count->integer == 0;
  };
  const redisReply* const stands_at = FieldOf(group, "last-delivered-id");
  if (stands_at == nullptr || !is_none("consumers") || !is_none("pending")) return false;
  const std::optional<StreamId> now = ParseStreamId(TextOf(*stands_at));
  const std::optional<StreamId> then = ParseStreamId(position);
  return now && then && *now < *then;
}

}  // namespace

Status GroupRestorer::Restore(std::string_view glob) {
  std::vector<Group> groups;
  const auto take = [&](std::span<const Postgres::ValueView> values) -> Status {
    Group group;
    std::array<std::string*, 4> fields{&group.number, &group.stream, &group.name, &group.last_delivered};
    for (size_t i = 0; i < fields.size(); ++i) *fields[i] = values[i].value_or("");
    if (GlobMatch(glob, group.stream)) groups.push_back(std::move(group));
    return {};
  };
  RETURN_IF_ERROR(
      postgres_.CopyOut("SELECT number::text, stream, name, last_delivered FROM sprockets.snapshot_groups "
                        "WHERE snapshot = " +
                            std::to_string(restored_.number) + " ORDER BY number",
                        take));
  for (const Group& group : groups) {
    RETURN_IF_ERROR(RestoreGroup(group).Prefixed("group " + Escape(group.name) + " of " + Escape(group.stream)));
  }
  return {};
}

std::string GroupRestorer::OfGroup(const Group& group) const {
  return " WHERE snapshot = " + std::to_string(restored_.number) + " AND stream_group = " + group.number;
}

Status GroupRestorer::RestoreGroup(const Group& group) {
  ASSIGN_OR_RETURN(const RedisClient::Reply groups, redis_.Call({"XINFO", "GROUPS", group.stream}));
  if (IsError(*groups) && TextOf(*groups).starts_with("ERR no such key")) {
    ++restored_.groups_without_stream;
    return {};
  }
  RETURN_IF_ERROR(RefuseError(*groups));
  const redisReply* existing = nullptr;
  for (size_t i = 0; i < groups->elements; ++i) {
    const redisReply* const name = FieldOf(*groups->element[i], "name");
    if (name != nullptr && TextOf(*name) == group.name) existing = groups->element[i];
  }
  if (existing != nullptr && !IsUnused(*existing, group.last_delivered)) {
    ++restored_.groups_kept;
    return {};
  }
  ASSIGN_OR_RETURN(const int64_t entries_read, EntriesRead(group));
  ASSIGN_OR_RETURN(const RedisClient::Reply placed,
                   redis_.Call({"XGROUP", existing == nullptr ? "CREATE" : "SETID", group.stream, group.name,
                                group.last_delivered, "ENTRIESREAD", std::to_string(entries_read)}));
  RETURN_IF_ERROR(RefuseError(*placed));
  ++restored_.groups;
  RETURN_IF_ERROR(RestoreConsumers(group));
  return RestorePending(group);
}

/// How many entries the stream has had up to the group's position: without it Redis does not know the group's lag.
Result<int64_t> GroupRestorer::EntriesRead(const Group& group) {
  constexpr size_t kPage = 1000;
  ASSIGN_OR_RETURN(const RedisClient::Reply info, redis_.Call({"XINFO", "STREAM", group.stream}));
  RETURN_IF_ERROR(RefuseError(*info));
  const redisReply* const added = FieldOf(*info, "entries-added");
  if (added == nullptr) return Error{ErrorCode::kRefused, "restore needs Redis 7.0: XINFO STREAM has no entries-added"};
  int64_t behind = 0;
  std::string after = "(" + group.last_delivered;
  while (true) {
    ASSIGN_OR_RETURN(const RedisClient::Reply page,
                     redis_.Call({"XRANGE", group.stream, after, "+", "COUNT", std::to_string(kPage)}));
    RETURN_IF_ERROR(RefuseError(*page));
    behind += static_cast<int64_t>(page->elements);
    if (page->elements < kPage) return added->integer - behind;
    after = "(" + std::string(TextOf(*page->element[kPage - 1]->element[0]));
  }
}

Status GroupRestorer::RestoreConsumers(const Group& group) {
  Pipeline pipeline(redis_);
  const auto add = [&](std::span<const Postgres::ValueView> values) {
    return pipeline.Add(
        std::array<std::string_view, 5>{"XGROUP", "CREATECONSUMER", group.stream, group.name, values[0].value_or("")});
  };
  RETURN_IF_ERROR(
      postgres_.CopyOut("SELECT name FROM sprockets.snapshot_consumers" + OfGroup(group) + " ORDER BY name", add));
  return pipeline.Finish();
}

/// An entry that the stream does not have any more cannot be pending: Redis says so by an empty answer.
Status GroupRestorer::RestorePending(const Group& group) {
  Pipeline pipeline(redis_);
  const auto claimed = [this](const redisReply& reply) -> Status {
    RETURN_IF_ERROR(RefuseError(reply));
    ++(reply.elements == 1 ? restored_.pending : restored_.pending_without_entry);
    return {};
  };
  const auto add = [&](std::span<const Postgres::ValueView> values) {
    const auto word = [&](size_t i) { return values[i].value_or(""); };
    return pipeline.Add(
        std::array<std::string_view, 14>{"XCLAIM", group.stream, group.name, word(1), "0", word(0), "TIME", word(2),
                                         "RETRYCOUNT", word(3), "FORCE", "JUSTID", "LASTID", group.last_delivered},
        claimed);
  };
  RETURN_IF_ERROR(
      postgres_.CopyOut("SELECT id, consumer, delivered_at_ms::text, deliveries::text FROM "
                        "sprockets.snapshot_pending" +
                            OfGroup(group),
                        add));
  return pipeline.Finish();
}

}  // namespace sprockets
