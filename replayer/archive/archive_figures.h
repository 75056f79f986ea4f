// What an archive run knows of its own work at one moment, as values. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/latency_histogram.h"

namespace sprockets {

struct ArchivedStream {
  std::string name;
  uint64_t read = 0;
  uint64_t archived = 0;
  uint64_t known = 0;
  uint64_t dead = 0;
  uint64_t dead_parts = 0;  // dead letters of handlers, about entries that are archived
  uint64_t deleted = 0;     // pending, and gone from the stream before they were archived or acknowledged
  uint64_t trimmed = 0;
  uint64_t batches = 0;
  std::optional<uint64_t> pending;  // at the end; none: Redis could not be asked
  std::string stopped;              // why; empty: it was not
};

struct ArchiveFigures {
  std::vector<ArchivedStream> streams;
  LatencyHistogram batches;           // of those that were committed, from BEGIN to COMMIT
  uint64_t failed_batches = 0;        // transactions that failed and were tried again
  uint64_t redis_connections = 0;     // for reading
  uint64_t postgres_connections = 0;  // for writing
  std::string reading_waits;          // why nothing is read; empty: it is
  std::string writing_waits;          // why the batch at work cannot be written; empty: it can
  uint64_t published = 0;             // scores
  std::string unpublished;            // why scores wait in the outbox; empty: none does
};

}  // namespace sprockets
