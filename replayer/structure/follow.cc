#include "replayer/structure/follow.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "replayer/redis/pipeline.h"
#include "replayer/redis/server.h"
#include "replayer/structure/loader.h"
#include "replayer/structure/rebuild.h"
#include "replayer/structure/source.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/error.h"

namespace sprockets {
namespace {

constexpr int64_t kHeldUpPollMs = 250;
constexpr int64_t kRetryMs = 500;
constexpr int64_t kMostRetryMs = 15'000;
constexpr int64_t kComplainMs = 10'000;  // about somebody who holds us up
constexpr int64_t kMostRowsAtOnce = 10'000;
constexpr size_t kMostKeysAtOnce = 1'000;  // that are asked for, each time that new rows are looked for
constexpr std::string_view kMark = "sprockets:follow";

/// The structure over those rows of its table alone: within the query the table's name means them.
Structure Between(const Structure& structure, int64_t above, int64_t up_to) {
  Structure part = structure;
  const auto& [table, id] = *structure.follow;
  part.query = "WITH " + table + " AS (SELECT * FROM " + table + " WHERE " + id + " > " + std::to_string(above) +
               " AND " + id + " <= " + std::to_string(up_to) + ")\nSELECT * FROM (\n" + structure.query +
               "\n) AS followed";
  return part;
}

/// Keys that are known to be in Redis since they were compared.
using KnownKeys = std::set<std::string, std::less<>>;

/// Writes new rows behind those that are there.
class Publisher {
 public:
  Publisher(RedisClient& redis, const Structure& structure, KnownKeys& known)
      : redis_(redis), pipeline_(redis), structure_(structure), known_(known) {}

  Status Add(const SourceRow& row) {
    if (row.expire_at_ms && *row.expire_at_ms <= WallClockMs()) return {};
    if (!known_.contains(row.key)) {
      ASSIGN_OR_RETURN(const bool is_new, IsNew(row.key));
      found_new_key_ |= is_new;
      if (is_new) return {};
    }
    if (structure_.kind == RedisKind::kZset) {
      const std::string score = FormatScore(row.score);
      std::vector<std::string_view> words{"ZADD", row.key};
      if (structure_.values == Structure::Values::kAtLeast) words.push_back("GT");
      words.insert(words.end(), {score, row.member});
      const auto added = [this](const redisReply& reply) { return Refuse(reply); };
      RETURN_IF_ERROR(pipeline_.Add(words, added));
      return Expire(row);
    }
    const std::string id = ToString(row.id);
    std::vector<std::string_view> words{"XADD", row.key, id};
    words.insert(words.end(), row.fields.begin(), row.fields.end());
    const auto added = [this, key = std::string(row.key), id,
                        fields =
                            std::vector<std::string>(row.fields.begin(), row.fields.end())](const redisReply& reply) {
      if (!IsError(reply)) {
        // What subscribers get is the entry itself, if it is one field; else where to find it.
        if (structure_.publish) messages_.push_back(fields.size() == 2 ? fields[1] : id);
        return Status();
      }
      if (!TextOf(reply).starts_with("ERR The ID specified")) return Refuse(reply);
      collided_.push_back({key, id, fields});
      return Status();
    };
    RETURN_IF_ERROR(pipeline_.Add(words, added));
    return Expire(row);
  }

  /// Publishes what has reached its stream, and nothing else.
  Status Finish() {
    const Status added = pipeline_.Finish();
    for (const std::string& message : messages_) {
      const std::array<std::string_view, 3> publish{"PUBLISH", *structure_.publish, message};
      RETURN_IF_ERROR(publishing_.Add(publish));
    }
    RETURN_IF_ERROR(publishing_.Finish());
    RETURN_IF_ERROR(added);
    for (const Entry& entry : collided_) RETURN_IF_ERROR(CheckThere(entry));
    return {};
  }
  /// A key that Redis did not have: all of it is missing, not only the new rows.
  bool found_new_key() const { return found_new_key_; }

 private:
  Result<bool> IsNew(std::string_view key) {
    RETURN_IF_ERROR(pipeline_.Finish());
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Call({"EXISTS", key}));
    RETURN_IF_ERROR(RefuseError(*reply));
    if (reply->integer == 0) return true;
    known_.emplace(key);
    return false;
  }

