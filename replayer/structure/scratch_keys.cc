#include "replayer/structure/scratch_keys.h"

#include <array>
#include <random>

#include "shared/base/log.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr std::string_view kRegistry = "sprockets:rebuild";

/// With a number and a colon, what comes before the name of a key that made room.
constexpr std::string_view kAside = "sprockets:aside:";

}  // namespace

ScratchKeys::ScratchKeys(const std::optional<std::string>& into)
    : number_(std::to_string(std::random_device{}())),
      prefix_(into.value_or(std::string(kRegistry) + ":" + number_ + ":")) {}

std::string_view ScratchKeys::registry() {
  return kRegistry;
}

std::string ScratchKeys::AsideOf(const std::string& key) const {
  return std::string(kAside) + number_ + ":" + key;
}

Status ScratchKeys::AddNote(Pipeline& pipeline, std::span<const Loader::Key> keys) const {
  std::string note;
  AppendBulk(note, "SADD");
  AppendBulk(note, kRegistry);
  for (const Loader::Key& key : keys) AppendBulk(note, AsideOf(key.key));
  return pipeline.AddEncoded(2 + keys.size(), note);
}

/// The new key may be gone (evicted, expired); then the place of the old one is empty.
Status ScratchKeys::AddPutBack(Pipeline& pipeline, const Loader::Key& key) const {
  const auto ignored = [](const redisReply&) { return Status(); };
  return pipeline.Add(std::array<std::string_view, 3>{"RENAMENX", AsideOf(key.key), key.key}, ignored);
}

Status ScratchKeys::AddCleanUp(Pipeline& pipeline, std::span<const Loader::Key> keys) const {
  std::string free;
  std::string forget;
  AppendBulk(free, "UNLINK");
  AppendBulk(forget, "SREM");
  AppendBulk(forget, kRegistry);
  for (const Loader::Key& key : keys) {
    const std::string old = AsideOf(key.key);
    AppendBulk(free, old);
    AppendBulk(forget, old);
    AppendBulk(forget, key.name);
  }
  RETURN_IF_ERROR(pipeline.AddEncoded(1 + keys.size(), free, [](const redisReply&) { return Status(); }));
  return pipeline.AddEncoded(2 + 2 * keys.size(), forget);
}

Status ScratchKeys::RemoveLeftovers(RedisClient& redis) {
  ASSIGN_OR_RETURN(const RedisClient::Reply names, redis.Call({"SMEMBERS", kRegistry}));
  RETURN_IF_ERROR(RefuseError(*names));
  if (names->elements == 0) return {};
  LogInfo("removing-leftovers", {{"keys", names->elements}, {"of", "a rebuild that was interrupted"}});
  Pipeline pipeline(redis);
  const auto ignored = [](const redisReply&) { return Status(); };
  for (size_t i = 0; i < names->elements; ++i) {
    const std::string_view name = TextOf(*names->element[i]);
    if (name.starts_with(kAside)) {
      // An old key whose place is empty was on its way back.
      const std::array<std::string_view, 3> put_back{"RENAMENX", name, name.substr(name.find(':', kAside.size()) + 1)};
      RETURN_IF_ERROR(pipeline.Add(put_back, ignored));
    }
    const std::array<std::string_view, 2> words{"UNLINK", TextOf(*names->element[i])};
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  const std::array<std::string_view, 2> words{"DEL", kRegistry};
  RETURN_IF_ERROR(pipeline.Add(words));
  return pipeline.Finish();
}

}  // namespace sprockets
