#include "replayer/structure/swap.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string_view>

#include "replayer/redis/pipeline.h"
#include "replayer/structure/stream_groups.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int kSwapAttempts = 50;  // of a stream whose groups are in use
constexpr size_t kKeysAPart = 100;

// KEYS: the live stream, the new one, where the old one goes. ARGV: the newest id, and the groups with their positions
// and how much they have pending, that the live stream is expected to have. If so, exchanges them and returns 1; if
// not, returns what it has.
constexpr std::string_view kExchangeStreams = R"(
local newest, groups = '', ''
if redis.call('TYPE', KEYS[1]).ok == 'stream' then
  local entry = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  newest = entry and entry[1] or ''
  local words = {}
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    for _, word in ipairs(group) do words[#words + 1] = tostring(word) end
  end
  groups = table.concat(words, ' ')
end
if newest ~= ARGV[1] or groups ~= ARGV[2] then return {newest, groups} end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[3]) end
redis.call('RENAME', KEYS[2], KEYS[1])
return 1)";

/// Keys whose names are noted, freed and forgotten together.
std::vector<std::span<const Loader::Key>> InParts(std::span<const Loader::Key> keys) {
  std::vector<std::span<const Loader::Key>> parts;
  for (; !keys.empty(); keys = keys.subspan(parts.back().size()))
    parts.push_back(keys.first(std::min(keys.size(), kKeysAPart)));
  return parts;
}

}  // namespace

Status Swapper::Swap(const Structure& structure, const std::vector<Loader::Key>& keys, const LiveState& live) {
  RETURN_IF_ERROR(structure.kind == RedisKind::kStream ? SwapStreams(keys, live) : SwapKeys(keys));
  return RemoveGone(live.gone);
}

Status Swapper::SwapKeys(const std::vector<Loader::Key>& keys) {
  Pipeline pipeline(redis_);
  for (const std::span<const Loader::Key> some : InParts(keys)) {
    RETURN_IF_ERROR(scratch_.AddNote(pipeline, some));
    for (const Loader::Key& key : some) {
      RETURN_IF_ERROR(AddExchange(pipeline, key));
      RETURN_IF_ERROR(scratch_.AddPutBack(pipeline, key));
    }
    RETURN_IF_ERROR(scratch_.AddCleanUp(pipeline, some));
  }
  return pipeline.Finish();
}

/// Old aside and new in at once, so that a reader sees the one or the other; the old one is freed later and in the
/// background. RENAME over a large key would block Redis while it frees it.
Status Swapper::AddExchange(Pipeline& pipeline, const Loader::Key& key) const {
  const auto queued = [](const redisReply& reply) { return RefuseError(reply); };
  const auto swapped = [&key](const redisReply& reply) -> Status {
    RETURN_IF_ERROR(RefuseError(reply));
    // The first may say that there was no such key; the second may not.
    return reply.elements == 2 ? RefuseError(*reply.element[1]).Prefixed("swapping " + Escape(key.key))
                               : Error{ErrorCode::kRefused, "the swap of " + Escape(key.key) + " did not happen"};
  };
  const std::string old = scratch_.AsideOf(key.key);
  RETURN_IF_ERROR(pipeline.Add(std::array<std::string_view, 1>{"MULTI"}));
  RETURN_IF_ERROR(pipeline.Add(std::array<std::string_view, 3>{"RENAME", key.key, old}, queued));
  RETURN_IF_ERROR(pipeline.Add(std::array<std::string_view, 3>{"RENAME", key.name, key.key}, queued));
  return pipeline.Add(std::array<std::string_view, 1>{"EXEC"}, swapped);
}

Status Swapper::SwapStreams(const std::vector<Loader::Key>& keys, const LiveState& live) {
  std::map<std::string_view, StreamId> compared_up_to;  // none: it was not there
  for (const ComparedKey& key : live.keys) compared_up_to[key.key] = key.last_entry;
  for (const Loader::Key& key : keys) RETURN_IF_ERROR(SwapStream(key, compared_up_to[key.key]));
  return {};
}

/// An entry that has come since the comparison would go with the old stream, and what consumers have done since their
/// groups were copied would be done again. So the exchange is a script, which happens only if neither has changed:
/// WATCH does not notice what consumers do.
Status Swapper::SwapStream(const Loader::Key& key, StreamId compared_up_to) {
  const std::string old = scratch_.AsideOf(key.key);
  ASSIGN_OR_RETURN(const RedisClient::Reply noted, redis_.Call({"SADD", ScratchKeys::registry(), old}));
  RETURN_IF_ERROR(RefuseError(*noted));
  StreamGroups groups_of_live(redis_, declared_, key);
  std::string newest;  // of an empty stream without groups
  std::string groups;
  for (int attempt = 0; attempt < kSwapAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const RedisClient::Reply live,
                     redis_.Call({"EVAL", kExchangeStreams, "3", key.key, key.name, old, newest, groups}));
    RETURN_IF_ERROR(RefuseError(*live).Prefixed("swapping " + Escape(key.key)));
    if (live->elements == 0) {
      Pipeline pipeline(redis_);
      RETURN_IF_ERROR(scratch_.AddPutBack(pipeline, key));
      RETURN_IF_ERROR(scratch_.AddCleanUp(pipeline, {&key, 1}));
      return pipeline.Finish();
    }
    newest = TextOf(*live->element[0]);
    groups = TextOf(*live->element[1]);
    if (!force_ && !newest.empty() && ParseStreamId(newest) > compared_up_to) {
      return Error{ErrorCode::kRefused, "the live stream " + Escape(key.key) + " has taken an entry meanwhile, " +
                                            newest + ": run it again, or stop its writers until it is done" +
                                            std::string(kForceWayOut)};
    }
    RETURN_IF_ERROR(groups_of_live.CopyAnew());
  }
  return Error{ErrorCode::kRefused, "the groups of " + Escape(key.key) + " changed each of the " +
                                        std::to_string(kSwapAttempts) +
                                        " times that they were copied: pause its consumers and run it again"};
}

Status Swapper::RemoveGone(const std::vector<std::string>& gone) {
  Pipeline pipeline(redis_);
  for (const std::string& key : gone) {
    const std::array<std::string_view, 2> words{"UNLINK", key};
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  return pipeline.Finish();
}

Status Swapper::Remove(const std::vector<Loader::Key>& keys) {
  Pipeline pipeline(redis_);
  for (const std::span<const Loader::Key> some : InParts(keys)) {
    for (const Loader::Key& key : some) {
      RETURN_IF_ERROR(pipeline.Add(std::array<std::string_view, 2>{"UNLINK", key.name}));
      RETURN_IF_ERROR(scratch_.AddPutBack(pipeline, key));
    }
    RETURN_IF_ERROR(scratch_.AddCleanUp(pipeline, some));
  }
  return pipeline.Finish();
}

}  // namespace sprockets
