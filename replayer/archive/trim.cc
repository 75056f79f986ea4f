#include "replayer/archive/trim.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "replayer/archive/group_positions.h"
#include "replayer/archive/group_reader.h"
#include "replayer/redis/pipeline.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kPageEntries = 500;

/// Up to `page` entries from the beginning of the stream, none above `last`.
Result<EntryBatch> FirstEntries(RedisClient& redis, const std::string& stream, StreamId last,
                                const std::string& event_id_field) {
  ASSIGN_OR_RETURN(const RedisClient::Reply reply,
                   redis.Call({"XRANGE", stream, "-", ToString(last), "COUNT", std::to_string(kPageEntries)}));
  RETURN_IF_ERROR(RefuseError(*reply).Prefixed("XRANGE " + Escape(stream)));
  EntryBatch batch;
  batch.stream = stream;
  RETURN_IF_ERROR(AppendEntries(*reply, event_id_field, WallClockMs(), nullptr, &batch));
  return batch;
}

/// Removes `count` entries, which are those at or below `last`.
Status Remove(RedisClient& redis, const std::string& stream, StreamId last, size_t count) {
  const std::optional<StreamId> first_kept = Next(last);
  if (!first_kept) return {};
  ASSIGN_OR_RETURN(const RedisClient::Reply removed, redis.Call({"XTRIM", stream, "MINID", ToString(*first_kept)}));
  RETURN_IF_ERROR(RefuseError(*removed).Prefixed("XTRIM " + Escape(stream)));
  // Somebody else may have deleted some of them; nobody can have added any.
  if (removed->integer > static_cast<int64_t>(count))
    return Error{ErrorCode::kRefused, "Redis has removed " + std::to_string(removed->integer) + " entries where " +
                                          std::to_string(count) + " were looked up: was the stream made anew?"};
  ASSIGN_OR_RETURN(const RedisClient::Reply left, redis.Call({"XRANGE", stream, "-", ToString(last), "COUNT", "1"}));
  RETURN_IF_ERROR(RefuseError(*left));
  if (left->elements == 0) return {};
  return Error{ErrorCode::kRefused, "entries up to " + ToString(last) + " are still there after XTRIM"};
}

}  // namespace

Result<uint64_t> TrimArchived(RedisClient& redis, BatchWriter& writer, const std::string& stream,
                              const std::string& event_id_field) {
  uint64_t trimmed = 0;
  ASSIGN_OR_RETURN(const std::vector<GroupPosition> groups, PositionsOfGroups(redis, stream));
  if (groups.empty()) return trimmed;
  StreamId done = groups.front().done;
  for (const GroupPosition& group : groups) done = std::min(done, group.done);
  while (true) {
    ASSIGN_OR_RETURN(const EntryBatch page, FirstEntries(redis, stream, done, event_id_field));
    if (page.entries.empty()) return trimmed;
    ASSIGN_OR_RETURN(const size_t archived, writer.CountArchived(page));
    if (archived > 0) {
      RETURN_IF_ERROR(Remove(redis, stream, page.entries[archived - 1].id, archived));
      trimmed += archived;
    }
    if (archived == page.entries.size()) continue;
    return Error{ErrorCode::kRefused, "entry " + ToString(page.entries[archived].id) +
                                          " was acknowledged and is not in the log: it stays, and what is above it"};
  }
}

}  // namespace sprockets
