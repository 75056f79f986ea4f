// XINFO STREAM and XRANGE, read for settling.
#include "replayer/drain/search.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "shared/redis/error.h"

namespace sprockets {
namespace {

constexpr size_t kEntryPageBytes = 1024 * 1024;
constexpr size_t kFirstPageEntries = 16;  // until it is known how large entries are
constexpr size_t kMostPageEntries = 16 * 1024;
constexpr size_t kPageGrowth = 4;

std::optional<StreamId> IdIn(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_STRING) return ParseStreamId(TextOf(reply));
  const bool is_entry = reply.type == REDIS_REPLY_ARRAY && reply.elements > 0;
  return is_entry ? IdIn(*reply.element[0]) : std::nullopt;
}

uint64_t Count(const redisReply& reply) {
  return reply.type == REDIS_REPLY_INTEGER ? static_cast<uint64_t>(std::max<long long>(reply.integer, 0)) : 0;
}

/// The entries of one XRANGE reply, as identities into `wanted`. Returns the bytes that they hold.
size_t TickOff(const redisReply& page, const EntryReader& reader, Settlement& wanted) {
  size_t bytes = 0;
  std::vector<std::string_view> fields;
  for (size_t i = 0; i < page.elements; ++i) {
    const redisReply& entry = *page.element[i];
    if (entry.type != REDIS_REPLY_ARRAY || entry.elements < 2 || entry.element[1]->type != REDIS_REPLY_ARRAY) continue;
    const redisReply& pairs = *entry.element[1];
    size_t event_id_at = EventView::kNoEventId;
    fields.clear();
    for (size_t k = 0; k < pairs.elements; ++k) {
      fields.push_back(TextOf(*pairs.element[k]));
      bytes += fields.back().size();
      const bool is_name = k % 2 == 0;
      if (is_name && event_id_at == EventView::kNoEventId && fields.back() == reader.event_id_field)
        event_id_at = k + 1;
    }
    if (event_id_at < fields.size()) wanted.SawEntry(reader.hasher.Of(reader.identity_stream, fields, event_id_at));
  }
  return bytes;
}

bool IsForbidden(const redisReply& reply) {
  // A command that the server's configuration has taken away is unknown to it.
  return IsError(reply) && (IsNoPermission(TextOf(reply)) || TextOf(reply).starts_with("ERR unknown command"));
}

/// What can be known of a stream where XINFO is not allowed.
Result<StreamFacts> ReadLastEntry(RedisClient& client, std::string_view stream) {
  StreamFacts facts;
  facts.complete = false;
  ASSIGN_OR_RETURN(const RedisClient::Reply last, client.Call({"XREVRANGE", stream, "+", "-", "COUNT", "1"}));
  facts.last_id_known = !IsForbidden(*last);
  if (!facts.last_id_known) return facts;
  if (IsError(*last)) return RefusalOf("XREVRANGE", TextOf(*last));
  facts.exists = last->type == REDIS_REPLY_ARRAY && last->elements > 0;
  if (facts.exists) facts.last_id = IdIn(*last->element[0]).value_or(kStreamBegin);
  return facts;
}

}  // namespace

Error RefusalOf(std::string_view command, std::string_view text) {
  const bool of_server = ClassifyRedisError(text) == RefusalScope::kServer;
  return Error{of_server ? ErrorCode::kBusy : ErrorCode::kRefused, std::string(text)}.Prefixed(command);
}

Result<StreamFacts> ReadStreamFacts(RedisClient& client, std::string_view stream) {
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, client.Call({"XINFO", "STREAM", stream}));
  StreamFacts facts;
  if (IsForbidden(*reply)) return ReadLastEntry(client, stream);
  if (IsError(*reply)) {
    if (TextOf(*reply) == "ERR no such key") return facts;
    return RefusalOf("XINFO STREAM", TextOf(*reply));
  }
  facts.exists = true;
  bool has_deleted = false;
  bool has_added = false;
  for (size_t i = 0; i + 1 < reply->elements; i += 2) {
    const std::string_view name = TextOf(*reply->element[i]);
    const redisReply& value = *reply->element[i + 1];
    const StreamId id = IdIn(value).value_or(kStreamBegin);
    if (name == "length") facts.length = Count(value);
    if (name == "last-generated-id") facts.last_id = id;
    if (name == "first-entry") facts.first_id = id;
    if (name == "max-deleted-entry-id") {
      facts.max_deleted_id = id;
      has_deleted = true;
    }
    if (name == "entries-added") {
      facts.entries_added = Count(value);
      has_added = true;
    }
  }
  facts.complete = has_deleted && has_added;
  return facts;
}

Status SearchStream(RedisClient& client, std::string_view stream, StreamId bound, const EntryReader& reader,
                    Settlement& wanted, const std::function<void()>& on_page) {
  const std::string last = ToString(bound);
  size_t count = kFirstPageEntries;
  StreamId from = wanted.begin();
  while (from < bound && !wanted.all_found()) {
    const std::optional<StreamId> first = Next(from);
    if (!first) break;
    ASSIGN_OR_RETURN(const RedisClient::Reply page,
                     client.Call({"XRANGE", stream, ToString(*first), last, "COUNT", std::to_string(count)}));
    if (IsForbidden(*page)) {
      return Error{ErrorCode::kRefused,
                   "what is in doubt waits until this user may look for it: XRANGE: " + std::string(TextOf(*page))};
    }
    if (IsError(*page)) return RefusalOf("XRANGE", TextOf(*page));
    if (page->type != REDIS_REPLY_ARRAY || page->elements == 0) break;
    const std::optional<StreamId> page_end = IdIn(*page->element[page->elements - 1]);
    if (!page_end) return Error{ErrorCode::kRefused, "XRANGE: not an entry"};
    from = *page_end;
    const size_t entry_bytes = TickOff(*page, reader, wanted) / page->elements + 1;
    count = std::clamp<size_t>(kEntryPageBytes / entry_bytes, 1, std::min(count * kPageGrowth, kMostPageEntries));
    on_page();
  }
  wanted.Searched(bound);
  return {};
}

}  // namespace sprockets
