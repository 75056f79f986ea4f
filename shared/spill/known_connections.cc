#include "shared/spill/known_connections.h"

namespace sprockets {

void KnownConnections::Record(const ConnectionId& live, std::span<const ConnectionId> dead) {
  Strike(dead);
  std::erase(listed_, live);  // it moves to the end
  // A connection that was made while INFO was forbidden belongs to a life that nobody can name, so no fence reaches it:
  // it counts as lost, and that heals when the server's life is another one.
  const auto nameless = [](const ConnectionId& connection) { return connection.run_id.empty(); };
  if (!live.run_id.empty() && std::erase_if(listed_, nameless) > 0) Lose(live.run_id);
  listed_.push_back(live);

  if (lost_ && lost_under_ && *lost_under_ != live.run_id) {
    lost_ = false;
    lost_under_.reset();
  }
  if (listed_.size() > kMost) {
    listed_.erase(listed_.begin());
    Lose(live.run_id);
  }
  if (lost_ && !lost_under_) lost_under_ = live.run_id;
}

void KnownConnections::Strike(std::span<const ConnectionId> dead) {
  for (const ConnectionId& connection : dead) std::erase(listed_, connection);
}

void KnownConnections::Lose(const std::string& run_id) {
  lost_ = true;
  lost_under_ = run_id;
}

}  // namespace sprockets
