// Dead letters, offered to PostgreSQL again: after a handler was corrected, or a table. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replayer/archive/archive_run.h"
#include "replayer/schema_set/archive_handlers.h"
#include "shared/base/result.h"

namespace sprockets {

struct RetryReport {
  uint64_t read = 0;
  uint64_t archived = 0;
  uint64_t known = 0;  // the log has them by now
  uint64_t dead = 0;   // still
  uint64_t published = 0;
  std::string unpublished;                     // why scores wait in the outbox; empty: none does
  std::map<std::string, std::string> stopped;  // streams whose handlers failed for all, and why
};

/// Those of the options' streams for which `where` is true, an SQL condition over a row of sprockets.dead_letters, and
/// that were not retried with success before, in their order. What goes through is in the log and has its retried_at,
/// in one transaction; of the others the reason is brought up to date. Letters that a handler wrote, about a part of an
/// entry, are the set's own business and stay. An empty `where` is true. It can change nothing: whoever gives it may do
/// as they like in psql, but a slip of the pen must not.
Result<RetryReport> RetryDead(const ArchiveOptions& options, const std::string& where,
                              std::vector<ArchiveHandler> handlers);

}  // namespace sprockets
