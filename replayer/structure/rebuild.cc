#include "replayer/structure/rebuild.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "replayer/access/access_control.h"
#include "replayer/redis/pipeline.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

/// The names of everything that is written beside the live keys, before it is written.
constexpr std::string_view kRegistry = "sprockets:rebuild";

/// With a number and a colon, what comes before the name of a key that made room.
constexpr std::string_view kAside = "sprockets:aside:";

// Held as long as the transaction: gone with a killed run, and nothing of a session.
constexpr const char* kLock = "SELECT pg_try_advisory_xact_lock(hashtext('sprockets rebuild'))";
constexpr int64_t kLockWaitMs = 3'000;

constexpr std::string_view kWayOut = "; rebuild --force does it all the same";
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

Error Refused(const Structure& structure, const std::string& why) {
  return {ErrorCode::kRefused, structure.name + ": " + why};
}

/// A glob that matches `text` and nothing else.
std::string EscapeGlob(std::string_view text) {
  std::string glob;
  for (const char letter : text) {
    if (std::string_view("*?[]^\\").find(letter) != std::string_view::npos) glob += '\\';
    glob += letter;
  }
  return glob;
}

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

/// Fields of XINFO's flat answers, by name.
const redisReply* FieldOf(const redisReply& reply, std::string_view name) {
  for (size_t i = 0; i + 1 < reply.elements; i += 2) {
    if (TextOf(*reply.element[i]) == name) return reply.element[i + 1];
  }
  return nullptr;
}

}  // namespace

Rebuilder::Rebuilder(Postgres& postgres, RedisClient& redis, const SetConfig& config, std::vector<ConsumerGroup> groups,
                     KeyOwners& owners)
    : postgres_(postgres),
      redis_(redis),
      config_(config),
      groups_(std::move(groups)),
      owners_(owners),
      number_(std::to_string(std::random_device{}())),
      prefix_(config.into.empty() ? std::string(kRegistry) + ":" + number_ + ":" : config.into) {}

Result<RebuiltStructure> Rebuilder::Rebuild(const Structure& structure, Progress& progress,
                                            const std::function<Status()>& before_swap) {
  Result<RebuiltStructure> rebuilt = RebuildOne(structure, progress, before_swap);
  if (rebuilt.ok()) return rebuilt;
  Error error = std::move(rebuilt).error();
  const bool is_named = error.message.find(structure.name) != std::string::npos;
  return is_named ? error : std::move(error).Prefixed(structure.name);
}

Result<RebuiltStructure> Rebuilder::RebuildOne(const Structure& structure, Progress& progress,
                                               const std::function<Status()>& before_swap) {
  RebuiltStructure rebuilt;
  rebuilt.name = structure.name;
  const bool drill = !config_.into.empty();
  ASSIGN_OR_RETURN(Source source, Source::Open(postgres_, structure));
  LiveState live;
  if (!drill) {
    ASSIGN_OR_RETURN(live, LookAtLive(source, structure, &rebuilt));
    if (!live.differs) return rebuilt;
    if (!config_.force) RETURN_IF_ERROR(GuardLive(structure, live));
    if (config_.dry_run) {
      RETURN_IF_ERROR(source.RefuseDuplicate());
      if (!config_.force) {
        for (const ComparedKey& key : live.keys) RETURN_IF_ERROR(GuardRows(structure, key.key, key.rows));
      }
      rebuilt.state = RebuiltStructure::State::kWouldChange;
      return rebuilt;
    }
  }
  std::vector<Loader::Key> keys;
  Status status = BuildNew(source, structure, progress, &rebuilt, &keys);
  if (status.ok() && !drill && before_swap) status = before_swap();
  if (status.ok() && !drill) status = lock_->Check();
  if (status.ok() && !drill) {
    status = structure.kind == RedisKind::kStream ? SwapStreams(structure, keys, live) : Swap(keys);
    if (status.ok()) status = RemoveGone(live.gone);
    // Where neither side has anything, nothing has changed.
    const bool changed = !keys.empty() || !live.gone.empty();
    if (changed) rebuilt.state = RebuiltStructure::State::kRebuilt;
    if (status.ok()) return rebuilt;
  }
  rebuilt.state = RebuiltStructure::State::kDrilled;
  const Status removed = RemoveLoaded(keys);
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(removed);
  return rebuilt;
}