  Status Expire(const SourceRow& row) {
    if (!row.expire_at_ms) return {};
    const std::string at = std::to_string(*row.expire_at_ms);
    return pipeline_.Add(std::array<std::string_view, 3>{"PEXPIREAT", row.key, at});
  }

  struct Entry {
    std::string key;
    std::string id;
    std::vector<std::string> fields;
  };

  /// An error of Redis, of which the pipeline says over which key. One of another type by now is not what was compared.
  Status Refuse(const redisReply& reply) const {
    if (!IsError(reply)) return {};
    if (IsWrongType(TextOf(reply)))
      return Error{ErrorCode::kBusy,
                   structure_.file.native() + ": the key is of another type by now: everything is compared anew"};
    return RefuseError(reply).Prefixed(structure_.file.native());
  }

  /// Redis only says that the id is not above the last one: whether the entry is there must be looked up.
  Status CheckThere(const Entry& entry) {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Call({"XRANGE", entry.key, entry.id, entry.id}));
    RETURN_IF_ERROR(RefuseError(*reply));
    bool same = reply->elements == 1 && reply->element[0]->element[1]->elements == entry.fields.size();
    for (size_t i = 0; same && i < entry.fields.size(); ++i) {
      same = TextOf(*reply->element[0]->element[1]->element[i]) == entry.fields[i];
    }
    if (same) return {};
    // A rebuild or a repair beside us takes what is committed, also above what is still to come; or somebody else
    // writes.
    return Error{ErrorCode::kBusy, structure_.file.native() + ": stream " + Escape(entry.key) + " is past " + entry.id +
                                       " and holds something else there: everything is compared anew"};
  }

  RedisClient& redis_;
  Pipeline pipeline_;
  Pipeline publishing_{redis_};
  const Structure& structure_;
  KnownKeys& known_;
  std::vector<Entry> collided_;
  std::vector<std::string> messages_;
  bool found_new_key_ = false;
};

using Json = nlohmann::json;

/// Does this node of a plan, or one below it, read one of the tables?
bool Reads(const Json& node, const std::set<std::string>& tables) {
  if (node.contains("Relation Name") && tables.contains(node["Relation Name"].get<std::string>())) return true;
  if (!node.contains("Plans")) return false;
  return std::any_of(node["Plans"].begin(), node["Plans"].end(), [&](const Json& each) { return Reads(each, tables); });
}

/// Is there a node that makes one row of several rows of the tables? What another table is grouped for is no matter.
bool Gathers(const Json& node, const std::set<std::string>& tables) {
  constexpr std::array kGathering{"Aggregate", "Group", "WindowAgg", "Unique", "SetOp", "Limit", "Recursive Union"};
  const std::string type = node.value("Node Type", "");
  if (std::find(kGathering.begin(), kGathering.end(), type) != kGathering.end() && Reads(node, tables)) return true;
  if (!node.contains("Plans")) return false;
  return std::any_of(node["Plans"].begin(), node["Plans"].end(),
                     [&](const Json& each) { return Gathers(each, tables); });
}

/// Does a row of the query's result come from several rows of the table that is followed? As PostgreSQL plans it,
/// whatever the text.
Result<bool> Aggregates(Postgres& postgres, const Structure& structure) {
  const std::vector<std::string> table{structure.follow->table};
  ASSIGN_OR_RETURN(const auto names,
                   postgres.Query("SELECT relname FROM pg_class WHERE oid = $1::regclass OR oid IN (SELECT relid FROM "
                                  "pg_partition_tree($1::regclass))",
                                  table));
  std::set<std::string> tables;
  for (const auto& row : names) tables.insert(row[0].value_or(""));
  ASSIGN_OR_RETURN(const auto plan, postgres.Query("EXPLAIN (FORMAT JSON, COSTS OFF) " + structure.query));
  const Json explained = Json::parse(plan.empty() ? "" : plan[0][0].value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!explained.is_array() || explained.empty()) return true;
  return Gathers(explained[0].value("Plan", Json::object()), tables);
}

class Follower {
 public:
  Follower(const FollowOptions& options, const std::vector<Structure>& structures,
           const std::vector<ConsumerGroup>& groups)
      : options_(options), declared_(structures), groups_(groups) {}

