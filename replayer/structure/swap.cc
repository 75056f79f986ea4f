#include "replayer/structure/swap.h"

#include <array>
#include <map>
#include <string_view>

#include "replayer/redis/pipeline.h"
#include "replayer/structure/stream_groups.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int kSwapAttempts = 50;  // of a stream whose groups are in use

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

}  // namespace

Status Swapper::Swap(const Structure& structure, const std::vector<Loader::Key>& keys, const LiveState& live) {
  RETURN_IF_ERROR(structure.kind == RedisKind::kStream ? SwapStreams(keys, live) : SwapKeys(keys));
  return RemoveGone(live.gone);
}

/// Old aside and new in at once, so that a reader sees the one or the other; then the old one is freed in the
/// background. RENAME over a large key would block Redis while it frees it.
Status Swapper::SwapKeys(const std::vector<Loader::Key>& keys) {
  Pipeline pipeline(redis_);
  const auto queued = [](const redisReply& reply) { return RefuseError(reply); };
  for (const Loader::Key& key : keys) {
    const std::string old = scratch_.AsideOf(key.key);
    const auto swapped = [&key](const redisReply& reply) -> Status {
      RETURN_IF_ERROR(RefuseError(reply));
      // The first may say that there was no such key; the second may not.
      return reply.elements == 2 ? RefuseError(*reply.element[1]).Prefixed("swapping " + Escape(key.key))
                                 : Error{ErrorCode::kRefused, "the swap of " + Escape(key.key) + " did not happen"};
    };
    const std::array<std::string_view, 3> note{"SADD", ScratchKeys::registry(), old};
    const std::array<std::string_view, 1> multi{"MULTI"};
    const std::array<std::string_view, 3> set_aside{"RENAME", key.key, old};
    const std::array<std::string_view, 3> put_in{"RENAME", key.name, key.key};
    const std::array<std::string_view, 1> exec{"EXEC"};
    RETURN_IF_ERROR(pipeline.Add(note));
    RETURN_IF_ERROR(pipeline.Add(multi));
    RETURN_IF_ERROR(pipeline.Add(set_aside, queued));
    RETURN_IF_ERROR(pipeline.Add(put_in, queued));
    RETURN_IF_ERROR(pipeline.Add(exec, swapped));
    RETURN_IF_ERROR(scratch_.AddCleanUp(pipeline, key));
  }
  return pipeline.Finish();
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
      RETURN_IF_ERROR(scratch_.AddCleanUp(pipeline, key));
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
  for (const Loader::Key& key : keys) {
    const std::array<std::string_view, 2> remove{"UNLINK", key.name};
    RETURN_IF_ERROR(pipeline.Add(remove));
    RETURN_IF_ERROR(scratch_.AddCleanUp(pipeline, key));
  }
  return pipeline.Finish();
}

}  // namespace sprockets