/// Everything up to the swap.
Status Rebuilder::BuildNew(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
                           std::vector<Loader::Key>* keys) {
  RETURN_IF_ERROR(Load(source, structure, progress, rebuilt, keys));
  for (const Loader::Key& key : *keys) RETURN_IF_ERROR(owners_.Claim(key.key, structure.name));
  if (config_.into.empty() && !config_.force) {
    for (const Loader::Key& key : *keys) RETURN_IF_ERROR(GuardRows(structure, key.key, key.rows));
  }
  return VerifyLoaded(source, structure, rebuilt);
}

Status Rebuilder::Begin(const RedisLock& lock) {
  lock_ = &lock;
  // A run that was killed holds its lock until PostgreSQL notices.
  const int64_t begun_ms = SteadyClockMs();
  while (true) {
    RETURN_IF_ERROR(postgres_.BeginSnapshot());
    ASSIGN_OR_RETURN(const auto locked, postgres_.Query(kLock));
    if (locked[0][0] == "t") break;
    postgres_.Rollback();
    if (SteadyClockMs() - begun_ms > kLockWaitMs || !SleepUnlessStopped(100))
      return Error{ErrorCode::kBusy, "another rebuild is at work: wait for it, or stop it"};
  }
  RETURN_IF_ERROR(RemoveLeftovers());
  if (config_.into.empty()) return {};
  // A drill removes its keys afterwards, so they must be its own.
  ASSIGN_OR_RETURN(const std::vector<std::string> taken, ScanKeys(redis_, EscapeGlob(config_.into) + "*"));
  if (taken.empty()) return {};
  return Error{ErrorCode::kRefused, "--into: Redis has keys that begin with " + Escape(config_.into) + ", such as " +
                                        Escape(taken.front()) + ": take another prefix"};
}

