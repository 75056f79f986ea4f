// The JSON of /health, /ready, /status.json and /events. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "sidecar/admin/snapshot.h"
#include "sidecar/admin/verdict.h"

namespace sprockets {

/// {"alive","ready","takes_events","headline","reasons":[{"code","text","takes_events"}]}
std::string VerdictJson(const Verdict& verdict);

/// All that the page shows. `history_after_ms`: points of the history that are younger; 0: all of them.
std::string PageJson(const Publication& publication, const Verdict& verdict, int64_t steady_ms,
                     int64_t history_after_ms);

}  // namespace sprockets
