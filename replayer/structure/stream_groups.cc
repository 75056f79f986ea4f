#include "replayer/structure/stream_groups.h"

#include <algorithm>
#include <array>

#include "replayer/access/access_control.h"
#include "replayer/redis/pipeline.h"
#include "replayer/redis/xinfo.h"
#include "shared/redis/stream_id.h"

namespace sprockets {
namespace {

/// How many entries of a stream lie above one id and up to another.
Result<int64_t> CountEntries(RedisClient& redis, const std::string& key, const std::string& above,
                             const std::string& up_to) {
  constexpr size_t kPage = 1000;
  int64_t count = 0;
  std::string after = "(" + above;
  while (true) {
    ASSIGN_OR_RETURN(const RedisClient::Reply page,
                     redis.Call({"XRANGE", key, after, up_to, "COUNT", std::to_string(kPage)}));
    RETURN_IF_ERROR(RefuseError(*page));
    count += static_cast<int64_t>(page->elements);
    if (page->elements < kPage) return count;
    after = "(" + std::string(TextOf(*page->element[kPage - 1]->element[0]));
  }
}

}  // namespace

Status StreamGroups::CopyAnew() {
  RETURN_IF_ERROR(RemoveCopied());
  return Copy();
}

Status StreamGroups::RemoveCopied() {
  ASSIGN_OR_RETURN(const RedisClient::Reply groups, redis_.Call({"XINFO", "GROUPS", key_.name}));
  RETURN_IF_ERROR(RefuseError(*groups));
  Pipeline pipeline(redis_);
  for (size_t i = 0; i < groups->elements; ++i) {
    const std::array<std::string_view, 4> words{"XGROUP", "DESTROY", key_.name,
                                                TextOf(*FieldOf(*groups->element[i], "name"))};
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  return pipeline.Finish();
}

Status StreamGroups::Copy() {
  ASSIGN_OR_RETURN(const RedisClient::Reply groups, redis_.Call({"XINFO", "GROUPS", key_.key}));
  if (IsError(*groups)) return TextOf(*groups).starts_with("ERR no such key") ? Status() : RefuseError(*groups);
  ASSIGN_OR_RETURN(const RedisClient::Reply live, redis_.Call({"XINFO", "STREAM", key_.key}));
  RETURN_IF_ERROR(RefuseError(*live));
  const redisReply* last_id = FieldOf(*live, "last-generated-id");
  const bool never_used = last_id != nullptr && TextOf(*last_id) == "0-0";
  for (size_t i = 0; i < groups->elements; ++i) {
    const redisReply& group = *groups->element[i];
    const std::string name(TextOf(*FieldOf(group, "name")));
    const auto declared = std::find_if(declared_.begin(), declared_.end(), [&](const ConsumerGroup& other) {
      return other.stream == key_.key && other.group == name;
    });
    if (never_used && declared != declared_.end()) {
      // It was made while the stream was empty, so it is nowhere yet: at its end it stays only if it begins there.
      RETURN_IF_ERROR(CreateGroup(redis_, key_.name, *declared));
      continue;
    }
    const std::string position(TextOf(*FieldOf(group, "last-delivered-id")));
    ASSIGN_OR_RETURN(const int64_t entries, EntriesRead(name, position));
    ASSIGN_OR_RETURN(const RedisClient::Reply created, redis_.Call({"XGROUP", "CREATE", key_.name, name, position,
                                                                    "ENTRIESREAD", std::to_string(entries)}));
    RETURN_IF_ERROR(RefuseError(*created));
    RETURN_IF_ERROR(CopyConsumers(name));
    RETURN_IF_ERROR(CopyPending(name));
  }
  return {};
}

/// Counted anew: the new stream has not had all the entries that were added to the old one.
Result<int64_t> StreamGroups::EntriesRead(const std::string& group, const std::string& position) {
  ReadUpTo& counted = read_up_to_[group];
  if (position == "0-0") {
    counted = {};
  } else if (counted.position == "0-0" || ParseStreamId(position) < ParseStreamId(counted.position)) {
    ASSIGN_OR_RETURN(const int64_t behind, CountEntries(redis_, key_.name, position, "+"));
    counted.entries = static_cast<int64_t>(key_.rows) - behind;
  } else {
    ASSIGN_OR_RETURN(const int64_t more, CountEntries(redis_, key_.name, counted.position, position));
    counted.entries += more;
  }
  counted.position = position;
  return counted.entries;
}

/// Those, too, that have nothing pending.
Status StreamGroups::CopyConsumers(const std::string& group) {
  ASSIGN_OR_RETURN(const RedisClient::Reply consumers, redis_.Call({"XINFO", "CONSUMERS", key_.key, group}));
  RETURN_IF_ERROR(RefuseError(*consumers));
  Pipeline pipeline(redis_);
  for (size_t i = 0; i < consumers->elements; ++i) {
    const std::array<std::string_view, 5> words{"XGROUP", "CREATECONSUMER", key_.name, group,
                                                TextOf(*FieldOf(*consumers->element[i], "name"))};
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  return pipeline.Finish();
}

Status StreamGroups::CopyPending(const std::string& group) {
  constexpr size_t kPage = 1000;
  std::string after = "-";
  while (true) {
    ASSIGN_OR_RETURN(const RedisClient::Reply page,
                     redis_.Call({"XPENDING", key_.key, group, after, "+", std::to_string(kPage)}));
    RETURN_IF_ERROR(RefuseError(*page));
    Pipeline pipeline(redis_);
    for (size_t i = 0; i < page->elements; ++i) {
      const redisReply& entry = *page->element[i];
      const std::string idle = std::to_string(entry.element[2]->integer);
      const std::string tries = std::to_string(entry.element[3]->integer);
      const std::string_view id = TextOf(*entry.element[0]);
      const std::array<std::string_view, 12> claim{"XCLAIM",     key_.name, group,   TextOf(*entry.element[1]),
                                                   "0",          id,        "IDLE",  idle,
                                                   "RETRYCOUNT", tries,     "FORCE", "JUSTID"};
      RETURN_IF_ERROR(pipeline.Add(claim));
      after = "(" + std::string(id);
    }
    RETURN_IF_ERROR(pipeline.Finish());
    if (page->elements < kPage) return {};
  }
}

}  // namespace sprockets
