#include "replayer/structure/rebuild.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "replayer/structure/allowance.h"
#include "replayer/structure/live_keys.h"
#include "replayer/structure/repair.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

// Held as long as the transaction: gone with a killed run, and nothing of a session.
constexpr const char* kLock = "SELECT pg_try_advisory_xact_lock(hashtext('sprockets rebuild'))";
constexpr int64_t kLockWaitMs = 3'000;
constexpr int kMostAdjustments = 10;

/// A glob that matches `text` and nothing else.
std::string EscapeGlob(std::string_view text) {
  std::string glob;
  for (const char letter : text) {
    if (std::string_view("*?[]^\\").find(letter) != std::string_view::npos) glob += '\\';
    glob += letter;
  }
  return glob;
}

/// GuardRows of any number of keys, some at a time.
template <typename Key>
Status GuardAll(RedisClient& redis, const std::vector<Key>& keys) {
  constexpr size_t kAtOnce = 1000;
  std::vector<KeyRows> some;
  for (const Key& key : keys) {
    some.push_back({key.key, key.rows});
    if (some.size() < kAtOnce) continue;
    RETURN_IF_ERROR(GuardRows(redis, some));
    some.clear();
  }
  return GuardRows(redis, some);
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

Result<RebuiltStructure> Rebuilder::RebuildOne(const Structure& declared, Progress& progress,
                                               const std::function<Status()>& before_swap) {
  RebuiltStructure rebuilt;
  rebuilt.name = declared.name;
  ASSIGN_OR_RETURN(const bool has_table, HasItsTable(postgres_, declared));
  if (!has_table) {
    rebuilt.state = RebuiltStructure::State::kPassedOver;
    return rebuilt;
  }
  const bool drill = options_.into.has_value();
  const bool all_keys = drill || options_.force;
  ASSIGN_OR_RETURN(const Structure structure, all_keys ? Result<Structure>(declared) : OnlyUsedKeys(declared, redis_));
  ASSIGN_OR_RETURN(Source source, Source::Open(postgres_, structure));
  LiveState live;
  if (!drill) {
    ASSIGN_OR_RETURN(live, LookAtLive(source, structure, &rebuilt));
    if (!live.differs) return rebuilt;
    if (structure.values != Structure::Values::kExact)
      return RebuildBounds(source, structure, live, progress, before_swap);
    if (!options_.force) {
      RETURN_IF_ERROR(GuardLive(live));
      RETURN_IF_ERROR(GuardValues(redis_, structure.kind, live.lowered));
    }
    if (options_.dry_run) {
      RETURN_IF_ERROR(source.RefuseDuplicate());
      if (!options_.force) {
        RETURN_IF_ERROR(GuardAll(redis_, live.keys));
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

/// Only keys that are missing as a whole, or of another type, are built and swapped like others.
Result<RebuiltStructure> Rebuilder::RebuildBounds(Source& source, const Structure& structure, const LiveState& live,
                                                  Progress& progress, const std::function<Status()>& before_swap) {
  RebuiltStructure rebuilt;
  rebuilt.name = structure.name;
  rebuilt.state = RebuiltStructure::State::kWouldChange;
  if (!options_.force) RETURN_IF_ERROR(GuardLive(live));
  if (!live.whole_keys.empty()) {
    const Structure part = Exactly(OnlyKeys(structure, live.whole_keys));
    ASSIGN_OR_RETURN(const RebuiltStructure built, RebuildOne(part, progress, before_swap));
    rebuilt.load_ms = built.load_ms;
    rebuilt.verify_ms = built.verify_ms;
    if (!options_.dry_run) rebuilt.state = RebuiltStructure::State::kRebuilt;
  }
  if (options_.dry_run) return rebuilt;
  if (before_swap) RETURN_IF_ERROR(before_swap());
  RETURN_IF_ERROR(lock_->Check());
  if (!live.gone.empty()) RETURN_IF_ERROR(swapper_.Swap(structure, {}, live));
  RETURN_IF_ERROR(AdjustInPlace(source, structure, live, &rebuilt));
  return rebuilt;
}

/// Others write at the same time: what is right by the time that it would be corrected stays, and what they make wrong
/// is found by the next look.
Status Rebuilder::AdjustInPlace(Source& source, const Structure& structure, const LiveState& live,
                                RebuiltStructure* rebuilt) {
  std::set<std::string> to_rebuild;
  for (const ComparedKey& key : live.keys) RETURN_IF_ERROR(owners_.Claim(key.key, structure.name));
  for (int round = 0; round < kMostAdjustments; ++round) {
    std::vector<Difference> found;
    const auto look = [&](const Difference& difference) {
      found.push_back(difference);
      return true;
    };
    ASSIGN_OR_RETURN(const Compared compared, Compare(source, structure, redis_, "", look));
    rebuilt->keys = compared.keys;
    rebuilt->rows = compared.rows;
    if (found.empty()) {
      if (rebuilt->state == RebuiltStructure::State::kWouldChange)
        rebuilt->state = RebuiltStructure::State::kUnchanged;  // somebody else has corrected it
      return {};
    }
    rebuilt->state = RebuiltStructure::State::kRebuilt;
    KeyGuards guards(redis_, structure);
    ASSIGN_OR_RETURN(const std::set<std::string> kept, guards.Protected(found));
    if (!kept.empty() && !options_.force) return guards.refusal();
    Repairer repairer(redis_, &to_rebuild);
    for (const Difference& difference : found) RETURN_IF_ERROR(repairer.Mend(structure, difference));
    RETURN_IF_ERROR(repairer.Finish());
    if (!to_rebuild.empty()) break;
  }
  return Error{ErrorCode::kBusy, "its values changed each time that they were corrected: run it again"};
}

/// Everything up to the swap.
Status Rebuilder::BuildNew(Source& source, const Structure& structure, Progress& progress, RebuiltStructure* rebuilt,
                           std::vector<Loader::Key>* keys) {
  RETURN_IF_ERROR(Load(source, structure, progress, rebuilt, keys));
  for (const Loader::Key& key : *keys) RETURN_IF_ERROR(owners_.Claim(key.key, structure.name));
  if (!options_.into && !options_.force) {
    RETURN_IF_ERROR(GuardAll(redis_, *keys));
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
  const bool is_bound = structure.values != Structure::Values::kExact;
  const auto look = [&](const Difference& difference) {
    live.differs = true;
    if (difference.problem == Problem::kExtra && !difference.member) live.gone.push_back(difference.key);
    if (is_bound && !difference.member && difference.problem != Problem::kExtra) live.whole_keys.insert(difference.key);
    if (is_stream && IsExtraMember(difference)) {
      live.extra_entry = *difference.member + " of " + difference.key;
    }
    if (is_stream && difference.problem == Problem::kDifferent && !live.lost_field) {
      if (const auto field = LostField(*difference.expected, *difference.actual))
        live.lost_field = *field + " of " + *difference.member + " of " + difference.key;
    }
    if (!is_stream && IsLowered(difference)) ++live.lowered[difference.key];
    // The guards must know everything. Without them, keys that are gone still must be known.
    return !options_.force || !structure.key || is_stream || options_.dry_run;
  };
  // A counter is written by its own name, and never with the whole key: somebody else may write it first.
  if (structure.key && !options_.dry_run && structure.values != Structure::Values::kAtLeast) {
    ASSIGN_OR_RETURN(const uint64_t count, CountOf(redis_, structure.kind, *structure.key));
    ASSIGN_OR_RETURN(const RedisClient::Reply type, redis_.Call({"TYPE", *structure.key}));
    if (count == 0 && TextOf(*type) == "none") {
      live.differs = true;
      live.whole_keys.insert(*structure.key);
      return live;
    }
  }
  if (!options_.dry_run) {
    ASSIGN_OR_RETURN(live.differs, LacksEveryKey(source, structure, redis_));
    if (live.differs) return live;
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
  Status loaded = source.Visit(Source::Order::kScoresFall, [&](const SourceRow& row) -> Status {
    progress.Advance(row.number);
    return loader.Add(row);
  });
  if (loaded.ok()) loaded = loader.Finish();
  *keys = loader.TakeKeys();
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
  const Structure exactly = Exactly(structure);
  ASSIGN_OR_RETURN(const Compared compared, Compare(source, exactly, redis_, scratch_.prefix(), look));
  rebuilt->verify_ms = SteadyClockMs() - begun_ms;
  if (compared.differences == 0) return {};
  return Error{ErrorCode::kRefused, "what was written is not what was read: " + first + "; nothing was changed"};
}

}  // namespace sprockets
