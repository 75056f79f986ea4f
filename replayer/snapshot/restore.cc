#include "replayer/snapshot/restore.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "replayer/redis/lock.h"
#include "replayer/redis/pipeline.h"
#include "replayer/redis/server.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/snapshot/group_restorer.h"
#include "replayer/structure/rebuild.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

int64_t IntegerOf(const Postgres::Value& value) {
  return std::strtoll(value.value_or("0").c_str(), nullptr, 10);
}

/// Has Redis a key that is not the replayer's own?
Result<bool> HasKeys(RedisClient& redis) {
  std::string cursor = "0";
  do {
    ASSIGN_OR_RETURN(const RedisClient::Reply page, redis.Call({"SCAN", cursor, "COUNT", "1000"}));
    RETURN_IF_ERROR(RefuseError(*page));
    cursor = TextOf(*page->element[0]);
    for (size_t i = 0; i < page->element[1]->elements; ++i) {
      if (!TextOf(*page->element[1]->element[i]).starts_with("sprockets:")) return true;
    }
  } while (cursor != "0");
  return false;
}

class SnapshotRestorer {
 public:
  SnapshotRestorer(const RestoreOptions& options, Postgres& postgres, RedisClient& redis)
      : options_(options), postgres_(postgres), redis_(redis) {}

  Result<RestoredSnapshot> Restore() {
    RETURN_IF_ERROR(Choose());
    ASSIGN_OR_RETURN(const bool has_keys, HasKeys(redis_));
    restored_.not_empty = options_.if_empty && has_keys;
    if (restored_.not_empty) return restored_;
    RETURN_IF_ERROR(RebuildSet());
    RETURN_IF_ERROR(RestoreZsets());
    RETURN_IF_ERROR(GroupRestorer(postgres_, redis_, restored_).Restore(options_.keys));
    return restored_;
  }

 private:
  std::string Number() const { return std::to_string(restored_.number); }

  /// The snapshot, and that it is whole: nobody has removed rows of it since its mark was written.
  Status Choose() {
    const std::string wanted = options_.number > 0 ? " AND number = " + std::to_string(options_.number) : "";
    ASSIGN_OR_RETURN(
        const auto rows,
        postgres_.Query("SELECT number, to_char(taken_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
                        "log_position, (SELECT count(*) FROM sprockets.log WHERE position > s.log_position), "
                        "zsets = (SELECT count(*) FROM sprockets.snapshot_zsets WHERE snapshot = s.number) AND "
                        "members = (SELECT count(*) FROM sprockets.snapshot_members WHERE snapshot = s.number) AND "
                        "groups = (SELECT count(*) FROM sprockets.snapshot_groups WHERE snapshot = s.number) AND "
                        "pending = (SELECT count(*) FROM sprockets.snapshot_pending WHERE snapshot = s.number) "
                        "FROM sprockets.snapshots AS s WHERE completed_at IS NOT NULL" +
                        wanted + " ORDER BY number DESC LIMIT 1"));
    if (rows.empty()) {
      return Error{ErrorCode::kRefused, options_.number > 0
                                            ? "there is no whole snapshot " + std::to_string(options_.number)
                                            : "there is no whole snapshot: take one with the command snapshot"};
    }
    restored_.number = IntegerOf(rows[0][0]);
    restored_.taken_at = rows[0][1].value_or("");
    restored_.log_position = IntegerOf(rows[0][2]);
    restored_.archived_since = IntegerOf(rows[0][3]);
    if (rows[0][4] == "t") return {};
    return Error{ErrorCode::kRefused, "snapshot " + Number() +
                                          " has not as many rows as when it was taken: nothing was changed; --snapshot "
                                          "takes an older one"};
  }

  /// Boards that SQL knows come from there: their totals hold every event that was archived, before the snapshot and
  /// since.
  Status RebuildSet() {
    if (options_.schema.empty()) return {};
    ASSIGN_OR_RETURN(structures_, ReadStructures(options_.schema, "*"));
    if (structures_.empty()) return {};
    ASSIGN_OR_RETURN(const std::vector<ConsumerGroup> groups, ReadGroups(options_.schema));
    RebuildRunOptions run;
    run.stores = options_.stores;
    run.rebuild.force = options_.force;
    run.progress = options_.progress;
    RebuildOutcome outcome = RebuildSideBySide(run, structures_, groups, owners_);
    restored_.rebuilt = std::move(outcome.structures);
    return outcome.status;
  }

