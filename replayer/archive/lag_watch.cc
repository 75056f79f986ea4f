#include "replayer/archive/lag_watch.h"

#include <algorithm>
#include <utility>

#include "replayer/redis/pipeline.h"
#include "replayer/redis/server.h"
#include "replayer/redis/xinfo.h"
#include "shared/base/clock.h"

namespace sprockets {
namespace {

constexpr int64_t kLookDeadlineMs = 3'000;  // so that a Redis that hangs shows soon

/// What is asked about a stream in the first of two rounds.
struct GroupFacts {
  bool is_there = false;
  StreamId delivered;
  StreamLag lag;
};

void TakeGroup(const redisReply& groups, const std::string& group, GroupFacts* facts) {
  if (groups.type != REDIS_REPLY_ARRAY) return;
  for (size_t i = 0; i < groups.elements; ++i) {
    const redisReply* name = FieldOf(*groups.element[i], "name");
    if (name == nullptr || TextOf(*name) != group) continue;
    const redisReply* delivered = FieldOf(*groups.element[i], "last-delivered-id");
    const redisReply* lag = FieldOf(*groups.element[i], "lag");
    facts->is_there = true;
    if (delivered != nullptr) facts->delivered = ParseStreamId(TextOf(*delivered)).value_or(kStreamBegin);
    if (lag != nullptr && lag->type == REDIS_REPLY_INTEGER && lag->integer >= 0)
      facts->lag.unread = static_cast<uint64_t>(lag->integer);
  }
}

void TakePending(const redisReply& pending, StreamLag* lag) {
  if (pending.type != REDIS_REPLY_ARRAY || pending.elements < 2) return;
  lag->pending = static_cast<uint64_t>(pending.element[0]->integer);
  if (lag->pending > 0) lag->oldest = ParseStreamId(TextOf(*pending.element[1]));
}

void TakeFirstUnread(const redisReply& entries, StreamLag* lag) {
  if (entries.type != REDIS_REPLY_ARRAY || entries.elements == 0 || entries.element[0]->elements == 0) return;
  const std::optional<StreamId> first = ParseStreamId(TextOf(*entries.element[0]->element[0]));
  if (first) lag->oldest = std::min(lag->oldest.value_or(*first), *first);
}

}  // namespace

LagWatch::LagWatch(RedisTarget redis, std::vector<std::string> streams, std::string group)
    : redis_(std::move(redis)), streams_(std::move(streams)), group_(std::move(group)) {}

Status LagWatch::Look() {
  Status looked = LookAtAll();
  if (!looked.ok()) connection_.reset();
  return looked;
}

Status LagWatch::LookAtAll() {
  if (!connection_) {
    ASSIGN_OR_RETURN(Server server, Server::Connect(redis_.url, std::min(redis_.deadline_ms, kLookDeadlineMs)));
    connection_.emplace(std::move(server.client()));
  }
  std::map<std::string, GroupFacts> found;
  {
    Pipeline pipeline(*connection_);
    for (const std::string& stream : streams_) {
      GroupFacts* facts = &found[stream];
      const std::vector<std::string_view> groups{"XINFO", "GROUPS", stream};
      RETURN_IF_ERROR(pipeline.Add(groups, [this, facts](const redisReply& reply) -> Status {
        TakeGroup(reply, group_, facts);
        return {};
      }));
      const std::vector<std::string_view> pending{"XPENDING", stream, group_};
      RETURN_IF_ERROR(pipeline.Add(pending, [facts](const redisReply& reply) -> Status {
        TakePending(reply, &facts->lag);
        return {};
      }));
    }
    RETURN_IF_ERROR(pipeline.Finish());
  }
  Pipeline pipeline(*connection_);
  std::map<std::string, StreamLag> lags;
  for (auto& [stream, facts] : found) {
    if (!facts.is_there) continue;
    StreamLag* lag = &(lags[stream] = facts.lag);
    // Where something is pending, that is older, or has come again.
    if (lag->oldest || lag->unread == 0U) continue;
    const std::string above = "(" + ToString(facts.delivered);
    const std::vector<std::string_view> first{"XRANGE", stream, above, "+", "COUNT", "1"};
    RETURN_IF_ERROR(pipeline.Add(first, [lag](const redisReply& reply) -> Status {
      TakeFirstUnread(reply, lag);
      return {};
    }));
  }
  RETURN_IF_ERROR(pipeline.Finish());
  Keep(std::move(lags));
  return {};
}

void LagWatch::Keep(std::map<std::string, StreamLag> found) {
  const std::lock_guard lock(mutex_);
  for (auto& [stream, lag] : found) {
    const auto before = lags_.find(stream);
    const bool is_same = before != lags_.end() && before->second.oldest == lag.oldest;
    lag.oldest_wall_ms = is_same ? before->second.oldest_wall_ms : WallClockMs();
    lag.oldest_steady_ms = is_same ? before->second.oldest_steady_ms : SteadyClockMs();
  }
  lags_ = std::move(found);
}

std::map<std::string, StreamLag> LagWatch::Lags() const {
  const std::lock_guard lock(mutex_);
  return lags_;
}

}  // namespace sprockets
