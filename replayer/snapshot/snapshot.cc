#include "replayer/snapshot/snapshot.h"

#include <array>
#include <map>
#include <set>
#include <utility>

#include "replayer/redis/pipeline.h"
#include "replayer/redis/server.h"
#include "replayer/redis/xinfo.h"
#include "replayer/snapshot/row_batch.h"
#include "replayer/structure/loader.h"
#include "shared/base/text.h"
#include "shared/redis/error.h"

namespace sprockets {
namespace {

constexpr std::string_view kOwnPrefix = "sprockets:";  // of keys that the replayer keeps for itself
constexpr const char* kSnapshotLock = "SELECT pg_try_advisory_xact_lock(hashtext('sprockets snapshot'))";

int64_t ToInteger(const Postgres::Value& value) {
  return std::strtoll(value.value_or("0").c_str(), nullptr, 10);
}

/// Keys of one type.
Result<std::set<std::string>> KeysOfType(RedisClient& redis, std::string_view glob, std::string_view type) {
  std::set<std::string> keys;
  std::string cursor = "0";
  do {
    ASSIGN_OR_RETURN(const RedisClient::Reply page,
                     redis.Call({"SCAN", cursor, "MATCH", glob, "COUNT", "1000", "TYPE", type}));
    RETURN_IF_ERROR(RefuseError(*page));
    cursor = TextOf(*page->element[0]);
    for (size_t i = 0; i < page->element[1]->elements; ++i) {
      const std::string_view key = TextOf(*page->element[1]->element[i]);
      if (!key.starts_with(kOwnPrefix)) keys.emplace(key);
    }
  } while (cursor != "0");
  return keys;
}

/// Is it gone since it was listed, or another type by now? Then it is no part of the snapshot.
bool IsGone(const redisReply& reply) {
  return IsError(reply) && (IsWrongType(TextOf(reply)) || TextOf(reply).starts_with("ERR no such key"));
}

/// A key that this user may not read does not just stay away: whoever trusts in the snapshot would miss it.
Status NameKey(Status status, const std::string& key) {
  if (status.ok()) return status;
  const bool is_forbidden = status.error().code == ErrorCode::kNotPermitted;
  Error error = Error(status.error()).Prefixed("key " + Escape(key));
  if (is_forbidden) error.message += "; --keys GLOB takes a part of the keys";
  return error;
}

class SnapshotTaker {
 public:
  SnapshotTaker(const SnapshotOptions& options, Postgres& postgres, RedisClient& redis)
      : options_(options), postgres_(postgres), redis_(redis), progress_(options.progress, "snapshot") {}

  Result<TakenSnapshot> Take() {
    RETURN_IF_ERROR(postgres_.Execute("BEGIN"));
    ASSIGN_OR_RETURN(const auto locked, postgres_.Query(kSnapshotLock));
    if (locked[0][0] != "t") return Error{ErrorCode::kBusy, "another snapshot is being taken: wait for it"};
    RETURN_IF_ERROR(BeginRow());
    RETURN_IF_ERROR(TakeZsets());
    RETURN_IF_ERROR(TakeGroups());
    RETURN_IF_ERROR(Mark());
    RETURN_IF_ERROR(postgres_.Commit());
    return taken_;
  }

 private:
  std::string Number() const { return std::to_string(taken_.number); }

  /// What is in the log by now, before Redis is read.
  Status BeginRow() {
    const std::vector<std::string> parameters{PgBytesText(options_.keys)};
    ASSIGN_OR_RETURN(const auto rows,
                     postgres_.Query("INSERT INTO sprockets.snapshots (keys_glob, log_position) SELECT $1::bytea, "
                                     "coalesce((SELECT max(position) FROM sprockets.log), 0) "
                                     "RETURNING number, log_position",
                                     parameters));
    taken_.number = ToInteger(rows[0][0]);
    taken_.log_position = ToInteger(rows[0][1]);
    return {};
  }

