// Asks a server about once a second whether it is there, on a connection of its own, so that a service that has
// nothing to do knows it as well. What it finds, any thread may read.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "replayer/admin/repeating.h"
#include "replayer/admin/service_report.h"
#include "replayer/postgres/postgres.h"
#include "shared/base/result.h"

namespace sprockets {

class StoreWatch {
 public:
  /// On the watch's thread; connects by itself, and ends soon when the token says so.
  using Ask = std::function<Status(const std::stop_token&)>;
  StoreWatch(std::string name, Ask ask);

  StoreFigures Figures() const;

 private:
  void Take(const Status& answer);

  const Ask ask_;
  mutable std::mutex mutex_;
  StoreFigures figures_;  // Guarded by mutex_
  const Repeating repeating_;
};

/// For a watch over PostgreSQL.
class PostgresProbe {
 public:
  explicit PostgresProbe(PostgresUrl url) : url_(std::move(url)) {}
  Status Ask(const std::stop_token& stop);

 private:
  const PostgresUrl url_;
  std::optional<Postgres> connection_;
};

}  // namespace sprockets
