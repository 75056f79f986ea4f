#include "replayer/structure/live_keys.h"

#include <array>
#include <utility>

#include "replayer/structure/allowance.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr size_t kKeysAtOnce = 500;

/// Asks whether any of many keys is there, some hundred with each command.
class AnyThere {
 public:
  explicit AnyThere(RedisClient& redis) : redis_(redis) {}

  Status Ask(std::string_view key) {
    ++asked_;
    AppendBulk(names_, key);
    return ++gathered_ < kKeysAtOnce ? Status() : Finish();
  }
  Status Finish() {
    if (gathered_ == 0) return {};
    std::string command;
    AppendBulk(command, "EXISTS");
    command += std::exchange(names_, {});
    Pipeline pipeline(redis_);
    RETURN_IF_ERROR(pipeline.AddEncoded(1 + std::exchange(gathered_, 0), command, [this](const redisReply& reply) {
      found_ = found_ || IsError(reply) || reply.integer != 0;
      return Status();
    }));
    return pipeline.Finish();
  }
  /// As far as Redis was asked. What it does not tell us may be there.
  bool found() const { return found_; }
  uint64_t asked() const { return asked_; }

 private:
  RedisClient& redis_;
  bool found_ = false;
  uint64_t asked_ = 0;
  std::string names_;
  size_t gathered_ = 0;
};

/// What tells how many elements a key of this type has; empty: it counts as one.
std::string_view CountCommandOf(std::string_view type) {
  if (type == "zset") return "ZCARD";
  if (type == "stream") return "XLEN";
  if (type == "hash") return "HLEN";
  if (type == "set") return "SCARD";
  return type == "list" ? "LLEN" : "";
}

/// Has Redis a key that matches, besides those of a rebuild at work?
Result<bool> HasKeysLike(RedisClient& redis, std::string_view glob) {
  std::string cursor = "0";
  do {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({"SCAN", cursor, "MATCH", glob, "COUNT", "1000"}));
    RETURN_IF_ERROR(RefuseError(*reply));
    cursor = TextOf(*reply->element[0]);
    const redisReply& keys = *reply->element[1];
    for (size_t i = 0; i < keys.elements; ++i) {
      if (!TextOf(*keys.element[i]).starts_with("sprockets:")) return true;
    }
  } while (cursor != "0");
  return false;
}

}  // namespace

Result<bool> LacksEveryKey(Source& source, const Structure& structure, RedisClient& redis) {
  // With these, a key that is missing may be right.
  if (structure.key || structure.up_to || !Allowance(structure).IsExact()) return false;
  if (structure.keys_glob) {
    ASSIGN_OR_RETURN(const bool has_some, HasKeysLike(redis, *structure.keys_glob));
    if (has_some) return false;
  }
  AnyThere any(redis);
  const Status visited = source.VisitKeys([&](std::string_view key) -> Status {
    if (any.found()) return Error{ErrorCode::kStopped, "enough"};  // ends the source's COPY
    return any.Ask(key);
  });
  if (!visited.ok() && visited.error().code != ErrorCode::kStopped) return visited.error();
  RETURN_IF_ERROR(any.Finish());
  return any.asked() > 0 && !any.found();
}

Result<std::vector<uint64_t>> CountsOfAnyKind(RedisClient& redis, std::span<const std::string_view> keys) {
  struct Count {
    uint64_t elements = 0;
    std::string_view command;  // that tells it better; may be empty
  };
  std::vector<Count> counts(keys.size());
  Pipeline types(redis);
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto take = [count = &counts[i]](const redisReply& reply) -> Status {
      RETURN_IF_ERROR(RefuseError(reply));
      count->elements = TextOf(reply) == "none" ? 0 : 1;
      count->command = CountCommandOf(TextOf(reply));
      return {};
    };
    RETURN_IF_ERROR(types.Add(std::array<std::string_view, 2>{"TYPE", keys[i]}, take));
  }
  RETURN_IF_ERROR(types.Finish());
  Pipeline lengths(redis);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (counts[i].command.empty()) continue;
    const auto take = [count = &counts[i]](const redisReply& reply) -> Status {
      const bool has_changed = IsError(reply) && IsWrongType(TextOf(reply));  // its type, since
      if (!has_changed) RETURN_IF_ERROR(RefuseError(reply));
      count->elements = has_changed ? 0 : static_cast<uint64_t>(reply.integer);
      return {};
    };
    RETURN_IF_ERROR(lengths.Add(std::array<std::string_view, 2>{counts[i].command, keys[i]}, take));
  }
  RETURN_IF_ERROR(lengths.Finish());
  std::vector<uint64_t> elements;
  for (const Count& count : counts) elements.push_back(count.elements);
  return elements;
}

}  // namespace sprockets