Status Rebuilder::RemoveLeftovers() {
  ASSIGN_OR_RETURN(const RedisClient::Reply names, redis_.Call({"SMEMBERS", kRegistry}));
  RETURN_IF_ERROR(RefuseError(*names));
  if (names->elements == 0) return {};
  LogInfo("removing-leftovers", {{"keys", names->elements}, {"of", "a rebuild that was interrupted"}});
  Pipeline pipeline(redis_);
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

/// Does anything have to be done? A stream is looked at whole, for what it may hold besides.
Result<Rebuilder::LiveState> Rebuilder::LookAtLive(Source& source, const Structure& structure,
                                                   RebuiltStructure* rebuilt) {
  LiveState live;
  const bool is_stream = structure.kind == RedisKind::kStream;
  const auto look = [&](const Difference& difference) {
    live.differs = true;
    if (difference.problem == "extra" && !difference.member) live.gone.push_back(difference.key);
    if (is_stream && IsExtraMember(difference)) {
      live.extra_entry = *difference.member + " of " + difference.key;
    }
    // Of keys that are gone all must be known, so only queries with one key may stop early.
    return structure.key.empty() || is_stream || config_.dry_run;
  };
  if (!structure.key.empty() && !config_.dry_run) {
    ASSIGN_OR_RETURN(const uint64_t count, CountOf(redis_, structure.kind, structure.key));
    ASSIGN_OR_RETURN(const RedisClient::Reply type, redis_.Call({"TYPE", structure.key}));
    if (count == 0 && TextOf(*type) == "none") {
      live.differs = true;
      return live;
    }
  }
  std::vector<ComparedKey>* const keys = structure.key.empty() || is_stream || config_.dry_run ? &live.keys : nullptr;
  ASSIGN_OR_RETURN(const Compared compared, Compare(source, structure, redis_, "", look, keys));
  for (const ComparedKey& key : live.keys) RETURN_IF_ERROR(owners_.Claim(key.key, structure.name));
  rebuilt->keys = compared.keys;
  rebuilt->rows = compared.rows;
  return live;
}

Status Rebuilder::Load(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
                       std::vector<Loader::Key>* keys) {
  const int64_t begun_ms = SteadyClockMs();
  Loader loader(redis_, structure.kind, prefix_, std::string(kRegistry));
  Status loaded = source.Visit(Source::Order::kScoresRise, [&](const SourceRow& row) -> Status {
    progress.Advance(row.number);
    return loader.Add(row).Prefixed(structure.name);
  });
  if (loaded.ok()) loaded = loader.Finish().Prefixed(structure.name);
  *keys = loader.keys();
  RETURN_IF_ERROR(loaded);
  for (const Loader::Key& key : *keys) {
    if (key.stored == key.rows) continue;
    RETURN_IF_ERROR(source.RefuseDuplicate());
    return Refused(structure, structure.file.native() + ": key " + Escape(key.key) + ": Redis has not taken every row");
  }
  rebuilt->keys = keys->size();
  rebuilt->rows = loader.rows();
  rebuilt->load_ms = SteadyClockMs() - begun_ms;
  return {};
}

/// What Redis has and the source has not must not go by itself.
Status Rebuilder::GuardLive(const Structure& structure, const LiveState& live) const {
  if (!live.extra_entry.empty()) {
    return Refused(structure, "the live stream holds an entry that the source lacks, " + Escape(live.extra_entry) +
                                  ": let it reach PostgreSQL first" + std::string(kWayOut));
  }
  if (live.gone.empty()) return {};
  return Refused(structure, "the source has nothing for key " + Escape(live.gone.front()) +
                                ", which is not empty in Redis" + std::string(kWayOut));
}

/// A source that has lost its rows must not take Redis's away.
Status Rebuilder::GuardRows(const Structure& structure, const std::string& key, uint64_t rows) {
  ASSIGN_OR_RETURN(const uint64_t count, CountOfAnyKind(redis_, key));
  if (!LosesTooMuch(count, rows)) return {};
  return Refused(structure, "the source has " + FormatCount(rows) + " rows for key " + Escape(key) + ", Redis has " +
                                FormatCount(count) + std::string(kWayOut));
}

Status Rebuilder::VerifyLoaded(Source& source, const Structure& structure, RebuiltStructure* rebuilt) {
  const int64_t begun_ms = SteadyClockMs();
  std::string first;
  const auto look = [&](const Difference& difference) {
    first = Escape(difference.key) + " " + Escape(difference.member.value_or("")) + " is " + difference.problem;
    return false;
  };
  ASSIGN_OR_RETURN(const Compared compared, Compare(source, structure, redis_, prefix_, look));
  rebuilt->verify_ms = SteadyClockMs() - begun_ms;
  if (compared.differences == 0) return {};
  return Refused(structure, "what was written is not what was read: " + first + "; nothing was changed");
}

/// The groups of the live stream go on where they are, with what they have not acknowledged.
Status Rebuilder::CopyGroups(const Loader::Key& key, std::map<std::string, ReadUpTo>* read_up_to) {
  ASSIGN_OR_RETURN(const RedisClient::Reply groups, redis_.Call({"XINFO", "GROUPS", key.key}));
  if (IsError(*groups)) return TextOf(*groups).starts_with("ERR no such key") ? Status() : RefuseError(*groups);
  ASSIGN_OR_RETURN(const RedisClient::Reply live, redis_.Call({"XINFO", "STREAM", key.key}));
  RETURN_IF_ERROR(RefuseError(*live));
  const redisReply* last_id = FieldOf(*live, "last-generated-id");
  const bool never_used = last_id != nullptr && TextOf(*last_id) == "0-0";
  for (size_t i = 0; i < groups->elements; ++i) {
    const redisReply& group = *groups->element[i];
    const std::string name(TextOf(*FieldOf(group, "name")));
    const auto declared = std::find_if(groups_.begin(), groups_.end(), [&](const ConsumerGroup& other) {
      return other.stream == key.key && other.group == name;
    });
    if (never_used && declared != groups_.end()) {
      // It was made while the stream was empty, so it is nowhere yet: at its end it stays only if it begins there.
      RETURN_IF_ERROR(CreateGroup(redis_, key.name, *declared));
      continue;
    }
    const std::string position(TextOf(*FieldOf(group, "last-delivered-id")));
    // Counted anew: the new stream has not had all the entries that were added to the old one.
    ReadUpTo& counted = (*read_up_to)[name];
    if (position == "0-0") {
      counted = {};
    } else if (counted.position == "0-0" || ParseStreamId(position) < ParseStreamId(counted.position)) {
      ASSIGN_OR_RETURN(const int64_t behind, CountEntries(redis_, key.name, position, "+"));
      counted.entries = static_cast<int64_t>(key.rows) - behind;
    } else {
      ASSIGN_OR_RETURN(const int64_t more, CountEntries(redis_, key.name, counted.position, position));
      counted.entries += more;
    }
    counted.position = position;
    ASSIGN_OR_RETURN(const RedisClient::Reply created, redis_.Call({"XGROUP", "CREATE", key.name, name, position,
                                                                    "ENTRIESREAD", std::to_string(counted.entries)}));
    RETURN_IF_ERROR(RefuseError(*created));
    RETURN_IF_ERROR(CopyConsumers(key.key, key.name, name));
    RETURN_IF_ERROR(CopyPending(key.key, key.name, name));
  }
  return {};
}

/// Those, too, that have nothing pending.
Status Rebuilder::CopyConsumers(const std::string& from, const std::string& to, const std::string& group) {
  ASSIGN_OR_RETURN(const RedisClient::Reply consumers, redis_.Call({"XINFO", "CONSUMERS", from, group}));
  RETURN_IF_ERROR(RefuseError(*consumers));
  Pipeline pipeline(redis_);
  for (size_t i = 0; i < consumers->elements; ++i) {
    const std::array<std::string_view, 5> words{"XGROUP", "CREATECONSUMER", to, group,
                                                TextOf(*FieldOf(*consumers->element[i], "name"))};
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  return pipeline.Finish();
}

Status Rebuilder::CopyPending(const std::string& from, const std::string& to, const std::string& group) {
  constexpr size_t kPage = 1000;
  std::string after = "-";
  while (true) {
    ASSIGN_OR_RETURN(const RedisClient::Reply page,
                     redis_.Call({"XPENDING", from, group, after, "+", std::to_string(kPage)}));
    RETURN_IF_ERROR(RefuseError(*page));
    Pipeline pipeline(redis_);
    for (size_t i = 0; i < page->elements; ++i) {
      const redisReply& entry = *page->element[i];
      const std::string idle = std::to_string(entry.element[2]->integer);
      const std::string tries = std::to_string(entry.element[3]->integer);
      const std::string_view id = TextOf(*entry.element[0]);
      const std::array<std::string_view, 12> claim{"XCLAIM",     to,    group,   TextOf(*entry.element[1]),
                                                   "0",          id,    "IDLE",  idle,
                                                   "RETRYCOUNT", tries, "FORCE", "JUSTID"};
      RETURN_IF_ERROR(pipeline.Add(claim));
      after = "(" + std::string(id);
    }
    RETURN_IF_ERROR(pipeline.Finish());
    if (page->elements < kPage) return {};
  }
}

Status Rebuilder::RemoveGroups(const std::string& key) {
  ASSIGN_OR_RETURN(const RedisClient::Reply groups, redis_.Call({"XINFO", "GROUPS", key}));
  RETURN_IF_ERROR(RefuseError(*groups));
  Pipeline pipeline(redis_);
  for (size_t i = 0; i < groups->elements; ++i) {
    const std::array<std::string_view, 4> words{"XGROUP", "DESTROY", key,
                                                TextOf(*FieldOf(*groups->element[i], "name"))};
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  return pipeline.Finish();
}

std::string Rebuilder::AsideOf(const std::string& key) const {
  return std::string(kAside) + number_ + ":" + key;
}

/// Old aside and new in at once, so that a reader sees the one or the other; then the old one is freed in the
/// background. RENAME over a large key would block Redis while it frees it.
Status Rebuilder::Swap(const std::vector<Loader::Key>& keys) {
  Pipeline pipeline(redis_);
  const auto queued = [](const redisReply& reply) { return RefuseError(reply); };
  for (const Loader::Key& key : keys) {
    const std::string old = AsideOf(key.key);
    const auto swapped = [&key](const redisReply& reply) -> Status {
      RETURN_IF_ERROR(RefuseError(reply));
      // The first may say that there was no such key; the second may not.
      return reply.elements == 2 ? RefuseError(*reply.element[1]).Prefixed("swapping " + Escape(key.key))
                                 : Error{ErrorCode::kRefused, "the swap of " + Escape(key.key) + " did not happen"};
    };
    const std::array<std::string_view, 3> note{"SADD", kRegistry, old};
    const std::array<std::string_view, 1> multi{"MULTI"};
    const std::array<std::string_view, 3> set_aside{"RENAME", key.key, old};
    const std::array<std::string_view, 3> put_in{"RENAME", key.name, key.key};
    const std::array<std::string_view, 1> exec{"EXEC"};
    RETURN_IF_ERROR(pipeline.Add(note));
    RETURN_IF_ERROR(pipeline.Add(multi));
    RETURN_IF_ERROR(pipeline.Add(set_aside, queued));
    RETURN_IF_ERROR(pipeline.Add(put_in, queued));
    RETURN_IF_ERROR(pipeline.Add(exec, swapped));
    RETURN_IF_ERROR(AddCleanUp(pipeline, key));
  }
  return pipeline.Finish();
}

Status Rebuilder::SwapStreams(const Structure& structure, const std::vector<Loader::Key>& keys, const LiveState& live) {
  std::map<std::string_view, StreamId> compared_up_to;  // none: it was not there
  for (const ComparedKey& key : live.keys) compared_up_to[key.key] = key.last_entry;
  for (const Loader::Key& key : keys) RETURN_IF_ERROR(SwapStream(structure, key, compared_up_to[key.key]));
  return {};
}

/// An entry that has come since the comparison would go with the old stream, and what consumers have done since their
/// groups were copied would be done again. So the exchange is a script, which happens only if neither has changed:
/// WATCH does not notice what consumers do.
Status Rebuilder::SwapStream(const Structure& structure, const Loader::Key& key, StreamId compared_up_to) {
  const std::string old = AsideOf(key.key);
  ASSIGN_OR_RETURN(const RedisClient::Reply noted, redis_.Call({"SADD", kRegistry, old}));
  RETURN_IF_ERROR(RefuseError(*noted));
  std::map<std::string, ReadUpTo> read_up_to;
  std::string newest;  // of an empty stream without groups
  std::string groups;
  for (int attempt = 0; attempt < kSwapAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const RedisClient::Reply live,
                     redis_.Call({"EVAL", kExchangeStreams, "3", key.key, key.name, old, newest, groups}));
    RETURN_IF_ERROR(RefuseError(*live).Prefixed("swapping " + Escape(key.key)));
    if (live->elements == 0) {
      Pipeline pipeline(redis_);
      RETURN_IF_ERROR(AddCleanUp(pipeline, key));
      return pipeline.Finish();
    }
    newest = TextOf(*live->element[0]);
    groups = TextOf(*live->element[1]);
    if (!config_.force && !newest.empty() && ParseStreamId(newest) > compared_up_to) {
      return Refused(structure, "the live stream " + Escape(key.key) + " has taken an entry meanwhile, " + newest +
                                    ": run it again, or stop its writers until it is done" + std::string(kWayOut));
    }
    RETURN_IF_ERROR(RemoveGroups(key.name));
    RETURN_IF_ERROR(CopyGroups(key, &read_up_to));
  }
  return Refused(structure, "the groups of " + Escape(key.key) + " changed each of the " +
                                std::to_string(kSwapAttempts) +
                                " times that they were copied: pause its consumers and run it again");
}

Status Rebuilder::AddCleanUp(Pipeline& pipeline, const Loader::Key& key) const {
  const auto ignored = [](const redisReply&) { return Status(); };
  const std::string old = AsideOf(key.key);
  // Where the new key was gone (evicted, expired), the old one goes back to its place before what is aside is freed.
  const std::array<std::string_view, 3> put_back{"RENAMENX", old, key.key};
  const std::array<std::string_view, 2> free{"UNLINK", old};
  const std::array<std::string_view, 4> forget{"SREM", kRegistry, old, key.name};
  RETURN_IF_ERROR(pipeline.Add(put_back, ignored));
  RETURN_IF_ERROR(pipeline.Add(free, ignored));
  return pipeline.Add(forget);
}

Status Rebuilder::RemoveGone(const std::vector<std::string>& gone) {
  Pipeline pipeline(redis_);
  for (const std::string& key : gone) {
    const std::array<std::string_view, 2> words{"UNLINK", key};
    RETURN_IF_ERROR(pipeline.Add(words));
  }
  return pipeline.Finish();
}

/// What was written beside the live keys; one of these that is aside still goes back.
Status Rebuilder::RemoveLoaded(const std::vector<Loader::Key>& keys) {
  Pipeline pipeline(redis_);
  for (const Loader::Key& key : keys) {
    const std::array<std::string_view, 2> remove{"UNLINK", key.name};
    RETURN_IF_ERROR(pipeline.Add(remove));
    RETURN_IF_ERROR(AddCleanUp(pipeline, key));
  }
  return pipeline.Finish();
}

}  // namespace sprockets
