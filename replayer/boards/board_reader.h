// Pages of leaderboards: from Redis and, where Redis is away, from PostgreSQL. On connections of its own. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "replayer/boards/board_request.h"
#include "replayer/postgres/postgres.h"
#include "replayer/redis/client.h"
#include "replayer/redis/target.h"
#include "shared/base/result.h"

namespace sprockets {

struct BoardRow {
  int64_t rank = 0;  // 1: the first
  std::string member;
  double score = 0;
};

struct BoardPage {
  int64_t total = 0;  // members of the whole board
  std::vector<BoardRow> rows;
  std::optional<BoardRow> user;  // that was asked for, where the board has it
  const char* source = "redis";  // or "postgres"
};

/// Connections that nobody uses at the moment.
template <typename Connection>
class IdleConnections {
 public:
  std::optional<Connection> Take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return {};
    std::optional<Connection> taken(std::move(idle_.back()));
    idle_.pop_back();
    return taken;
  }
  void Give(Connection connection) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
  }

 private:
  std::mutex mutex_;
  std::vector<Connection> idle_;  // Guarded by mutex_
};

class BoardReader {
 public:
  BoardReader(RedisTarget redis, PostgresTarget postgres) : redis_(std::move(redis)), postgres_(std::move(postgres)) {}

  /// An error: neither of the two gives it. Waits for seconds at most.
  Result<BoardPage> Read(const BoardRequest& request);

 private:
  Result<BoardPage> FromRedis(const BoardRequest& request);
  Result<BoardPage> FromPostgres(const BoardRequest& request);
  void NoteSource(const Status& redis);

  const RedisTarget redis_;
  const PostgresTarget postgres_;
  IdleConnections<RedisClient> idle_redis_;
  IdleConnections<Postgres> idle_postgres_;
  std::atomic<int64_t> redis_again_ms_ = 0;  // it is away: not before
  std::atomic<bool> told_ = false;           // that it is
};

}  // namespace sprockets
