// The ids that a sidecar with `--ack disk` gives to its entries: unmistakably its own, and ever higher.
//
//   <ms>-<seq>, seq = tag * 2^32 + n * 2^16
//
// `XADD *` of others makes the top's id plus one, or <ms>-0, and another sidecar has another tag: so nobody else ever
// makes an id of this form. A tag is drawn at each start, and every tag that was ever drawn is kept. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "shared/redis/stream_id.h"

namespace sprockets {

/// 1 to kMostEntryTag.
using EntryTag = uint32_t;
inline constexpr EntryTag kMostEntryTag = (1u << 21) - 1;  // so seq stays below 2^53, which every client can hold

/// The tag of an id that is ours.
EntryTag TagOf(StreamId id);

/// Has a sidecar with one of these tags made this id?
bool IsOurs(StreamId id, std::span<const EntryTag> tags);

/// Two ids of which neither `XADD *` nor another sidecar can make one in between: of the same tag and millisecond.
bool AreNeighbours(StreamId one, StreamId other);

/// The lowest id with this tag that is above `floor` and not before `ms`, milliseconds since 1970. Nothing: there is
/// none any more.
std::optional<StreamId> NextEntryId(EntryTag tag, StreamId floor, uint64_t ms);

}  // namespace sprockets