  /// One connection's life. kUnreachable: begin another.
  Status Run() {
    ASSIGN_OR_RETURN(Postgres postgres,
                     Postgres::Connect(options_.stores.postgres.url, options_.stores.postgres.wait_ms));
    ASSIGN_OR_RETURN(Server server, Server::Connect(options_.stores.redis.url, options_.stores.redis.deadline_ms));
    RedisClient& redis = server.client();
    postgres.WhileWaiting([&redis] { redis.KeepAlive(); });
    // Nothing that was written before is trusted: either side may be another one, or an earlier state of itself.
    published_.clear();
    known_.clear();
    owners_.emplace();
    RETURN_IF_ERROR(RefuseStandby(postgres));
    RETURN_IF_ERROR(TakeStructures(postgres));
    RETURN_IF_ERROR(Classify(postgres));
    RETURN_IF_ERROR(Listen(postgres));
    RETURN_IF_ERROR(LeaveMark(redis));
    while (!StopRequested()) {
      RETURN_IF_ERROR(RequireMark(redis));
      for (auto& [name, horizon] : horizons_) {
        RETURN_IF_ERROR(horizon.Advance(postgres).Prefixed("following " + name));
        Complain(name, horizon);
      }
      ASSIGN_OR_RETURN(const bool more, PublishAll(postgres, redis));
      if (!more) RETURN_IF_ERROR(postgres.AwaitNotification(PollMs()));
    }
    (void)redis.Call({"DEL", kMark});
    return {};
  }

 private:
  /// Those whose tables are there. Who was waited for on another connection cannot be named any more.
  Status TakeStructures(Postgres& postgres) {
    structures_.clear();
    horizons_.clear();
    for (const Structure& structure : declared_) {
      ASSIGN_OR_RETURN(const bool has_table, HasItsTable(postgres, structure));
      if (!has_table) continue;
      structures_.push_back(structure);
      horizons_.try_emplace(HorizonName(structure), structure.follow->table, structure.follow->id);
    }
    return {};
  }

  /// Who holds rows back need not notify anybody when it ends.
  int64_t PollMs() const {
    const bool held_up = std::any_of(horizons_.begin(), horizons_.end(),
                                     [](const auto& horizon) { return horizon.second.blocker().has_value(); });
    return held_up ? std::min(options_.poll_ms, kHeldUpPollMs) : options_.poll_ms;
  }

  /// A standby does not show who writes, so nobody could say which ids may still appear.
  static Status RefuseStandby(Postgres& postgres) {
    ASSIGN_OR_RETURN(const auto rows, postgres.Query("SELECT pg_is_in_recovery()"));
    if (rows[0][0] != "t") return {};
    return Error{ErrorCode::kRefused,
                 "this PostgreSQL is a standby, which does not show its writers: follow the primary"};
  }

  /// A view shows no writers, and an entry of a stream that is made of several rows would change with each new one.
  Status Classify(Postgres& postgres) {
    for (const Structure& structure : structures_) {
      const std::vector<std::string> table{structure.follow->table};
      ASSIGN_OR_RETURN(const auto kind, postgres.Query("SELECT relkind FROM pg_class WHERE oid = $1::regclass", table));
      const std::string relkind = kind.empty() ? "" : kind[0][0].value_or("");
      if (relkind != "r" && relkind != "p") {
        return Error{ErrorCode::kRefused, structure.file.native() + ": -- follow: " + Escape(structure.follow->table) +
                                              " is no table, and only a table shows who writes it"};
      }
      RETURN_IF_ERROR(RefuseIdsInAdvance(postgres, structure));
      ASSIGN_OR_RETURN(const bool aggregates, Aggregates(postgres, structure));
      if (aggregates && structure.kind == RedisKind::kStream) {
        return Error{
            ErrorCode::kRefused,
            structure.file.native() +
                ": a stream whose entries are made of several rows each (an aggregate, a window, DISTINCT, LIMIT) "
                "cannot be followed: take the -- follow: line out, and rebuild it"};
      }
      aggregates_[structure.name] = aggregates;
    }
    return {};
  }

