#include "replayer/archive/group_reader.h"

#include <algorithm>
#include <utility>

#include "replayer/redis/pipeline.h"
#include "shared/base/clock.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr size_t kAcknowledgedAtOnce = 1'000;

/// NOGROUP, and what a blocked reader hears when its stream is deleted.
bool IsWithoutGroup(std::string_view error) {
  return error.starts_with("NOGROUP") || error.starts_with("UNBLOCKED");
}

Status RefuseGroupError(const redisReply& reply) {
  if (IsError(reply) && IsWithoutGroup(TextOf(reply))) return Error{ErrorCode::kNotFound, std::string(TextOf(reply))};
  return RefuseError(reply);
}

Error NotUnderstood() {
  return {ErrorCode::kUnreachable, "Redis gave a reply of another shape than a stream's"};
}

bool IsList(const redisReply& reply, size_t least) {
  return reply.type == REDIS_REPLY_ARRAY && reply.elements >= least;
}

}  // namespace

Result<RedisClient::Reply> CallWords(RedisClient& redis, std::span<const std::string_view> words) {
  std::string bytes;
  AppendCommand(bytes, words);
  redis.Queue(bytes);
  return redis.Receive();
}

Status AppendEntries(const redisReply& list, std::string_view event_id_field, int64_t now_ms, const LookAtEntry& look,
                     EntryBatch* batch) {
  std::vector<std::string_view> fields;
  for (size_t i = 0; i < list.elements; ++i) {
    const redisReply& entry = *list.element[i];
    if (entry.type == REDIS_REPLY_NIL) continue;  // of Redis before 7: claimed, and deleted
    if (!IsList(entry, 2)) return NotUnderstood();
    const std::optional<StreamId> id = ParseStreamId(TextOf(*entry.element[0]));
    if (!id) return NotUnderstood();
    const redisReply& pairs = *entry.element[1];
    if (pairs.type != REDIS_REPLY_ARRAY || pairs.elements < 2) {
      batch->deleted.push_back(*id);
      continue;
    }
    if (pairs.elements % 2 != 0) return NotUnderstood();
    fields.clear();
    for (size_t j = 0; j < pairs.elements; ++j) fields.push_back(TextOf(*pairs.element[j]));
    AppendEntry(*batch, *id, fields, event_id_field, now_ms);
    if (look) look(batch->stream, fields, batch->entries.back());
  }
  return {};
}

Status GroupReader::TakeEntries(const redisReply& list, EntryBatch* batch) const {
  return AppendEntries(list, names_.event_id_field, WallClockMs(), look_, batch);
}

Result<std::vector<EntryBatch>> GroupReader::ReadNew(RedisClient& redis, std::span<const std::string> streams,
                                                     int64_t count, int64_t block_ms, size_t* bytes) {
  const std::string count_text = std::to_string(count);
  const std::string block_text = std::to_string(block_ms);
  std::vector<std::string_view> words{"XREADGROUP", "GROUP", names_.group, names_.consumer, "COUNT", count_text};
  if (block_ms > 0) words.insert(words.end(), {"BLOCK", block_text});
  words.emplace_back("STREAMS");
  words.insert(words.end(), streams.begin(), streams.end());
  words.insert(words.end(), streams.size(), ">");
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, CallWords(redis, words));
  RETURN_IF_ERROR(RefuseGroupError(*reply));
  std::vector<EntryBatch> batches;
  if (reply->type == REDIS_REPLY_NIL) return batches;
  for (size_t i = 0; i < reply->elements; ++i) {
    const redisReply& stream = *reply->element[i];
    if (!IsList(stream, 2)) return NotUnderstood();
    EntryBatch& batch = batches.emplace_back();
    batch.stream = TextOf(*stream.element[0]);
    RETURN_IF_ERROR(TakeEntries(*stream.element[1], &batch));
    *bytes += batch.rows.size();
  }
  return batches;
}

Result<EntryBatch> GroupReader::ReadPending(RedisClient& redis, const std::string& stream, StreamId after,
                                            int64_t count) {
  const std::string count_text = std::to_string(count);
  const std::string after_text = ToString(after);
  const std::vector<std::string_view> words{"XREADGROUP", "GROUP",   names_.group, names_.consumer, "COUNT",
                                            count_text,   "STREAMS", stream,       after_text};
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, CallWords(redis, words));
  RETURN_IF_ERROR(RefuseGroupError(*reply));
  EntryBatch batch;
  batch.stream = stream;
  if (reply->type == REDIS_REPLY_NIL || reply->elements == 0) return batch;
  if (!IsList(*reply->element[0], 2)) return NotUnderstood();
  RETURN_IF_ERROR(TakeEntries(*reply->element[0]->element[1], &batch));
  return batch;
}

