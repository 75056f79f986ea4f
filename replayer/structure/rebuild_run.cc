// The threads of a rebuild, each with a connection to either side. The calling one is the first of them: it holds the
// lock and the snapshot that the others join.
#include "replayer/structure/rebuild_run.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "replayer/postgres/postgres.h"
#include "replayer/redis/server.h"
#include "replayer/structure/turns.h"
#include "replayer/terminal/progress.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

namespace sprockets {
namespace {

constexpr int64_t kLookEveryMs = 50;      // for a request to stop
constexpr int64_t kSpeakEveryMs = 1'000;  // in a transaction that waits

struct Worker {
  Worker(Postgres to_postgres, Server to_redis, const RebuildOptions& options, const std::vector<ConsumerGroup>& groups,
         KeyOwners& owners)
      : postgres(std::move(to_postgres)),
        redis(std::move(to_redis)),
        rebuilder(postgres, redis.client(), options, groups, owners) {
    postgres.WhileWaiting([this] { redis.client().KeepAlive(); });
  }
  /// The end of its transaction is waited for.
  ~Worker() { postgres.StopWhen(nullptr); }

  Postgres postgres;
  Server redis;
  Rebuilder rebuilder;
};

/// Servers end transactions that say nothing for minutes (idle_in_transaction_session_timeout).
class KeepAlive {
 public:
  explicit KeepAlive(Postgres& postgres) : postgres_(postgres) {}
  /// Often.
  Status Speak() {
    if (SteadyClockMs() - spoken_ms_ < kSpeakEveryMs) return {};
    spoken_ms_ = SteadyClockMs();
    return postgres_.Execute("SELECT 1");
  }

 private:
  Postgres& postgres_;
  int64_t spoken_ms_ = SteadyClockMs();
};

class RebuildRun {
 public:
  RebuildRun(const RebuildRunOptions& options, const std::vector<Structure>& structures,
             const std::vector<ConsumerGroup>& groups, KeyOwners& owners)
      : options_(options),
        structures_(structures),
        groups_(groups),
        owners_(owners),
        turns_(structures.size()),
        rebuilt_(structures.size()) {}

  Status Run() {
    ASSIGN_OR_RETURN(lock_, RedisLock::Take(options_.stores.redis.url, options_.stores.redis.deadline_ms));
    ASSIGN_OR_RETURN(const std::unique_ptr<Worker> first, Connect(options_.stores.postgres.wait_ms));
    RETURN_IF_ERROR(first->rebuilder.Begin(*lock_));
    std::string snapshot;
    std::vector<Status> joined(std::min(static_cast<size_t>(options_.jobs), structures_.size()) - 1);
    if (!joined.empty()) {
      ASSIGN_OR_RETURN(snapshot, first->postgres.ExportSnapshot());
    }
    {
      std::vector<std::jthread> helpers;
      for (Status& status : joined) helpers.emplace_back([&] { status = Help(snapshot); });
      Work(*first);
      HoldLock(first->postgres);
    }
    for (const Status& status : joined) {
      if (!status.ok()) LogWarning("fewer-jobs", {{"why", status.error().message}});
    }
    return turns_.status();
  }

  std::vector<RebuiltStructure> TakeRebuilt() {
    std::vector<RebuiltStructure> all;
    for (auto& rebuilt : rebuilt_) {
      if (rebuilt) all.push_back(*std::move(rebuilt));
    }
    return all;
  }

 private:
  Result<std::unique_ptr<Worker>> Connect(int64_t postgres_wait_ms) {
    ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(options_.stores.postgres.url, postgres_wait_ms));
    ASSIGN_OR_RETURN(Server server, Server::Connect(options_.stores.redis.url, options_.stores.redis.deadline_ms));
    auto worker = std::make_unique<Worker>(std::move(postgres), std::move(server), options_.rebuild, groups_, owners_);
    // What nobody waits for any more: rows that will not be swapped, a free session of a pool.
    worker->postgres.StopWhen([this] { return turns_.IsOver(); });
    return worker;
  }

  /// The error says why it cannot; then the others do the work. A pool without a free session lets it wait until all is
  /// over, which is no error.
  Status Help(const std::string& snapshot) {
    Result<std::unique_ptr<Worker>> connected = Connect(0);
    Status joined = connected.ok() ? connected.value()->rebuilder.Join(snapshot, *lock_) : Status(connected.error());
    if (joined.ok()) Work(*connected.value());
    return turns_.IsOver() ? Status() : joined;
  }

  void Work(Worker& worker) {
    while (const std::optional<size_t> place = turns_.Take()) {
      Progress progress(options_.progress, structures_[*place].name);
      auto rebuilt = worker.rebuilder.Rebuild(structures_[*place], progress, [&] { return AwaitTurn(*place, worker); });
      if (!rebuilt.ok()) {
        turns_.Fail(*place, std::move(rebuilt).error());
        return;
      }
      rebuilt_[*place] = std::move(rebuilt).value();
      turns_.Done(*place);
    }
  }

  Status AwaitTurn(size_t place, Worker& worker) {
    KeepAlive keep_alive(worker.postgres);
    while (true) {
      ASSIGN_OR_RETURN(const bool has_come, turns_.Await(place, kLookEveryMs));
      if (StopRequested()) return Error{ErrorCode::kRefused, "stopped"};
      if (has_come) return {};
      worker.redis.client().KeepAlive();
      RETURN_IF_ERROR(keep_alive.Speak());
    }
  }

  /// As long as others may swap. Without the lock nobody may: another run could be at work.
  void HoldLock(Postgres& postgres) {
    KeepAlive keep_alive(postgres);
    while (!turns_.AwaitEnd(kLookEveryMs)) {
      const bool held = keep_alive.Speak().ok() && postgres.InTransaction();
      if (StopRequested()) return;  // which ends the connection, and what the others do
      if (!held) turns_.Fail(0, {ErrorCode::kUnreachable, "PostgreSQL is gone, and the lock of this rebuild with it"});
    }
  }

  const RebuildRunOptions& options_;
  const std::vector<Structure>& structures_;
  const std::vector<ConsumerGroup>& groups_;
  KeyOwners& owners_;
  std::unique_ptr<RedisLock> lock_;
  Turns turns_;
  std::vector<std::optional<RebuiltStructure>> rebuilt_;  // each written by the thread that has taken its place
};

}  // namespace

RebuildOutcome RebuildSideBySide(const RebuildRunOptions& options, const std::vector<Structure>& structures,
                                 const std::vector<ConsumerGroup>& groups, KeyOwners& owners) {
  RebuildRun run(options, structures, groups, owners);
  Status status = run.Run();
  return {run.TakeRebuilt(), std::move(status)};
}

}  // namespace sprockets
