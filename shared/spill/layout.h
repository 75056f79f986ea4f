// How an event becomes a row of a spill file and a row an event: which names SQLite can bear, which fields get columns
// of their own, and the checksum over it all. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

struct Doubt;

inline constexpr size_t kMaxFieldColumns = 64;  // far below SQLite's 2000 columns: a row that people can read
inline constexpr size_t kMaxSqlNameBytes = 128;

/// SQLite takes two names for one if they are equal after this: ASCII letters only, whatever the locale.
std::string FoldSqlName(std::string_view name);

/// A name that a table (a column) can have as it is: UTF-8 without NUL, 1 to 128 bytes, without a leading `_` (those
/// are the spill's own), and for a table not one of SQLite's own. Whether another one folds to the same is the caller's
/// to know.
bool IsTableName(std::string_view name);
bool IsColumnName(std::string_view name);

/// The fields of a stream's first event, if they can be columns: later events of the same fields in the same order need
/// not repeat the names. The event id's field is one of them but has no column of its own.
class FieldLayout {
 public:
  /// Nothing if the event's fields cannot be columns. The event must have an id.
  static std::optional<FieldLayout> Of(const EventView& event);
  /// As read back from a file: `columns` are the fields without the event id's, which stands behind `event_id_at` of
  /// them.
  FieldLayout(std::vector<std::string> columns, std::string event_id_field, size_t event_id_at);

  bool Fits(const EventView& event) const;

  /// All names in the event's order.
  const std::vector<std::string>& names() const { return names_; }
  /// Which of names() is the event id's.
  size_t event_id_at() const { return event_id_at_; }
  size_t columns() const { return names_.size() - 1; }

 private:
  std::vector<std::string> names_;
  size_t event_id_at_;
};

/// `<producer>-<n>` in the last field: the sidecar made this id.
bool IsOwnId(const EventView& event, std::string_view producer);

/// Words as a RESP array, into `out` (which keeps its room): the form of _raw and of _options.
void EncodeWords(std::span<const std::string_view> words, std::string* out);

/// Checksum over a stream's name and the names of an event's fields: the part of a row's checksum that is the same for
/// all events of one layout, and so need not be made again for each.
uint32_t ChecksumOfNames(const EventView& event);
uint32_t ChecksumOfNames(std::string_view stream, const FieldLayout& layout);

/// Checksum over the whole row: the lower half of a 64-bit XXH3. Every part has its length in front, so that no byte
/// can change sides. `id` and `origin` are a journal's; without an id neither counts.
uint32_t ChecksumOfRow(uint32_t names, int64_t ticket, int64_t received_ms, const EventView& event, const Doubt* doubt,
                       const std::optional<StreamId>& id = std::nullopt, int64_t origin = 0);

}  // namespace sprockets