  Status TakeZsets() {
    ASSIGN_OR_RETURN(const std::set<std::string> keys, KeysOfType(redis_, options_.keys, "zset"));
    RowBatch zsets(postgres_,
                   "INSERT INTO sprockets.snapshot_zsets SELECT " + Number() +
                       ", n, key, nullif(at, -1) FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS z(n, key, at)",
                   3);
    // A member may be told twice while its table grows; the later score is the newer one.
    RowBatch members(postgres_,
                     "INSERT INTO sprockets.snapshot_members SELECT " + Number() +
                         ", n, member, (array_agg(score ORDER BY place DESC))[1] FROM unnest($1::bigint[], "
                         "$2::bytea[], $3::float8[]) WITH ORDINALITY AS m(n, member, score, place) GROUP BY n, member "
                         "ON CONFLICT (snapshot, zset, member) DO UPDATE SET score = excluded.score",
                     3);
    int64_t number = 0;
    for (const std::string& key : keys) {
      ASSIGN_OR_RETURN(const RedisClient::Reply expiry, redis_.Call({"PEXPIRETIME", key}));
      RETURN_IF_ERROR(NameKey(RefuseError(*expiry), key));
      constexpr int64_t kNoKey = -2;
      if (expiry->integer == kNoKey) continue;
      ++number;
      RETURN_IF_ERROR(zsets.Add({std::to_string(number), PgBytesText(key), std::to_string(expiry->integer)}));
      RETURN_IF_ERROR(NameKey(TakeMembers(key, std::to_string(number), members), key));
    }
    RETURN_IF_ERROR(zsets.Flush());
    return members.Flush();
  }

  /// By ZSCAN, which does not stop Redis, needs no second copy of the key, and misses nobody whose rank changes
  /// meanwhile, as pages by rank would.
  Status TakeMembers(const std::string& key, const std::string& number, RowBatch& members) {
    std::string cursor = "0";
    do {
      ASSIGN_OR_RETURN(const RedisClient::Reply page, redis_.Call({"ZSCAN", key, cursor, "COUNT", "1000"}));
      if (IsGone(*page)) return {};
      RETURN_IF_ERROR(RefuseError(*page));
      cursor = TextOf(*page->element[0]);
      const redisReply& found = *page->element[1];
      for (size_t i = 0; i + 1 < found.elements; i += 2) {
        const std::string member = PgBytesText(TextOf(*found.element[i]));
        const std::string score = FormatScore(ParseScore(TextOf(*found.element[i + 1])));
        RETURN_IF_ERROR(members.Add({number, member, score}));
        progress_.Advance(++members_read_);
      }
    } while (cursor != "0");
    return {};
  }

  Status TakeGroups() {
    ASSIGN_OR_RETURN(const std::set<std::string> streams, KeysOfType(redis_, options_.keys, "stream"));
    for (const std::string& stream : streams) {
      RETURN_IF_ERROR(NameKey(TakeGroupsOf(stream), stream));
    }
    RETURN_IF_ERROR(groups_.Flush());
    RETURN_IF_ERROR(consumers_.Flush());
    return pending_.Flush();
  }

  Status TakeGroupsOf(const std::string& stream) {
    ASSIGN_OR_RETURN(const RedisClient::Reply groups, redis_.Call({"XINFO", "GROUPS", stream}));
    if (IsGone(*groups)) return {};
    RETURN_IF_ERROR(RefuseError(*groups));
    for (size_t i = 0; i < groups->elements; ++i) {
      const redisReply* const name = FieldOf(*groups->element[i], "name");
      const redisReply* const position = FieldOf(*groups->element[i], "last-delivered-id");
      if (name == nullptr || position == nullptr) return Error{ErrorCode::kRefused, "XINFO GROUPS names no position"};
      const std::string number = std::to_string(++group_);
      RETURN_IF_ERROR(
          groups_.Add({Number(), number, PgBytesText(stream), PgBytesText(TextOf(*name)), TextOf(*position)}));
      RETURN_IF_ERROR(TakeGroup(stream, TextOf(*name), number));
    }
    return {};
  }

  Status TakeGroup(const std::string& stream, std::string_view name, const std::string& number) {
    ASSIGN_OR_RETURN(const RedisClient::Reply consumers, redis_.Call({"XINFO", "CONSUMERS", stream, name}));
    RETURN_IF_ERROR(RefuseError(*consumers));
    for (size_t i = 0; i < consumers->elements; ++i) {
      const redisReply* const consumer = FieldOf(*consumers->element[i], "name");
      if (consumer != nullptr) RETURN_IF_ERROR(consumers_.Add({Number(), number, PgBytesText(TextOf(*consumer))}));
    }
    constexpr size_t kPage = 1000;
    std::string after = "-";
    while (true) {
      ASSIGN_OR_RETURN(const RedisClient::Reply time, redis_.Call({"TIME"}));
      RETURN_IF_ERROR(RefuseError(*time));
      const int64_t now_ms = std::strtoll(TextOf(*time->element[0]).data(), nullptr, 10) * 1000 +
                             std::strtoll(TextOf(*time->element[1]).data(), nullptr, 10) / 1000;
      ASSIGN_OR_RETURN(const RedisClient::Reply page,
                       redis_.Call({"XPENDING", stream, name, after, "+", std::to_string(kPage)}));
      RETURN_IF_ERROR(RefuseError(*page));
      for (size_t i = 0; i < page->elements; ++i) {
        const redisReply& entry = *page->element[i];
        const std::string_view id = TextOf(*entry.element[0]);
        RETURN_IF_ERROR(pending_.Add({Number(), number, id, PgBytesText(TextOf(*entry.element[1])),
                                      std::to_string(now_ms - entry.element[2]->integer),
                                      std::to_string(entry.element[3]->integer)}));
        after = "(" + std::string(id);
      }
      if (page->elements < kPage) return {};
    }
  }

