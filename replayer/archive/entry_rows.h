// Entries of a stream as rows of sprockets.log, in PostgreSQL's binary format: made once, when an entry is read, and
// sent as they are. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/stream_id.h"

namespace sprockets {

/// The table and the columns of a row, in its order.
inline constexpr const char* kLogColumns =
    "sprockets.log (position, stream, id, event_id, received_at, fields, raw, payload_hash)";

using PayloadHash = std::array<char, 16>;

/// A field of which a handler says that it holds JSON, and which does not.
struct BrokenField {
  std::string handler;
  std::string why;
};

struct ArchiveEntry {
  StreamId id;
  std::optional<std::string> event_id;  // as the log has it
  PayloadHash hash{};
  size_t row_begin = 0;  // of its row in EntryBatch::rows
  size_t row_end = 0;
  size_t raw_begin = 0;  // of its fields there, as a binary bytea[]
  size_t raw_end = 0;
  std::optional<BrokenField> broken;
};

/// Entries of one stream that are archived in one transaction.
struct EntryBatch {
  std::string stream;
  std::string rows;  // one behind the other, without position
  std::vector<ArchiveEntry> entries;
  std::vector<StreamId> deleted;  // pending, and no longer in the stream

  std::string_view Row(const ArchiveEntry& entry) const {
    return std::string_view(rows).substr(entry.row_begin, entry.row_end - entry.row_begin);
  }
  std::string_view Raw(const ArchiveEntry& entry) const {
    return std::string_view(rows).substr(entry.raw_begin, entry.raw_end - entry.raw_begin);
  }
  bool empty() const { return entries.empty() && deleted.empty(); }
  /// Those of `more`, of the same stream, behind ours.
  void Append(const EntryBatch& more);
};

inline constexpr size_t kMostBatchEntries = 65'536;  // as many as a block of sprockets.log_blocks has positions

/// Appends an entry. `fields` are name, value, name, value, …: at least one pair. `now_ms`: when it was read.
void AppendEntry(EntryBatch& batch, StreamId id, std::span<const std::string_view> fields,
                 std::string_view event_id_field, int64_t now_ms);

/// Writes the position into the entry's row.
void SetPosition(EntryBatch& batch, const ArchiveEntry& entry, int64_t position);

/// An object of texts; nothing where jsonb cannot say it (see schema/archive/001_log.sql).
std::optional<std::string> JsonOfFields(std::span<const std::string_view> fields);

/// When the entry was added, as its id says it, where that may be: between 2001 and tomorrow. Else `now_ms`.
int64_t ReceivedMs(StreamId id, int64_t now_ms);

/// The id of the event, as the log has it; none: it has none.
std::optional<std::string> EventIdOf(std::span<const std::string_view> fields, std::string_view event_id_field);

/// The pairs of a binary bytea[], for people: NAME=VALUE …, escaped and cut.
std::string DescribeRaw(std::string_view raw);

/// Back from a binary bytea[]: views into it.
std::vector<std::string_view> FieldsOfRaw(std::string_view raw);

}  // namespace sprockets
