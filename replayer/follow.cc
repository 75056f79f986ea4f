#include "replayer/follow.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>

#include "replayer/loader.h"
#include "replayer/pipeline.h"
#include "replayer/rebuild.h"
#include "replayer/server.h"
#include "replayer/source.h"
#include "replayer/stop.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/text.h"

namespace sprockets {
namespace {

constexpr int64_t kPollMs = 250;
constexpr int64_t kRetryMs = 1'000;
constexpr int64_t kComplainMs = 10'000;  // about somebody who holds us up
constexpr int64_t kMostIdsAtOnce = 10'000;

/// The structure over those rows of its table alone: within the query the table's name means them.
Structure Between(const Structure& structure, int64_t above, int64_t up_to) {
  Structure part = structure;
  const std::string& table = structure.follow_table;
  const std::string& id = structure.follow_id;
  part.query = "WITH " + table + " AS (SELECT * FROM " + table + " WHERE " + id + " > " + std::to_string(above) +
               " AND " + id + " <= " + std::to_string(up_to) + ")\nSELECT * FROM (\n" + structure.query +
               "\n) AS followed";
  return part;
}

/// Writes new rows behind those that are there.
class Publisher {
 public:
  Publisher(RedisClient& redis, const Structure& structure) : redis_(redis), pipeline_(redis), structure_(structure) {}

  Status Add(const SourceRow& row) {
    ++rows_;
    if (structure_.kind == RedisKind::kZset) {
      const std::string score = FormatScore(row.score);
      const std::array<std::string_view, 4> words{"ZADD", row.key, score, row.member};
      return pipeline_.Add(words);
    }
    const std::string id = ToString(row.id);
    std::vector<std::string_view> words{"XADD", row.key, id};
    words.insert(words.end(), row.fields.begin(), row.fields.end());
    const auto added = [this, key = std::string(row.key), id,
                        fields =
                            std::vector<std::string>(row.fields.begin(), row.fields.end())](const redisReply& reply) {
      if (!IsError(reply) || !TextOf(reply).starts_with("ERR The ID specified")) return RefuseError(reply);
      collided_.push_back({key, id, fields});
      return Status();
    };
    RETURN_IF_ERROR(pipeline_.Add(words, added));
    if (structure_.publish.empty()) return {};
    // What subscribers get is the entry itself, if it is one field; else where to find it.
    const std::string_view message = row.fields.size() == 2 ? row.fields[1] : std::string_view(id);
    const std::array<std::string_view, 3> publish{"PUBLISH", structure_.publish, message};
    return pipeline_.Add(publish);
  }

  Status Finish() {
    RETURN_IF_ERROR(pipeline_.Finish());
    for (const Entry& entry : collided_) RETURN_IF_ERROR(CheckThere(entry));
    return {};
  }
  uint64_t rows() const { return rows_; }

 private:
  struct Entry {
    std::string key;
    std::string id;
    std::vector<std::string> fields;
  };

  /// Redis only says that the id is not above the last one: whether the entry is there must be looked up.
  Status CheckThere(const Entry& entry) {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Call({"XRANGE", entry.key, entry.id, entry.id}));
    RETURN_IF_ERROR(RefuseError(*reply));
    bool same = reply->elements == 1 && reply->element[0]->element[1]->elements == entry.fields.size();
    for (size_t i = 0; same && i < entry.fields.size(); ++i) {
      same = TextOf(*reply->element[0]->element[1]->element[i]) == entry.fields[i];
    }
    if (same) return {};
    return Error{
        ErrorCode::kRefused,
        "stream " + Escape(entry.key) + " is past " + entry.id +
            " and holds something else there: somebody else writes "
            "it, or the database was restored to an earlier state. verify shows what differs; rebuild makes it anew"};
  }

  RedisClient& redis_;
  Pipeline pipeline_;
  const Structure& structure_;
  std::vector<Entry> collided_;
  uint64_t rows_ = 0;
};

class Follower {
 public:
  Follower(const Config& config, const std::vector<Structure>& structures, const std::vector<ConsumerGroup>& groups)
      : config_(config), structures_(structures), groups_(groups) {
    for (const Structure& structure : structures_) {
      const std::string name = structure.follow_table + "." + structure.follow_id;
      horizons_.try_emplace(name, structure.follow_table, structure.follow_id);
    }
  }

  /// One connection's life. kUnreachable: begin another.
  Status Run() {
    ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(*config_.postgres, config_.set.postgres_wait_ms));
    ASSIGN_OR_RETURN(Server server, Server::Connect(*config_.redis, config_.set.redis_deadline_ms));
    RedisClient& redis = server.client();
    for (auto& [name, horizon] : horizons_) horizon.Forget();
    RETURN_IF_ERROR(Listen(postgres));
    while (!StopRequested()) {
      for (auto& [name, horizon] : horizons_) {
        RETURN_IF_ERROR(horizon.Advance(postgres).Prefixed("following " + name));
        Complain(name, horizon);
      }
      ASSIGN_OR_RETURN(const bool more, PublishAll(postgres, redis));
      if (!more) RETURN_IF_ERROR(postgres.AwaitNotification(kPollMs));
    }
    return {};
  }

 private:
  /// Before the first look, so that what comes after it is told. A hint: where it cannot be had, rows are found later.
  Status Listen(Postgres& postgres) {
    for (const Structure& structure : structures_) {
      if (structure.listen.empty()) continue;
      const Status listening = postgres.Listen(structure.listen);
      if (listening.ok()) continue;
      if (listening.error().code == ErrorCode::kUnreachable || StopRequested()) return listening;
      if (!std::exchange(said_that_it_polls_, true)) {
        LogWarning("not-listening", {{"channel", structure.listen},
                                     {"why", listening.error().message},
                                     {"next", "polling every " + std::to_string(kPollMs) + " ms"}});
      }
    }
    return {};
  }