  /// A session may use an id that it took long ago, below all that others have written and committed since, and nothing
  /// shows that it still will. So a sequence hands out its ids one at a time.
  static Status RefuseIdsInAdvance(Postgres& postgres, const Structure& structure) {
    const std::vector<std::string> column{structure.follow->table, structure.follow->id};
    ASSIGN_OR_RETURN(
        const auto rows,
        postgres.Query("SELECT s.seqrelid::regclass FROM pg_attribute a "
                       "LEFT JOIN pg_attrdef v ON v.adrelid = a.attrelid AND v.adnum = a.attnum "
                       "JOIN pg_depend d ON (d.refobjid = a.attrelid AND d.refobjsubid = a.attnum) "
                       "OR (d.classid = 'pg_attrdef'::regclass AND d.objid = v.oid) "
                       "JOIN pg_sequence s ON s.seqrelid IN (d.objid, d.refobjid) "
                       "WHERE a.attrelid = $1::regclass AND $2::text IN (a.attname::text, quote_ident(a.attname)) "
                       "AND s.seqcache > 1",
                       column));
    if (rows.empty()) return {};
    const std::string sequence = Escape(rows[0][0].value_or(""));
    return Error{ErrorCode::kRefused, structure.file.native() + ": -- follow: the sequence " + sequence +
                                          " hands out ids in advance, so a lower one may come after a higher one: "
                                          "ALTER SEQUENCE " +
                                          sequence + " CACHE 1"};
  }

  /// A key of ours that goes with everything else: FLUSHALL, another server, an older backup.
  Status LeaveMark(RedisClient& redis) {
    ASSIGN_OR_RETURN(const RedisClient::Reply set, redis.Call({"SET", kMark, mark_}));
    return RefuseError(*set);
  }

  Status RequireMark(RedisClient& redis) {
    ASSIGN_OR_RETURN(const RedisClient::Reply mark, redis.Call({"GET", kMark}));
    RETURN_IF_ERROR(RefuseError(*mark));
    if (mark->type != REDIS_REPLY_STRING)
      return Error{ErrorCode::kBusy, "Redis has lost what was written to it: everything is compared anew"};
    for (auto& [name, keys] : known_) RETURN_IF_ERROR(RequireKeys(redis, name, keys));
    return {};
  }

  /// Of thousands of keys some each time, so that each is asked for before long.
  Status RequireKeys(RedisClient& redis, const std::string& structure, const KnownKeys& keys) {
    std::string& asked_last = asked_last_[structure];
    Pipeline pipeline(redis);
    std::optional<std::string> lost;
    auto next = keys.upper_bound(asked_last);
    for (size_t i = 0; i < std::min(keys.size(), kMostKeysAtOnce); ++i, ++next) {
      if (next == keys.end()) next = keys.begin();
      asked_last = *next;
      const auto exists = [&lost, key = *next](const redisReply& reply) -> Status {
        RETURN_IF_ERROR(RefuseError(reply));
        if (reply.integer == 0) lost = key;
        return {};
      };
      RETURN_IF_ERROR(pipeline.Add(std::array<std::string_view, 2>{"EXISTS", *next}, exists));
    }
    RETURN_IF_ERROR(pipeline.Finish());
    if (!lost) return {};
    return Error{ErrorCode::kBusy,
                 structure + ": Redis has lost key " + Escape(*lost) + ": everything is compared anew"};
  }

  /// Before the first look, so that what comes after it is told. A hint: where it cannot be had, rows are found later.
  Status Listen(Postgres& postgres) {
    for (const Structure& structure : structures_) {
      if (!structure.listen) continue;
      const Status listening = postgres.Listen(*structure.listen);
      if (listening.ok()) continue;
      if (listening.error().code == ErrorCode::kUnreachable || StopRequested()) return listening;
      if (!std::exchange(said_that_it_polls_, true)) {
        LogWarning("not-listening", {{"channel", *structure.listen},
                                     {"why", listening.error().message},
                                     {"next", "polling every " + std::to_string(options_.poll_ms) + " ms"}});
      }
    }
    return {};
  }

  static std::string HorizonName(const Structure& structure) {
    return structure.follow->table + "." + structure.follow->id;
  }

  Horizon& HorizonOf(const Structure& structure) { return horizons_.at(HorizonName(structure)); }

