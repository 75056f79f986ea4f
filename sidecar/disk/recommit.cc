#include "sidecar/disk/recommit.h"

#include <utility>

#include "shared/base/result.h"

namespace sprockets {

void Recommit::Hold(std::span<SpillRequest* const> batch, std::vector<int64_t> tickets) {
  SPROCKETS_ASSERT(failed_.empty() && tickets.size() == batch.size());
  failed_.reserve(batch.size());
  for (SpillRequest* request : batch) failed_.push_back(std::move(*request));
  tickets_ = std::move(tickets);
}

std::vector<SpillRequest*> Recommit::rows() {
  std::vector<SpillRequest*> rows;
  rows.reserve(failed_.size());
  for (SpillRequest& request : failed_) rows.push_back(&request);
  return rows;
}

void Recommit::Done() {
  failed_.clear();
  tickets_.clear();
}

void Recommit::HoldMove(std::string_view stream, SpillRequest move) {
  streams_of_moves_.emplace(stream);
  moves_.push_back(std::move(move));
}

std::vector<SpillRequest> Recommit::TakeMoves() {
  streams_of_moves_.clear();
  return std::exchange(moves_, {});
}

}  // namespace sprockets
