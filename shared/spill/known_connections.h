// The connections to Redis that may still deliver something, and whether that is all of them. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shared/redis/connection_id.h"

namespace sprockets {

class KnownConnections {
 public:
  static constexpr size_t kMost = 4096;  // of more, the oldest are lost

  KnownConnections() = default;
  /// As it was written down. `lost_under`: the server's run_id at the first Record after the loss; nothing: none yet.
  KnownConnections(std::vector<ConnectionId> listed, bool lost, std::optional<std::string> lost_under)
      : listed_(std::move(listed)), lost_(lost), lost_under_(std::move(lost_under)) {}

  /// Oldest first.
  const std::vector<ConnectionId>& listed() const { return listed_; }
  /// Earlier connections exist that nobody can name: no fence is complete until the server's run_id has changed.
  bool lost() const { return lost_; }
  const std::optional<std::string>& lost_under() const { return lost_under_; }

  /// `live` is there from now on, and `dead` are gone. What was lost is not missed any more if the server's run_id is
  /// another one than at the first call after the loss.
  void Record(const ConnectionId& live, std::span<const ConnectionId> dead);
  void Strike(std::span<const ConnectionId> dead);

 private:
  void Lose(const std::string& run_id);

  std::vector<ConnectionId> listed_;
  bool lost_ = false;
  std::optional<std::string> lost_under_;
};

}  // namespace sprockets