  /// In the order of the files: what must come last is named last. True: there is more.
  Result<bool> PublishAll(Postgres& postgres, RedisClient& redis) {
    bool more = false;
    for (const Structure& structure : structures_) {
      const std::optional<int64_t> horizon = HorizonOf(structure).id();
      if (!horizon) continue;
      const auto published = published_.find(structure.name);
      if (published == published_.end()) {
        RETURN_IF_ERROR(BeginWith(postgres, redis, structure, *horizon));
        continue;
      }
      if (*horizon <= published->second) continue;
      ASSIGN_OR_RETURN(const int64_t bound, BoundOf(postgres, structure, published->second, *horizon));
      ASSIGN_OR_RETURN(const bool new_key, Publish(postgres, redis, structure, published->second, bound));
      published->second = bound;
      if (new_key) RETURN_IF_ERROR(BeginWith(postgres, redis, structure, bound));
      more |= bound < *horizon;
    }
    return more;
  }

  /// The id up to which the next rows are taken: so many of them, however far apart their ids are.
  static Result<int64_t> BoundOf(Postgres& postgres, const Structure& structure, int64_t above, int64_t horizon) {
    const std::string& id = structure.follow->id;
    ASSIGN_OR_RETURN(
        const auto rows,
        postgres.Query("SELECT max(id)::bigint FROM (SELECT " + id + " AS id FROM " + structure.follow->table +
                       " WHERE " + id + " > " + std::to_string(above) + " AND " + id +
                       " <= " + std::to_string(horizon) + " ORDER BY 1 LIMIT " + std::to_string(kMostRowsAtOnce + 1) +
                       ") AS next HAVING count(*) > " + std::to_string(kMostRowsAtOnce)));
    if (rows.empty() || !rows[0][0]) return horizon;
    return std::strtoll(rows[0][0]->c_str(), nullptr, 10);
  }

  /// What is there already is compared whole, and built anew where it differs.
  Status BeginWith(Postgres& postgres, RedisClient& redis, const Structure& structure, int64_t up_to) {
    ASSIGN_OR_RETURN(const auto lock, RedisLock::Take(options_.stores.redis.url, options_.stores.redis.deadline_ms));
    Rebuilder rebuilder(postgres, redis, options_.rebuild, groups_, *owners_);
    Progress progress(options_.progress, structure.name);
    const Structure bounded = Between(structure, std::numeric_limits<int64_t>::min(), up_to);
    RETURN_IF_ERROR(rebuilder.Begin(*lock));
    auto rebuilt = rebuilder.Rebuild(bounded, progress);
    if (!rebuilt.ok()) {
      Error error = std::move(rebuilt).error();
      if (error.code != ErrorCode::kWouldLose) return error;
      ASSIGN_OR_RETURN(const bool lacks, SourceLacksAnEntry(postgres, redis, structure));
      if (!lacks) {
        return Error{ErrorCode::kBusy, structure.name + ": a rebuild or a repair has written what lies above " +
                                           std::to_string(up_to) +
                                           ", where rows may still come below: it is waited for"};
      }
      error.message +=
          " (a database that was restored to an earlier state looks like this: its ids would be given again)";
      return error;
    }
    published_[structure.name] = up_to;
    const std::vector<std::string> given = owners_->KeysOf(structure.name);
    known_[structure.name] = KnownKeys(given.begin(), given.end());
    if (structure.key && rebuilt.value().rows > 0) known_[structure.name].insert(*structure.key);
    LogInfo("following", {{"structure", structure.name}, {"rows", rebuilt.value().rows}, {"up_to", up_to}});
    return {};
  }

  /// Does a live stream hold what PostgreSQL does not, however new?
  static Result<bool> SourceLacksAnEntry(Postgres& postgres, RedisClient& redis, const Structure& structure) {
    postgres.Rollback();
    RETURN_IF_ERROR(postgres.BeginSnapshot());
    bool lacks = false;
    const auto look = [&lacks](const Difference& difference) {
      lacks = lacks || IsExtraMember(difference);
      return !lacks;
    };
    const auto compare = [&]() -> Status {
      ASSIGN_OR_RETURN(Source source, Source::Open(postgres, structure));
      const Result<Compared> compared = Compare(source, structure, redis, "", look);
      return compared.ok() ? Status() : Status(compared.error());
    };
    const Status compared = compare();
    postgres.Rollback();
    RETURN_IF_ERROR(compared);
    return lacks;
  }

