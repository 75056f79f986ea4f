// Rows of --ack disk that nobody may refuse any more. Those whose COMMIT failed are in doubt, and so that no event ever
// has two ids they are committed again, under the same tickets and ids, until one COMMIT succeeds. And those that move
// an event to another id wait for room: whoever moves them goes on only when that is written down. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/core/traffic.h"

namespace sprockets {

class Recommit {
 public:
  /// COMMIT of these has failed.
  void Hold(std::span<SpillRequest* const> batch, std::vector<int64_t> tickets);
  bool waits() const { return !failed_.empty(); }
  /// They live until Done.
  std::vector<SpillRequest*> rows();
  std::vector<int64_t>* tickets() { return &tickets_; }
  void Done();

  void HoldMove(std::string_view stream, SpillRequest move);
  bool has_moves() const { return !moves_.empty(); }
  /// Nothing of the stream may be written before them: in a stream's journals ids ascend with tickets.
  bool HasMoveOf(std::string_view stream) const { return streams_of_moves_.contains(stream); }
  std::vector<SpillRequest> TakeMoves();

 private:
  std::vector<SpillRequest> failed_;
  std::vector<int64_t> tickets_;
  std::vector<SpillRequest> moves_;
  std::set<std::string, std::less<>> streams_of_moves_;
};

}  // namespace sprockets
