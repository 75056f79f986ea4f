#include "replayer/archive/group_maker.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "replayer/access/access_control.h"
#include "replayer/archive/group_positions.h"
#include "shared/base/log.h"
#include "shared/redis/stream_id.h"

namespace sprockets {
namespace {

/// Of a group that exists. None: there is no such group.
Result<std::optional<StreamId>> DoneUpTo(RedisClient& redis, const std::string& stream, const std::string& group) {
  ASSIGN_OR_RETURN(const std::vector<GroupPosition> groups, PositionsOfGroups(redis, stream));
  for (const GroupPosition& each : groups) {
    if (each.group == group) return std::optional(each.done);
  }
  return std::optional<StreamId>();
}

Result<std::optional<StreamId>> Noted(Postgres& postgres, const std::string& stream, const std::string& group) {
  const std::vector<std::string> key{stream, group};
  ASSIGN_OR_RETURN(
      const Postgres::Rows rows,
      postgres.Query("SELECT after_id FROM sprockets.log_begins WHERE stream = $1 AND group_name = $2", key));
  return rows.empty() ? std::nullopt : ParseStreamId(rows[0][0].value_or(""));
}

Status Note(Postgres& postgres, const std::string& stream, const std::string& group, StreamId after) {
  const std::vector<std::string> row{stream, group, ToString(after)};
  const auto noted = postgres.Query(
      "INSERT INTO sprockets.log_begins (stream, group_name, after_id) VALUES ($1, $2, $3) ON CONFLICT (stream, "
      "group_name) DO UPDATE SET after_id = EXCLUDED.after_id",
      row);
  return noted.ok() ? Status() : Status(noted.error());
}

}  // namespace

Status GroupMaker::Ensure(RedisClient& redis, const std::string& stream) {
  ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(postgres_.url, postgres_.wait_ms));
  ASSIGN_OR_RETURN(const std::optional<StreamId> noted, Noted(postgres, stream, group_));
  ASSIGN_OR_RETURN(const std::optional<StreamId> done, DoneUpTo(redis, stream, group_));
  if (done) return noted ? Status() : Note(postgres, stream, group_, *done);
  ASSIGN_OR_RETURN(const StreamId last, LastIdOf(redis, stream));
  StreamId after = kStreamBegin;
  if (noted) {
    after = *noted <= last ? *noted : kStreamBegin;
  } else {
    const auto declared = std::find_if(declared_.begin(), declared_.end(), [&](const ConsumerGroup& each) {
      return each.stream == stream && each.group == group_;
    });
    if (declared != declared_.end() && declared->position == "$") after = last;
    if (declared != declared_.end() && declared->position != "$")
      after = ParseStreamId(declared->position).value_or(kStreamBegin);
  }
  // Noted before it is made: a group that is there, and of which nobody knows where it began, would be trusted.
  if (noted != after) RETURN_IF_ERROR(Note(postgres, stream, group_, after));
  const ConsumerGroup group{stream, group_, after == kStreamBegin ? "0" : ToString(after)};
  const Status created = CreateGroup(redis, stream, group);
  // Another instance may have been faster.
  if (!created.ok() && created.error().message.find("BUSYGROUP") != std::string::npos) return {};
  RETURN_IF_ERROR(created);
  LogInfo(noted ? "group-made-again" : "group-made",
          {{"stream", stream}, {"group", group_}, {"after", ToString(after)}});
  return {};
}

}  // namespace sprockets
