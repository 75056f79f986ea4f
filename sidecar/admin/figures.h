// A snapshot as what Prometheus collects. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "sidecar/admin/snapshot.h"

namespace sprockets {

/// The text of /metrics. `steady_ms`: now, on the steady clock. Streams have labels of their own up to kNamedStreams;
/// the others are told together as `other`, and so is a stream of that name, or one whose label is taken.
std::string MetricsText(const Snapshot& snapshot, int64_t steady_ms);

}  // namespace sprockets
