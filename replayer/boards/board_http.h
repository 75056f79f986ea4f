// The leaderboards of a set by HTTP: /v1/leaderboard/NAME, of one part /v1/leaderboard/NAME/PART, and /v1/health-check.
// Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "replayer/admin/service_report.h"
#include "replayer/boards/board_reader.h"
#include "shared/http/server.h"

namespace sprockets {

class BoardHttp {
 public:
  /// `stores`: how Redis and PostgreSQL are, for the health check.
  using Stores = std::function<std::vector<StoreFigures>()>;
  BoardHttp(std::vector<Leaderboard> boards, RedisTarget redis, PostgresTarget postgres, Stores stores)
      : boards_(std::move(boards)), stores_(std::move(stores)), reader_(std::move(redis), std::move(postgres)) {}

  /// None: the path is another one's.
  std::optional<HttpResponse> Answer(const HttpRequest& request);

 private:
  HttpResponse AnswerBoard(const HttpRequest& request);
  HttpResponse AnswerHealth() const;

  const std::vector<Leaderboard> boards_;
  const Stores stores_;
  BoardReader reader_;
  std::atomic<int> at_work_ = 0;
};

}  // namespace sprockets