  /// What is written by now is counted: whoever restores it compares.
  Status Mark() {
    const std::string of_this = " WHERE snapshot = " + Number();
    ASSIGN_OR_RETURN(const auto rows,
                     postgres_.Query("UPDATE sprockets.snapshots SET completed_at = clock_timestamp(), "
                                     "zsets = (SELECT count(*) FROM sprockets.snapshot_zsets" +
                                     of_this +
                                     "), "
                                     "members = (SELECT count(*) FROM sprockets.snapshot_members" +
                                     of_this +
                                     "), "
                                     "groups = (SELECT count(*) FROM sprockets.snapshot_groups" +
                                     of_this +
                                     "), "
                                     "pending = (SELECT count(*) FROM sprockets.snapshot_pending" +
                                     of_this +
                                     ") "
                                     "WHERE number = " +
                                     Number() + " RETURNING zsets, members, groups, pending"));
    taken_.counts = {ToInteger(rows[0][0]), ToInteger(rows[0][1]), ToInteger(rows[0][2]), ToInteger(rows[0][3])};
    return {};
  }

  const SnapshotOptions& options_;
  Postgres& postgres_;
  RedisClient& redis_;
  Progress progress_;
  TakenSnapshot taken_;
  uint64_t members_read_ = 0;
  int64_t group_ = 0;
  RowBatch groups_{postgres_,
                   "INSERT INTO sprockets.snapshot_groups SELECT * FROM unnest($1::bigint[], $2::bigint[], "
                   "$3::bytea[], $4::bytea[], $5::text[])",
                   5};
  RowBatch consumers_{postgres_,
                      "INSERT INTO sprockets.snapshot_consumers SELECT * FROM unnest($1::bigint[], $2::bigint[], "
                      "$3::bytea[])",
                      3};
  RowBatch pending_{postgres_,
                    "INSERT INTO sprockets.snapshot_pending SELECT * FROM unnest($1::bigint[], $2::bigint[], "
                    "$3::text[], $4::bytea[], $5::bigint[], $6::bigint[]) ON CONFLICT DO NOTHING",
                    6};
};

/// Snapshots that are more than are kept, or too old. The newest whole one stays, however old it is.
Result<int64_t> RemoveOldSnapshots(const SnapshotOptions& options, Postgres& postgres) {
  const std::string whole =
      "(SELECT number FROM sprockets.snapshots WHERE completed_at IS NOT NULL ORDER BY number DESC ";
  std::string sql = "WITH gone AS (DELETE FROM sprockets.snapshots WHERE number NOT IN " + whole +
                    "LIMIT 1) AND (number NOT IN " + whole + "LIMIT " + std::to_string(options.keep) + ")";
  if (options.keep_ms > 0)
    sql += " OR taken_at < now() - " + std::to_string(options.keep_ms) + " * interval '1 millisecond'";
  ASSIGN_OR_RETURN(const auto rows, postgres.Query(sql + ") RETURNING 1) SELECT count(*) FROM gone"));
  return ToInteger(rows[0][0]);
}

}  // namespace

Status RequireSnapshotTables(Postgres& postgres) {
  ASSIGN_OR_RETURN(const auto rows, postgres.Query("SELECT to_regclass('sprockets.snapshots') IS NOT NULL AND "
                                                   "to_regclass('sprockets.log') IS NOT NULL"));
  if (rows[0][0] == "t") return {};
  return Error{ErrorCode::kRefused, "this database has no tables for snapshots: run migrate"};
}

Result<TakenSnapshot> TakeSnapshot(const SnapshotOptions& options) {
  ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(options.stores.postgres.url, options.stores.postgres.wait_ms));
  RETURN_IF_ERROR(RequireSnapshotTables(postgres));
  ASSIGN_OR_RETURN(Server server, Server::Connect(options.stores.redis.url, options.stores.redis.deadline_ms));
  RedisClient& redis = server.client();
  postgres.WhileWaiting([&redis] { redis.KeepAlive(); });
  Result<TakenSnapshot> taken = SnapshotTaker(options, postgres, redis).Take();
  if (!taken.ok()) {
    postgres.Rollback();
    return taken;
  }
  ASSIGN_OR_RETURN(const int64_t removed, RemoveOldSnapshots(options, postgres));
  TakenSnapshot result = taken.value();
  result.removed = removed;
  return result;
}

}  // namespace sprockets