Result<GroupReader::Claimed> GroupReader::Claim(RedisClient& redis, const std::string& stream, int64_t idle_ms,
                                                const std::string& cursor, int64_t count) {
  const std::string idle_text = std::to_string(idle_ms);
  const std::string count_text = std::to_string(count);
  const std::vector<std::string_view> words{"XAUTOCLAIM", stream, names_.group, names_.consumer,
                                            idle_text,    cursor, "COUNT",      count_text};
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, CallWords(redis, words));
  RETURN_IF_ERROR(RefuseGroupError(*reply));
  if (!IsList(*reply, 2) || reply->element[1]->type != REDIS_REPLY_ARRAY) return NotUnderstood();
  Claimed claimed;
  claimed.cursor = TextOf(*reply->element[0]);
  claimed.batch.stream = stream;
  RETURN_IF_ERROR(TakeEntries(*reply->element[1], &claimed.batch));
  // Since Redis 7: what was deleted, and is pending no more.
  for (size_t i = 0; reply->elements > 2 && i < reply->element[2]->elements; ++i) {
    if (const auto id = ParseStreamId(TextOf(*reply->element[2]->element[i]))) claimed.batch.deleted.push_back(*id);
  }
  return claimed;
}

Result<GroupReader::Pending> GroupReader::CountPending(RedisClient& redis, const std::string& stream) {
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({"XPENDING", stream, names_.group}));
  RETURN_IF_ERROR(RefuseGroupError(*reply));
  if (!IsList(*reply, 4)) return NotUnderstood();
  Pending pending;
  pending.all = static_cast<uint64_t>(reply->element[0]->integer);
  const redisReply& consumers = *reply->element[3];
  for (size_t i = 0; consumers.type == REDIS_REPLY_ARRAY && i < consumers.elements; ++i) {
    const redisReply& consumer = *consumers.element[i];
    if (!IsList(consumer, 2) || TextOf(*consumer.element[0]) != names_.consumer) continue;
    pending.own = std::stoull(std::string(TextOf(*consumer.element[1])));
  }
  return pending;
}

Status GroupReader::KeepOwn(RedisClient& redis, const std::string& stream, int64_t idle_ms) {
  const std::string idle_text = std::to_string(idle_ms);
  std::string from = "-";
  while (true) {
    ASSIGN_OR_RETURN(const RedisClient::Reply idle,
                     redis.Call({"XPENDING", stream, names_.group, "IDLE", idle_text, from, "+",
                                 std::to_string(kAcknowledgedAtOnce), names_.consumer}));
    RETURN_IF_ERROR(RefuseGroupError(*idle));
    if (!IsList(*idle, 1)) return {};
    // Only what is still idle: whoever has claimed an entry meanwhile keeps it.
    std::vector<std::string_view> words{"XCLAIM", stream, names_.group, names_.consumer, idle_text};
    for (size_t i = 0; i < idle->elements; ++i) {
      if (!IsList(*idle->element[i], 4)) return NotUnderstood();
      words.push_back(TextOf(*idle->element[i]->element[0]));
    }
    from = "(" + std::string(words.back());
    words.emplace_back("JUSTID");
    ASSIGN_OR_RETURN(const RedisClient::Reply kept, CallWords(redis, words));
    RETURN_IF_ERROR(RefuseGroupError(*kept));
  }
}

Status GroupReader::Acknowledge(RedisClient& redis, const EntryBatch& batch) {
  std::vector<std::string> ids;
  ids.reserve(batch.entries.size() + batch.deleted.size());
  for (const ArchiveEntry& entry : batch.entries) ids.push_back(ToString(entry.id));
  for (const StreamId id : batch.deleted) ids.push_back(ToString(id));
  Pipeline pipeline(redis);
  for (size_t at = 0; at < ids.size(); at += kAcknowledgedAtOnce) {
    std::vector<std::string_view> words{"XACK", batch.stream, names_.group};
    const size_t end = std::min(ids.size(), at + kAcknowledgedAtOnce);
    words.insert(words.end(), ids.begin() + static_cast<ptrdiff_t>(at), ids.begin() + static_cast<ptrdiff_t>(end));
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  return pipeline.Finish();
}

}  // namespace sprockets