  bool IsGivenBySql(const std::string& key) {
    for (const Structure& structure : structures_) {
      if (Names(structure, key)) return true;
      const std::vector<std::string> given = owners_.KeysOf(structure.name);
      if (std::find(given.begin(), given.end(), key) != given.end()) return true;
    }
    return false;
  }

  /// A snapshot's sorted sets are a structure like another: loaded beside the live keys, compared, guarded, swapped in.
  Status RestoreZsets() {
    ASSIGN_OR_RETURN(const std::string numbers, WantedZsets());
    if (numbers.empty()) return {};
    Structure structure;
    structure.name = "snapshot";
    structure.file = "snapshot " + Number();
    structure.infinite_scores = true;
    structure.query =
        "SELECT z.key, m.member, m.score, timestamptz 'epoch' + z.expire_at_ms * interval '1 millisecond' AS expire_at "
        "FROM sprockets.snapshot_zsets AS z JOIN sprockets.snapshot_members AS m ON m.snapshot = z.snapshot AND m.zset "
        "= z.number WHERE z.snapshot = " +
        Number() + " AND z.number IN (" + numbers + ")";
    ASSIGN_OR_RETURN(const auto lock, RedisLock::Take(options_.stores.redis.url, options_.stores.redis.deadline_ms));
    RebuildOptions rebuild;
    rebuild.force = options_.force;
    KeyOwners owners;
    Rebuilder rebuilder(postgres_, redis_, rebuild, {}, owners);
    RETURN_IF_ERROR(rebuilder.Begin(*lock));
    Progress progress(options_.progress, structure.name);
    ASSIGN_OR_RETURN(const RebuiltStructure rebuilt, rebuilder.Rebuild(structure, progress));
    restored_.zsets = rebuilt.keys;
    restored_.members = rebuilt.rows;
    return {};
  }

  /// The numbers of those to restore: neither given by SQL, nor in Redis unless they are to be replaced.
  Result<std::string> WantedZsets() {
    std::vector<std::pair<std::string, std::string>> candidates;
    const auto take = [&](std::span<const Postgres::ValueView> values) -> Status {
      std::string key(values[1].value_or(""));
      if (!GlobMatch(options_.keys, key)) return {};
      if (IsGivenBySql(key)) {
        ++restored_.from_sql;
      } else {
        candidates.emplace_back(values[0].value_or(""), std::move(key));
      }
      return {};
    };
    RETURN_IF_ERROR(postgres_.CopyOut(
        "SELECT number::text, key FROM sprockets.snapshot_zsets WHERE snapshot = " + Number() + " ORDER BY number",
        take));
    std::string numbers;
    Pipeline pipeline(redis_);
    for (const auto& [number, key] : candidates) {
      const auto seen = [&, wanted = number](const redisReply& reply) -> Status {
        RETURN_IF_ERROR(RefuseError(reply));
        if (reply.integer == 1 && !options_.force) {
          ++restored_.zsets_kept;
        } else {
          numbers += (numbers.empty() ? "" : ",") + wanted;
        }
        return {};
      };
      RETURN_IF_ERROR(pipeline.Add(std::array<std::string_view, 2>{"EXISTS", key}, seen));
    }
    RETURN_IF_ERROR(pipeline.Finish());
    return numbers;
  }

  const RestoreOptions& options_;
  Postgres& postgres_;
  RedisClient& redis_;
  RestoredSnapshot restored_;
  std::vector<Structure> structures_;
  KeyOwners owners_;
};

}  // namespace

Result<RestoredSnapshot> RestoreSnapshot(const RestoreOptions& options) {
  ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(options.stores.postgres.url, options.stores.postgres.wait_ms));
  RETURN_IF_ERROR(RequireSnapshotTables(postgres));
  ASSIGN_OR_RETURN(Server server, Server::Connect(options.stores.redis.url, options.stores.redis.deadline_ms));
  RedisClient& redis = server.client();
  postgres.WhileWaiting([&redis] { redis.KeepAlive(); });
  return SnapshotRestorer(options, postgres, redis).Restore();
}

}  // namespace sprockets
