// The fence: which connections may still deliver something to a Redis, and which certainly never will. Pure; whoever
// fences sends the kills and hands over their answers.
//
// The promise rests on it. Redis may apply what a connection has sent long after its sender gave up. So nothing is
// settled, and nothing is sent a second time, before every connection that may have carried it is dead:
//
//   a listed connection             what is done about it
//   our own                         nothing: to kill oneself kills nothing, and is answered by 0
//   of another life of the server   nothing: it died with that life, and its number may be a stranger's by now
//   of this life                    CLIENT KILL: a number as answer says that it is dead; an error says nothing
//   of this life, but we may not    nothing: it may still deliver
//     kill, or it has no number
//   of a life that nobody knows     nothing: it may still deliver, but its number may be a stranger's by now
//     (INFO is or was forbidden)
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "shared/redis/connection_id.h"

namespace sprockets {

class Fence {
 public:
  /// `self`: the connection from which we fence, to a master. `may_kill`: false if it is known that we may not kill.
  Fence(std::span<const ConnectionId> listed, ConnectionId self, bool may_kill);

  /// Those to be killed with CLIENT KILL ID, each once; TakeAnswer gets the answers in this order.
  const std::vector<ConnectionId>& to_kill() const { return to_kill_; }
  /// `is_number`: how many were killed, 0 if the connection had gone before. Anything else is a refusal.
  void TakeAnswer(bool is_number);
  /// Every kill has been answered.
  bool answered() const { return answers_ == to_kill_.size(); }

  /// They deliver nothing any more, and may be struck off.
  const std::vector<ConnectionId>& dead() const { return dead_; }
  /// They may still deliver something.
  const std::vector<ConnectionId>& alive() const { return alive_; }

  /// Nothing arrives any more, of all the connections that are listed by now. `lost`: there are others that nobody can
  /// name.
  bool IsComplete(std::span<const ConnectionId> listed, bool lost) const;

 private:
  ConnectionId self_;
  bool may_kill_;
  std::vector<ConnectionId> to_kill_;
  size_t answers_ = 0;
  std::vector<ConnectionId> dead_;
  std::vector<ConnectionId> alive_;
};

}  // namespace sprockets
