// Scores that are on their way to Redis: they wait in the outbox, so Redis may have them or not. One thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "replayer/postgres/postgres.h"
#include "shared/base/result.h"

namespace sprockets {

class PendingScores {
 public:
  /// As the open snapshot sees them, or now; none where this database has no archive, or the user may not see it.
  static Result<PendingScores> Read(Postgres& postgres);

  /// Is this member of a sorted set on its way, or any member of the key?
  bool Covers(const std::string& key, const std::optional<std::string>& member) const;

 private:
  std::set<std::pair<std::string, std::string>> scores_;
};

}  // namespace sprockets