  /// True: a key came that Redis does not have, so the structure has to be looked at whole.
  Result<bool> Publish(Postgres& postgres, RedisClient& redis, const Structure& structure, int64_t above,
                       int64_t up_to) {
    KnownKeys& known = known_[structure.name];
    Publisher publisher(redis, structure, known);
    const Structure part = Between(structure, above, up_to);
    ASSIGN_OR_RETURN(Source source, Source::Open(postgres, part));
    if (!aggregates_[structure.name]) {
      RETURN_IF_ERROR(source.Visit(Source::Order::kAsRedis, [&](const SourceRow& row) { return publisher.Add(row); }));
    } else {
      // The new rows tell which members they touch; what these have now, only the whole table tells.
      std::set<std::pair<std::string, std::string>> touched;
      RETURN_IF_ERROR(source.Visit(Source::Order::kAsRedis, [&](const SourceRow& row) {
        touched.emplace(row.key, row.member);
        return Status();
      }));
      const Structure whole = Between(structure, std::numeric_limits<int64_t>::min(), up_to);
      ASSIGN_OR_RETURN(const bool new_member, HasNewMember(redis, structure, touched));
      if (new_member) RETURN_IF_ERROR(CompareKeyedBefore(postgres, redis, structure));
      ASSIGN_OR_RETURN(Source all, Source::Open(postgres, whole));
      RETURN_IF_ERROR(all.Visit(Source::Order::kAsRedis, [&](const SourceRow& row) {
        return touched.contains({std::string(row.key), std::string(row.member)}) ? publisher.Add(row) : Status();
      }));
    }
    RETURN_IF_ERROR(publisher.Finish());
    return publisher.found_new_key();
  }

  /// A member that the zset does not have yet comes from another table than the followed one, perhaps: then keys of
  /// other files may belong to it that no new row has named.
  static Result<bool> HasNewMember(RedisClient& redis, const Structure& structure,
                                   const std::set<std::pair<std::string, std::string>>& touched) {
    if (structure.kind != RedisKind::kZset) return false;
    Pipeline pipeline(redis);
    bool is_new = false;
    for (const auto& [key, member] : touched) {
      const auto scored = [&is_new](const redisReply& reply) {
        is_new = is_new || reply.type == REDIS_REPLY_NIL;
        return Status();  // what is wrong with the key, its ZADD will say
      };
      RETURN_IF_ERROR(pipeline.Add(std::array<std::string_view, 3>{"ZSCORE", key, member}, scored));
    }
    RETURN_IF_ERROR(pipeline.Finish());
    return is_new;
  }

  /// What comes earlier in the set is there before what comes later.
  Status CompareKeyedBefore(Postgres& postgres, RedisClient& redis, const Structure& structure) {
    for (const Structure& earlier : structures_) {
      if (earlier.name == structure.name) return {};
      const auto published = published_.find(earlier.name);
      if (earlier.key || published == published_.end()) continue;
      RETURN_IF_ERROR(BeginWith(postgres, redis, earlier, published->second));
    }
    return {};
  }

  void Complain(const std::string& name, const Horizon& horizon) {
    const int64_t now = SteadyClockMs();
    const std::optional<Horizon::Blocker>& blocker = horizon.blocker();
    if (!blocker || now - blocker->since_ms < kComplainMs || now - complained_ms_ < kComplainMs) return;
    complained_ms_ = now;
    LogWarning("held-up", {{"table", name},
                           {"published_up_to", horizon.id().value_or(0)},
                           {"by", blocker->name},
                           {"for_ms", now - blocker->since_ms}});
  }

  const FollowOptions& options_;
  const std::vector<Structure>& declared_;
  std::vector<Structure> structures_;  // of this connection's life
  const std::vector<ConsumerGroup>& groups_;
  std::optional<KeyOwners> owners_;                // of this connection's life
  std::map<std::string, Horizon> horizons_;        // by table and column
  std::map<std::string, int64_t> published_;       // by structure: up to which id
  std::map<std::string, KnownKeys> known_;         // by structure
  std::map<std::string, std::string> asked_last_;  // by structure: of its known keys, whether they are still there
  std::map<std::string, bool> aggregates_;         // by structure: is a row of it made of several rows?
  const std::string mark_ = std::to_string(WallClockMs());
  int64_t complained_ms_ = 0;
  bool said_that_it_polls_ = false;  // once, not after every lost connection
};

}  // namespace

