// Events as the real producers write them: five streams of the season of code, contributions, and an indexer's.
#pragma once

#include <cstdint>

#include "tests/harness/ledger.h"

namespace sprockets::harness {

/// The n-th of an endless series. Streams, field layouts, sizes and client ids take turns; no two payloads are the
/// same. With `always_id` every event has an id of the client's, so that each may be sent again.
Event SampleEvent(uint64_t n, bool always_id = false);

}  // namespace sprockets::harness
