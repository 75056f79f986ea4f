// The yardstick of the spill: the rows of a spill file, inserted by the plainest durable program that SQLite allows:
// one prepared INSERT, one COMMIT a batch, synchronous=FULL. No protocol, no checksum, no catalogue.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "shared/base/result.h"
#include "shared/spill/sqlite.h"

namespace sprockets::bench {

/// A row as the spill stores an event of one field that was certainly never sent.
struct RawRow {
  int64_t ticket = 0;
  std::string event_id;
  int64_t received_ms = 0;
  int64_t checksum = 0;
  std::string data;
};

class RawTable {
 public:
  static Result<RawTable> Create(const std::filesystem::path& path);

  /// One transaction, durable when it returns. Checkpoints as the spill does, when the WAL is over 8 MiB.
  Status InsertBatch(std::span<const RawRow> rows);

 private:
  RawTable(Database database, Statement insert) : database_(std::move(database)), insert_(std::move(insert)) {}

  Database database_;
  Statement insert_;
};

}  // namespace sprockets::bench
