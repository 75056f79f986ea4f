#include "replayer/structure/rebuild.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

// Held as long as the transaction: gone with a killed run, and nothing of a session.
constexpr const char* kLock = "SELECT pg_try_advisory_xact_lock(hashtext('sprockets rebuild'))";
constexpr int64_t kLockWaitMs = 3'000;

/// A glob that matches `text` and nothing else.
std::string EscapeGlob(std::string_view text) {
  std::string glob;
  for (const char letter : text) {
    if (std::string_view("*?[]^\\").find(letter) != std::string_view::npos) glob += '\\';
    glob += letter;
  }
  return glob;
}

}  // namespace

Rebuilder::Rebuilder(Postgres& postgres, RedisClient& redis, const RebuildOptions& options,
                     std::vector<ConsumerGroup> groups, KeyOwners& owners)
    : postgres_(postgres),
      redis_(redis),
      options_(options),
      groups_(std::move(groups)),
      owners_(owners),
      scratch_(options.into),
      swapper_(redis, scratch_, groups_, options.force) {}

Result<RebuiltStructure> Rebuilder::Rebuild(const Structure& structure, Progress& progress,
                                            const std::function<Status()>& before_swap) {
  Result<RebuiltStructure> rebuilt = RebuildOne(structure, progress, before_swap);
  if (rebuilt.ok()) return rebuilt;
  Error error = std::move(rebuilt).error();
  return std::move(error).Prefixed(structure.name);
}

Result<RebuiltStructure> Rebuilder::RebuildOne(const Structure& structure, Progress& progress,
                                               const std::function<Status()>& before_swap) {
  RebuiltStructure rebuilt;
  rebuilt.name = structure.name;
  const bool drill = options_.into.has_value();
  ASSIGN_OR_RETURN(Source source, Source::Open(postgres_, structure));
  LiveState live;
  if (!drill) {
    ASSIGN_OR_RETURN(live, LookAtLive(source, structure, &rebuilt));
    if (!live.differs) return rebuilt;
    if (!options_.force) RETURN_IF_ERROR(GuardLive(live));
    if (options_.dry_run) {
      RETURN_IF_ERROR(source.RefuseDuplicate());
      if (!options_.force) {
        for (const ComparedKey& key : live.keys) RETURN_IF_ERROR(GuardRows(redis_, key.key, key.rows));
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
    status = swapper_.Swap(structure, keys, live);
    // Where neither side has anything, nothing has changed.
    const bool changed = !keys.empty() || !live.gone.empty();
    if (changed) rebuilt.state = RebuiltStructure::State::kRebuilt;
    if (status.ok()) return rebuilt;
  }
  rebuilt.state = RebuiltStructure::State::kDrilled;
  const Status removed = swapper_.Remove(keys);
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(removed);
  return rebuilt;
}

/// Everything up to the swap.
Status Rebuilder::BuildNew(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
                           std::vector<Loader::Key>* keys) {
  RETURN_IF_ERROR(Load(source, structure, progress, rebuilt, keys));
  for (const Loader::Key& key : *keys) RETURN_IF_ERROR(owners_.Claim(key.key, structure.name));
  if (!options_.into && !options_.force) {
    for (const Loader::Key& key : *keys) RETURN_IF_ERROR(GuardRows(redis_, key.key, key.rows));
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
  RETURN_IF_ERROR(ScratchKeys::RemoveLeftovers(redis_));
  if (!options_.into) return {};
  // A drill removes its keys afterwards, so they must be its own.
  ASSIGN_OR_RETURN(const std::vector<std::string> taken, ScanKeys(redis_, EscapeGlob(*options_.into) + "*"));
  if (taken.empty()) return {};
  return Error{ErrorCode::kRefused, "--into: Redis has keys that begin with " + Escape(*options_.into) + ", such as " +
                                        Escape(taken.front()) + ": take another prefix"};
}

/// Does anything have to be done? A stream is looked at whole, for what it may hold besides.
Result<LiveState> Rebuilder::LookAtLive(Source& source, const Structure& structure, RebuiltStructure* rebuilt) {
  LiveState live;
  const bool is_stream = structure.kind == RedisKind::kStream;
  const auto look = [&](const Difference& difference) {
    live.differs = true;
    if (difference.problem == Problem::kExtra && !difference.member) live.gone.push_back(difference.key);
    if (is_stream && IsExtraMember(difference)) {
      live.extra_entry = *difference.member + " of " + difference.key;
    }
    // Of keys that are gone all must be known, so only queries with one key may stop early.
    return !structure.key || is_stream || options_.dry_run;
  };
  if (structure.key && !options_.dry_run) {
    ASSIGN_OR_RETURN(const uint64_t count, CountOf(redis_, structure.kind, *structure.key));
    ASSIGN_OR_RETURN(const RedisClient::Reply type, redis_.Call({"TYPE", *structure.key}));
    if (count == 0 && TextOf(*type) == "none") {
      live.differs = true;
      return live;
    }
  }
  std::vector<ComparedKey>* const keys = !structure.key || is_stream || options_.dry_run ? &live.keys : nullptr;
  ASSIGN_OR_RETURN(const Compared compared, Compare(source, structure, redis_, "", look, keys));
  for (const ComparedKey& key : live.keys) RETURN_IF_ERROR(owners_.Claim(key.key, structure.name));
  rebuilt->keys = compared.keys;
  rebuilt->rows = compared.rows;
  return live;
}

Status Rebuilder::Load(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
                       std::vector<Loader::Key>* keys) {
  const int64_t begun_ms = SteadyClockMs();
  Loader loader(redis_, structure.kind, scratch_.prefix(), std::string(ScratchKeys::registry()));
  Status loaded = source.Visit(Source::Order::kScoresRise, [&](const SourceRow& row) -> Status {
    progress.Advance(row.number);
    return loader.Add(row);
  });
  if (loaded.ok()) loaded = loader.Finish();
  *keys = loader.keys();
  RETURN_IF_ERROR(loaded);
  for (const Loader::Key& key : *keys) {
    if (key.stored == key.rows) continue;
    RETURN_IF_ERROR(source.RefuseDuplicate());
    return Error{ErrorCode::kRefused,
                 structure.file.native() + ": key " + Escape(key.key) + ": Redis has not taken every row"};
  }
  rebuilt->keys = keys->size();
  rebuilt->rows = loader.rows();
  rebuilt->load_ms = SteadyClockMs() - begun_ms;
  return {};
}

Status Rebuilder::VerifyLoaded(Source& source, const Structure& structure, RebuiltStructure* rebuilt) {
  const int64_t begun_ms = SteadyClockMs();
  std::string first;
  const auto look = [&](const Difference& difference) {
    first = Escape(difference.key) + " " + Escape(difference.member.value_or("")) + " is " +
            std::string(NameOf(difference.problem));
    return false;
  };
  ASSIGN_OR_RETURN(const Compared compared, Compare(source, structure, redis_, scratch_.prefix(), look));
  rebuilt->verify_ms = SteadyClockMs() - begun_ms;
  if (compared.differences == 0) return {};
  return Error{ErrorCode::kRefused, "what was written is not what was read: " + first + "; nothing was changed"};
}

}  // namespace sprockets