  Horizon& HorizonOf(const Structure& structure) {
    return horizons_.at(structure.follow_table + "." + structure.follow_id);
  }

  /// In the order of the files: what must come last is named last. True: there is more.
  Result<bool> PublishAll(Postgres& postgres, RedisClient& redis) {
    bool more = false;
    for (const Structure& structure : structures_) {
      const Horizon& horizon = HorizonOf(structure);
      if (!horizon.known()) continue;
      const auto published = published_.find(structure.name);
      if (published == published_.end()) {
        RETURN_IF_ERROR(BeginWith(postgres, redis, structure, horizon.id()));
        continue;
      }
      const int64_t bound = std::min(horizon.id(), published->second + kMostIdsAtOnce);
      if (bound <= published->second) continue;
      RETURN_IF_ERROR(Publish(postgres, redis, structure, published->second, bound));
      published->second = bound;
      more |= bound < horizon.id();
    }
    return more;
  }

  /// What is there already is compared whole, and built anew where it differs.
  Status BeginWith(Postgres& postgres, RedisClient& redis, const Structure& structure, int64_t up_to) {
    Rebuilder rebuilder(postgres, redis, config_.set, groups_);
    Progress progress(config_.progress, structure.name);
    const Structure bounded = Between(structure, std::numeric_limits<int64_t>::min(), up_to);
    RETURN_IF_ERROR(rebuilder.Begin());
    auto rebuilt = rebuilder.Rebuild(bounded, progress);
    if (!rebuilt.ok()) {
      Error error = std::move(rebuilt).error();
      if (error.message.find("the source lacks") != std::string::npos)
        error.message +=
            " (a database that was restored to an earlier state looks like this: its ids would be given again)";
      return error;
    }
    published_[structure.name] = up_to;
    LogInfo("following", {{"structure", structure.name}, {"rows", rebuilt.value().rows}, {"up_to", up_to}});
    return {};
  }

  Status Publish(Postgres& postgres, RedisClient& redis, const Structure& structure, int64_t above, int64_t up_to) {
    const Structure part = Between(structure, above, up_to);
    ASSIGN_OR_RETURN(Source source, Source::Open(postgres, part));
    Publisher publisher(redis, structure);
    RETURN_IF_ERROR(source.Visit(Source::Order::kAsRedis, [&](const SourceRow& row) { return publisher.Add(row); }));
    return publisher.Finish();
  }

  void Complain(const std::string& name, const Horizon& horizon) {
    const int64_t now = SteadyClockMs();
    if (horizon.blocker().empty() || now - horizon.waiting_since_ms() < kComplainMs ||
        now - complained_ms_ < kComplainMs)
      return;
    complained_ms_ = now;
    LogWarning("held-up", {{"table", name},
                           {"published_up_to", horizon.id()},
                           {"by", horizon.blocker()},
                           {"for_ms", now - horizon.waiting_since_ms()}});
  }

  const Config& config_;
  const std::vector<Structure>& structures_;
  const std::vector<ConsumerGroup>& groups_;
  std::map<std::string, Horizon> horizons_;   // by table and column
  std::map<std::string, int64_t> published_;  // by structure: up to which id
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

Status Horizon::Advance(Postgres& postgres) {
  if (candidate_ >= 0) {
    ASSIGN_OR_RETURN(const auto writers, Writers(postgres));
    std::erase_if(waiting_for_, [&](const auto& writer) { return !writers.contains(writer.first); });
    if (waiting_for_.empty()) {
      id_ = std::max(id_, candidate_);
      known_ = true;
      candidate_ = -1;
      blocker_.clear();
      waiting_since_ms_ = 0;
    }
  }
  if (candidate_ < 0) {
    // First the id, then the writers: one that comes in between gets a higher id.
    ASSIGN_OR_RETURN(const auto highest,
                     postgres.Query("SELECT coalesce(max(" + id_column_ + "), 0)::bigint FROM " + table_));
    ASSIGN_OR_RETURN(waiting_for_, Writers(postgres));
    candidate_ = std::strtoll(highest[0][0].value_or("0").c_str(), nullptr, 10);
    if (waiting_for_.empty()) {
      id_ = std::max(id_, candidate_);
      known_ = true;
      candidate_ = -1;
    }
  }
  if (!waiting_for_.empty()) {
    blocker_ = waiting_for_.begin()->second;
    if (waiting_since_ms_ == 0) waiting_since_ms_ = SteadyClockMs();
  }
  return {};
}

Status FollowSet(const Config& config, const std::vector<Structure>& structures,
                 const std::vector<ConsumerGroup>& groups) {
  std::vector<Structure> followed;
  for (const Structure& structure : structures) {
    if (structure.follow_table.empty()) continue;
    if (structure.kind != RedisKind::kStream && structure.kind != RedisKind::kZset)
      return Error{ErrorCode::kRefused, structure.file.native() + ": only streams and zsets can be followed"};
    followed.push_back(structure);
  }
  if (followed.empty())
    return Error{ErrorCode::kUsage,
                 "nothing in the set says -- follow: TABLE ID_COLUMN, so there is nothing to follow"};
  Follower follower(config, followed, groups);
  while (true) {
    const Status status = follower.Run();
    if (status.ok() || StopRequested()) return {};
    const ErrorCode code = status.error().code;
    if (code != ErrorCode::kUnreachable && code != ErrorCode::kBusy) return status;
    LogWarning("follow-interrupted", {{"why", status.error().message}, {"next", "tried again"}});
    if (!SleepUnlessStopped(kRetryMs)) return {};
  }
}

}  // namespace sprockets
