// Finds rows of a journal by the ids of their entries. A table has no index of them, and needs none: in the journals of
// a stream ids ascend with tickets. Whichever thread owns the file.
#pragma once

#include <cstdint>

#include "shared/base/result.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/file.h"

namespace sprockets {

/// The ticket of the stream's last row in this file whose id is at or below `id`; 0: it has none. Reads a row for each
/// halving of the tickets, whatever the file's size.
Result<int64_t> LastTicketUpTo(SpillFile& journal, const SpilledStream& stream, StreamId id);

}  // namespace sprockets