Result<std::map<std::string, std::string>> Horizon::Writers(Postgres& postgres) const {
  // Every mode that a writer takes conflicts with SHARE, which readers' ACCESS SHARE and ROW SHARE do not.
  const std::vector<std::string> table{table_};
  ASSIGN_OR_RETURN(
      const auto rows,
      postgres.Query("SELECT DISTINCT l.virtualtransaction, concat('pid ', l.pid, ' (', a.application_name, ', ', "
                     "a.state, ', since ', a.xact_start, ')') FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a "
                     "ON a.pid = l.pid WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT oid FROM "
                     "pg_database WHERE datname = current_database()) AND l.relation IN (SELECT $1::regclass::oid "
                     "UNION SELECT relid FROM pg_partition_tree($1::regclass)) AND l.mode IN ('RowExclusiveLock', "
                     "'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')",
                     table));
  std::map<std::string, std::string> writers;
  for (const auto& row : rows) writers[row[0].value_or("")] = row[1].value_or("");
  return writers;
}

void Horizon::Reach() {
  id_ = std::max(id_.value_or(0), *candidate_);
  candidate_.reset();
  blocker_.reset();
}

Status Horizon::Advance(Postgres& postgres) {
  if (candidate_) {
    ASSIGN_OR_RETURN(const auto writers, Writers(postgres));
    std::erase_if(waiting_for_, [&](const auto& writer) { return !writers.contains(writer.first); });
    if (waiting_for_.empty()) Reach();
  }
  if (!candidate_) {
    // First the id, then the writers: one that comes in between gets a higher id.
    ASSIGN_OR_RETURN(const auto highest,
                     postgres.Query("SELECT coalesce(max(" + id_column_ + "), 0)::bigint FROM " + table_));
    ASSIGN_OR_RETURN(waiting_for_, Writers(postgres));
    candidate_ = std::strtoll(highest[0][0].value_or("0").c_str(), nullptr, 10);
    if (waiting_for_.empty()) Reach();
  }
  if (waiting_for_.empty()) return {};
  const int64_t since_ms = blocker_ ? blocker_->since_ms : SteadyClockMs();
  blocker_ = {waiting_for_.begin()->second, since_ms};
  return {};
}

Status FollowSet(const FollowOptions& options, const std::vector<Structure>& structures,
                 const std::vector<ConsumerGroup>& groups) {
  std::vector<Structure> followed;
  for (const Structure& structure : structures) {
    if (!structure.follow) continue;
    if (structure.kind != RedisKind::kStream && structure.kind != RedisKind::kZset)
      return Error{ErrorCode::kRefused, structure.file.native() + ": only streams and zsets can be followed"};
    followed.push_back(structure);
    // New entries come behind those that are there, so nothing may be missing before them.
    followed.back().up_to.reset();
    if (structure.values == Structure::Values::kAtMost) followed.back().values = Structure::Values::kExact;
  }
  if (followed.empty())
    return Error{ErrorCode::kUsage,
                 "nothing in the set says -- follow: TABLE ID_COLUMN, so there is nothing to follow"};
  Follower follower(options, followed, groups);
  std::optional<std::string> told;  // so that a trouble that lasts is told once
  int64_t wait_ms = kRetryMs;
  while (true) {
    const int64_t begun_ms = SteadyClockMs();
    const Status status = follower.Run();
    if (status.ok() || StopRequested()) return {};
    const ErrorCode code = status.error().code;
    if (code != ErrorCode::kUnreachable && code != ErrorCode::kBusy) return status;
    if (told != status.error().message)
      LogWarning("follow-interrupted", {{"why", status.error().message}, {"next", "tried again"}});
    told = status.error().message;
    wait_ms = SteadyClockMs() - begun_ms > kMostRetryMs ? kRetryMs : std::min(2 * wait_ms, kMostRetryMs);
    if (!SleepUnlessStopped(wait_ms)) return {};
  }
}

}  // namespace sprockets
