#include "shared/ahead/entry_id.h"

#include <algorithm>
#include <limits>

namespace sprockets {

namespace {

constexpr uint64_t kStep = 1ull << 16;
constexpr uint64_t kMostSteps = 65'535;

}  // namespace

EntryTag TagOf(StreamId id) {
  return static_cast<EntryTag>(id.seq >> 32);
}

bool IsOurs(StreamId id, std::span<const EntryTag> tags) {
  if (id.seq % kStep != 0 || id.seq >> 32 > kMostEntryTag || (id.seq >> 16) % kStep == 0) return false;
  return std::find(tags.begin(), tags.end(), TagOf(id)) != tags.end();
}

bool AreNeighbours(StreamId one, StreamId other) {
  return one.ms == other.ms && one.seq >> 32 == other.seq >> 32;
}

std::optional<StreamId> NextEntryId(EntryTag tag, StreamId floor, uint64_t ms) {
  const StreamId first{std::max(ms, floor.ms), (uint64_t{tag} << 32) + kStep};
  if (first > floor) return first;
  // The floor has the same millisecond, and is as high.
  if (floor.seq >> 32 == tag) {
    const uint64_t steps = (floor.seq >> 16) % kStep + 1;
    if (steps <= kMostSteps) return StreamId{floor.ms, (uint64_t{tag} << 32) + steps * kStep};
  }
  if (floor.ms == std::numeric_limits<uint64_t>::max()) return std::nullopt;
  return StreamId{floor.ms + 1, first.seq};
}

}  // namespace sprockets
