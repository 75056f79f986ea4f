// The rows of a batch as a table that SQLite reads, so that one INSERT … SELECT stores all of them: a virtual table
// (https://sqlite.org/vtab.html) that hands out views into the caller's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

class Database;

/// Belongs to one Database, which it must outlive.
class BatchTable {
 public:
  /// What stands in a row of a stream's table: schema/spill.sql.
  struct Row {
    int64_t ticket = 0;
    int64_t received_ms = 0;
    uint32_t checksum = 0;
    const EventView* event = nullptr;
    std::string_view anchor = {};                  // empty: NULL
    std::optional<int64_t> connection = {};        // nothing: NULL
    std::optional<std::string_view> options = {};  // likewise
    std::string_view raw = {};                     // only in rows that are read by SelectRaw
    StreamId id = {};                              // this and the next are read only of a journal's rows
    int64_t origin = 0;                            // 0: NULL
  };

  BatchTable() = default;
  BatchTable(const BatchTable&) = delete;
  BatchTable& operator=(const BatchTable&) = delete;

  /// Makes the table known to a database.
  Status Register(Database& database);
  /// What SQLite reads from now on; it must live while a statement runs.
  void Show(std::span<const Row> rows) { rows_ = rows; }

  /// What goes into kBatchColumns, of all rows, followed by the values of `fields` fields, the event id's not among
  /// them.
  static std::string SelectFields(size_t fields, bool names_entries = false);
  /// Likewise, followed by `_raw`.
  static std::string SelectRaw(bool names_entries = false);

 private:
  struct Module;
  std::span<const Row> rows_;
};

/// Into these columns, in this order, go the first ones of SelectFields and SelectRaw; a journal has two more.
inline constexpr std::string_view kBatchColumns =
    "_ticket, _event_id, _received_ms, _anchor, _conn, _options, _checksum";
inline constexpr std::string_view kJournalBatchColumns =
    "_ticket, _event_id, _received_ms, _anchor, _conn, _options, _checksum, _id, _origin";

}  // namespace sprockets
