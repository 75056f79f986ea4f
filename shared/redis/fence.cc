#include "shared/redis/fence.h"

#include <algorithm>
#include <utility>

#include "shared/base/result.h"

namespace sprockets {

Fence::Fence(std::span<const ConnectionId> listed, ConnectionId self, bool may_kill)
    : self_(std::move(self)), may_kill_(may_kill) {
  std::vector<ConnectionId> each(listed.begin(), listed.end());
  std::sort(each.begin(), each.end());
  each.erase(std::unique(each.begin(), each.end()), each.end());
  for (const ConnectionId& connection : each) {
    if (connection == self_) continue;
    const bool lives_known = !self_.run_id.empty() && !connection.run_id.empty();
    if (lives_known && connection.run_id != self_.run_id) {
      dead_.push_back(connection);
    } else if (lives_known && may_kill_ && connection.client_id != 0) {  // before Redis 7, ID 0 is everybody
      to_kill_.push_back(connection);
    } else {
      alive_.push_back(connection);
    }
  }
}

void Fence::TakeAnswer(bool is_number) {
  SPROCKETS_ASSERT(!answered());
  const ConnectionId& target = to_kill_[answers_++];
  (is_number ? dead_ : alive_).push_back(target);
}

bool Fence::IsComplete(std::span<const ConnectionId> listed, bool lost) const {
  const auto is_silent = [this](const ConnectionId& connection) {
    return connection == self_ || std::find(dead_.begin(), dead_.end(), connection) != dead_.end();
  };
  return may_kill_ && !lost && std::all_of(listed.begin(), listed.end(), is_silent);
}

}  // namespace sprockets
