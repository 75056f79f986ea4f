// Reading rows back: each is checked before anybody sees it.
#include <algorithm>
#include <limits>
#include <utility>

#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "shared/spill/sqlite_file_impl.h"

namespace sprockets {
namespace {

// Columns of the statement that reads rows; the stream's fields follow. What no journal has is null.
enum RowColumn {
  kTicket,
  kEventId,
  kReceivedMs,
  kAnchor,
  kConnection,
  kOptions,
  kChecksum,
  kRaw,
  kId,
  kOrigin,
  kFirstField
};
static_assert(kFirstField == kJournalColumnCount);

/// Which rows of a table, and in which order.
constexpr std::string_view kAllRows = "ORDER BY _ticket ASC";
constexpr std::string_view kNewestFirst = "ORDER BY _ticket DESC";
constexpr std::string_view kDoubts = "AND _anchor IS NOT NULL ORDER BY _ticket ASC";

std::string SelectRowsSql(const StreamTableInfo& stream, bool names_entries, std::string_view which) {
  std::string sql = "SELECT _ticket, _event_id, _received_ms, _anchor, _conn, _options, _checksum, _raw, ";
  sql += names_entries ? "_id, _origin" : "NULL, NULL";
  for (size_t i = 0; stream.layout && i < stream.layout->names().size(); ++i) {
    if (i != stream.layout->event_id_at()) sql += ", " + QuoteIdentifier(stream.layout->names()[i]);
  }
  return sql + " FROM " + stream.table + " WHERE _ticket > ?1 AND _ticket <= ?2 " + std::string(which);
}

/// Index of the event id's value: of the first field with its name.
size_t FindEventId(const std::vector<std::string_view>& fields, std::string_view event_id_field) {
  for (size_t at = 0; at + 1 < fields.size(); at += 2) {
    if (fields[at] == event_id_field) return at + 1;
  }
  return EventView::kNoEventId;
}

}  // namespace

Status SqliteFile::Visit(const SpilledStream& stream, int64_t after, int64_t up_to,
                         const std::function<bool(const SpilledEvent&)>& visitor,
                         const std::function<void(int64_t, std::string_view)>& on_bad_row) {
  const int64_t last = up_to == 0 ? std::numeric_limits<int64_t>::max() : up_to;
  return impl_->VisitRows(stream, kAllRows, after, last, visitor, on_bad_row);
}

Status SqliteFile::VisitDoubts(const SpilledStream& stream, int64_t after,
                               const std::function<bool(const SpilledEvent&)>& visitor) {
  return impl_->VisitRows(stream, kDoubts, after, std::numeric_limits<int64_t>::max(), visitor, nullptr);
}

Status SqliteFile::VisitNewestFirst(const SpilledStream& stream, int64_t after, int64_t up_to,
                                    const std::function<bool(const SpilledEvent&)>& visitor,
                                    const std::function<void(int64_t, std::string_view)>& on_bad_row) {
  const int64_t last = up_to == 0 ? std::numeric_limits<int64_t>::max() : up_to;
  return impl_->VisitRows(stream, kNewestFirst, after, last, visitor, on_bad_row);
}

Result<int64_t> SqliteFile::CountAfter(const SpilledStream& stream, int64_t after, std::span<const int64_t> but_not) {
  ASSIGN_OR_RETURN(const StreamTableInfo* table, impl_->TableOf(stream.id));
  ASSIGN_OR_RETURN(Statement count,
                   impl_->database->Prepare("SELECT count(*) FROM " + table->table + " WHERE _ticket > ?1"));
  count.BindInteger(1, after);
  ASSIGN_OR_RETURN(const bool counted, count.Step());
  SPROCKETS_ASSERT(counted);
  int64_t rows = count.Integer(0);
  ASSIGN_OR_RETURN(Statement look, impl_->database->Prepare("SELECT 1 FROM " + table->table + " WHERE _ticket = ?1"));
  for (const int64_t ticket : but_not) {
    if (ticket <= after) continue;
    look.BindInteger(1, ticket);
    ASSIGN_OR_RETURN(const bool is_there, look.Step());
    rows -= is_there ? 1 : 0;
    look.Reset();
  }
  return rows;
}

Status SqliteFile::Impl::VisitRows(const SpilledStream& stream, std::string_view which, int64_t after, int64_t up_to,
                                   const std::function<bool(const SpilledEvent&)>& visitor,
                                   const std::function<void(int64_t, std::string_view)>& on_bad_row) {
  const std::string context = info.path.native() + ": stream " + Escape(stream.name);
  auto table = TableOf(stream.id);
  if (!table.ok()) return std::move(table).error().Prefixed(context);
  auto rows = database->Prepare(SelectRowsSql(*table.value(), names_entries, which));
  if (!rows.ok()) return std::move(rows).error().Prefixed(context);
  Statement& row = rows.value();
  row.BindInteger(1, after);
  row.BindInteger(2, up_to);
  const auto reading = which == kAllRows ? readings.find(stream.id) : readings.end();
  const bool goes_on = reading != readings.end() && after == reading->second.read.last_ticket;
  SpilledEvent spilled;
  spilled.event.stream = stream.name;
  while (true) {
    auto found = row.Step();
    if (!found.ok()) return std::move(found).error().Prefixed(context);
    if (!found.value()) break;
    const Defect defect = ReadRow(row, *table.value(), &spilled);
    if (!defect) {
      if (goes_on) {
        reading->second.read.Add(spilled.ticket, static_cast<uint32_t>(row.Integer(kChecksum)));
        reading->second.read.moved += spilled.origin != 0 ? 1 : 0;
      }
      if (!visitor(spilled)) return {};
    } else if (on_bad_row) {
      on_bad_row(spilled.ticket, *defect);
    } else {
      return Error{ErrorCode::kCorrupt, context + ": row " + std::to_string(spilled.ticket) + ": " + *defect};
    }
  }
  if (reading == readings.end() || up_to != std::numeric_limits<int64_t>::max()) return {};
  const Reading read = readings.extract(reading).mapped();
  if (goes_on) return Compare(stream.name, read.expected, read.read).Prefixed(info.path.native());
  auto stored = StoredTotals(stream.table);
  if (!stored.ok()) return std::move(stored).error().Prefixed(context);
  return Compare(stream.name, read.expected, stored.value()).Prefixed(info.path.native());
}

SqliteFile::Impl::Defect SqliteFile::Impl::ReadRow(const Statement& row, const StreamTableInfo& table,
                                                   SpilledEvent* spilled) const {
  spilled->ticket = row.Integer(kTicket);
  spilled->received_ms = row.Integer(kReceivedMs);
  if (Defect defect = ReadName(row, spilled)) return defect;
  if (Defect defect = ReadDoubt(row, spilled)) return defect;
  EventView& event = spilled->event;
  event.options.clear();
  if (!row.IsNull(kOptions) && !ParseWholeCommand(row.Bytes(kOptions), &event.options))
    return "_options cannot be read";
  if (Defect defect = ReadFields(row, table, spilled)) return defect;
  const Doubt* doubt = spilled->doubt ? &*spilled->doubt : nullptr;
  const uint32_t names = row.IsNull(kRaw) ? table.names_checksum : ChecksumOfNames(event);
  const uint32_t checksum =
      ChecksumOfRow(names, spilled->ticket, spilled->received_ms, event, doubt, spilled->id, spilled->origin);
  if (checksum != row.Integer(kChecksum) || event.event_id() != row.Bytes(kEventId))
    return "its checksum does not match";
  spilled->own_id = IsOwnId(event, producer);
  return std::nullopt;
}

SqliteFile::Impl::Defect SqliteFile::Impl::ReadName(const Statement& row, SpilledEvent* spilled) const {
  spilled->id.reset();
  spilled->origin = 0;
  if (!names_entries) return std::nullopt;
  spilled->id = ParseStreamId(row.Bytes(kId));
  if (!spilled->id || *spilled->id == kStreamBegin) return "_id is no entry id";
  if (row.IsNull(kOrigin)) return std::nullopt;
  spilled->origin = row.Integer(kOrigin);
  if (spilled->origin <= 0 || spilled->origin >= spilled->ticket) return "_origin is no earlier row";
  return std::nullopt;
}

SqliteFile::Impl::Defect SqliteFile::Impl::ReadDoubt(const Statement& row, SpilledEvent* spilled) const {
  spilled->doubt.reset();
  if (row.IsNull(kAnchor)) return std::nullopt;
  if (row.Bytes(kAnchor) == kRepeatAnchor) {
    spilled->doubt = Doubt{kStreamBegin, std::nullopt, /*needs_proof=*/false};
    return std::nullopt;
  }
  const std::optional<StreamId> anchor = ParseStreamId(row.Bytes(kAnchor));
  if (!anchor) return "_anchor cannot be read";
  spilled->doubt = Doubt{*anchor, std::nullopt};
  if (row.IsNull(kConnection)) return std::nullopt;
  const auto connection = connections.find(row.Integer(kConnection));
  if (connection == connections.end()) return "its connection is not listed";
  spilled->doubt->connection = connection->second;
  return std::nullopt;
}

SqliteFile::Impl::Defect SqliteFile::Impl::ReadFields(const Statement& row, const StreamTableInfo& table,
                                                      SpilledEvent* spilled) const {
  EventView& event = spilled->event;
  if (!row.IsNull(kRaw)) {
    if (!ParseWholeCommand(row.Bytes(kRaw), &event.fields) || event.fields.size() % 2 != 0)
      return "_raw cannot be read";
    event.event_id_at = FindEventId(event.fields, event_id_field);
    if (!event.has_event_id()) return "_raw has no event id";
    return std::nullopt;
  }
  if (!table.layout) return "_raw is missing";
  const FieldLayout& layout = *table.layout;
  event.fields.clear();
  event.event_id_at = 2 * layout.event_id_at() + 1;
  int column = kFirstField;
  for (size_t i = 0; i < layout.names().size(); ++i) {
    const int source = i == layout.event_id_at() ? static_cast<int>(kEventId) : column++;
    event.fields.push_back(layout.names()[i]);
    event.fields.push_back(row.Bytes(source));
  }
  return std::nullopt;
}

}  // namespace sprockets
