// What the two sides of a spill file share: how its database is opened, the columns of every stream's table, and the
// counts that a sealed file carries so that a missing row is noticed. Whichever thread owns the file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/spill/sqlite.h"

namespace sprockets {

/// The columns before a stream's own fields, as CREATE TABLE wants them. Meanings: schema/spill.sql.
inline constexpr std::string_view kOwnColumns =
    "_ticket INTEGER PRIMARY KEY, _event_id ANY NOT NULL, _received_ms INTEGER NOT NULL, _anchor TEXT, _conn INTEGER, "
    "_options BLOB, _checksum INTEGER NOT NULL, _raw BLOB";
inline constexpr int kOwnColumnCount = 8;
/// The same of a journal, which names entries.
inline constexpr std::string_view kJournalColumns =
    "_ticket INTEGER PRIMARY KEY, _id TEXT NOT NULL, _origin INTEGER, _event_id ANY NOT NULL, _received_ms INTEGER NOT "
    "NULL, _anchor TEXT, _conn INTEGER, _options BLOB, _checksum INTEGER NOT NULL, _raw BLOB";
inline constexpr int kJournalColumnCount = 10;

/// What makes a file a journal.
inline constexpr const char* kMovesTable =
    "CREATE TABLE _moves (stream_id INTEGER NOT NULL, ticket INTEGER NOT NULL, origin INTEGER NOT NULL, "
    "PRIMARY KEY (stream_id, ticket)) STRICT, WITHOUT ROWID";

/// Made by the drain when there is first something to be written into it. Meanings: schema/spill.sql.
inline constexpr const char* kLedToTable =
    "CREATE TABLE IF NOT EXISTS _led_to (stream_id INTEGER NOT NULL, target ANY NOT NULL, anchor TEXT NOT NULL, "
    "run_id ANY NOT NULL, PRIMARY KEY (stream_id, target)) STRICT, WITHOUT ROWID";

/// What must be in a stream's table. One wrong, missing or doubled row changes it.
struct StreamTotals {
  static constexpr int64_t kMostRows = int64_t{1} << 31;  // the sum of more checksums might not fit

  int64_t rows = 0;
  int64_t first_ticket = 0;
  int64_t last_ticket = 0;
  int64_t checksum = 0;  // the sum of the rows' checksums
  int64_t moved = 0;     // rows that have an origin. The catalogue does not say: _moves lists them

  void Add(int64_t ticket, uint32_t row_checksum) {
    first_ticket = rows == 0 ? ticket : std::min(first_ticket, ticket);
    last_ticket = std::max(last_ticket, ticket);
    checksum += row_checksum;
    ++rows;
  }
  void Add(const StreamTotals& later) {
    if (later.rows == 0) return;
    first_ticket = rows == 0 ? later.first_ticket : first_ticket;
    last_ticket = later.last_ticket;
    // Unsigned: what stands in a damaged file may be any number.
    checksum = static_cast<int64_t>(static_cast<uint64_t>(checksum) + static_cast<uint64_t>(later.checksum));
    rows += later.rows;
    moved += later.moved;
  }
  bool operator==(const StreamTotals&) const = default;
};

struct SealedStream {
  int64_t id = 0;  // in the catalogue
  StreamTotals totals;
};

/// Options of every spill file's database, as it is opened; SQLite's journal, and how to create one, are the caller's.
Database::Options SpillDatabaseOptions();

/// Writes the totals into the catalogue, in the caller's transaction: the file is not sealed by that, but whoever
/// recovers it need not read the rows that they vouch for.
Status UpdateTotals(Database& database, std::span<const SealedStream> streams);

/// Writes the totals into the catalogue in one commit: from then on the file is sealed.
Status WriteTotals(Database& database, std::span<const SealedStream> streams);

}  // namespace sprockets
