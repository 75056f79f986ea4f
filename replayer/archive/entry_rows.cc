#include "replayer/archive/entry_rows.h"

#include <algorithm>
#include <set>

#include <sodium.h>

#include "replayer/postgres/binary.h"
#include "shared/base/limits.h"
#include "shared/base/result.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr uint32_t kByteaOid = 17;
constexpr char kJsonbVersion = 1;
constexpr size_t kMostJsonBytes = 64 << 20;      // jsonb itself takes a quarter of a GiB
constexpr int64_t kFirstMs = 1'000'000'000'000;  // 2001-09-09: ids below it count something else
constexpr int64_t kDayMs = 86'400'000;
constexpr int16_t kColumns = 8;
constexpr size_t kPositionOffset = 2 + 4;  // behind the number of columns and the position's length

PayloadHash HashOf(std::string_view raw) {
  static const int ready = sodium_init();
  SPROCKETS_ASSERT(ready >= 0);
  PayloadHash hash;
  crypto_generichash(reinterpret_cast<unsigned char*>(hash.data()), hash.size(),
                     reinterpret_cast<const unsigned char*>(raw.data()), raw.size(), nullptr, 0);
  return hash;
}

bool IsPgText(std::string_view bytes) {
  return bytes.find('\0') == std::string_view::npos && IsUtf8(bytes);
}

/// Few names are compared with each other, many sorted.
bool HasRepeatedName(std::span<const std::string_view> fields) {
  constexpr size_t kFew = 16;
  if (fields.size() / 2 <= kFew) {
    for (size_t i = 0; i < fields.size(); i += 2) {
      for (size_t j = 0; j < i; j += 2) {
        if (fields[i] == fields[j]) return true;
      }
    }
    return false;
  }
  std::set<std::string_view> names;
  for (size_t i = 0; i < fields.size(); i += 2) {
    if (!names.insert(fields[i]).second) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> JsonOfFields(std::span<const std::string_view> fields) {
  size_t bytes = 0;
  for (const std::string_view part : fields) {
    if (!IsPgText(part)) return {};
    bytes += part.size();
  }
  if (bytes > kMostJsonBytes || HasRepeatedName(fields)) return {};
  std::string json;
  json.reserve(bytes + bytes / 8 + 6 * fields.size());
  json.push_back('{');
  for (size_t i = 0; i < fields.size(); i += 2) {
    if (i > 0) json.push_back(',');
    AppendJsonString(json, fields[i]);
    json.push_back(':');
    AppendJsonString(json, fields[i + 1]);
  }
  json.push_back('}');
  return json;
}

int64_t ReceivedMs(StreamId id, int64_t now_ms) {
  const bool is_time = id.ms >= static_cast<uint64_t>(kFirstMs) && id.ms <= static_cast<uint64_t>(now_ms + kDayMs);
  return is_time ? static_cast<int64_t>(id.ms) : now_ms;
}

std::optional<std::string> EventIdOf(std::span<const std::string_view> fields, std::string_view event_id_field) {
  constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < fields.size(); i += 2) {
    if (fields[i] != event_id_field) continue;
    const std::string_view value = fields[i + 1];
    if (value.empty() || value.size() > kMaxEventIdBytes) return {};
    if (IsPgText(value)) return std::string(value);
    std::string hex = "\\x";
    for (const char byte : value) {
      hex.push_back(kHex[static_cast<uint8_t>(byte) >> 4]);
      hex.push_back(kHex[static_cast<uint8_t>(byte) & 15]);
    }
    return hex;
  }
  return {};
}

void AppendEntry(EntryBatch& batch, StreamId id, std::span<const std::string_view> fields,
                 std::string_view event_id_field, int64_t now_ms) {
  SPROCKETS_ASSERT(!fields.empty() && fields.size() % 2 == 0);
  ArchiveEntry entry;
  entry.id = id;
  entry.event_id = EventIdOf(fields, event_id_field);
  std::string& rows = batch.rows;
  entry.row_begin = rows.size();
  AppendPgInt2(rows, kColumns);
  AppendPgInt8Field(rows, 0);
  AppendPgField(rows, batch.stream);
  char id_text[kMaxStreamIdBytes];
  AppendPgField(rows, WriteStreamId(id, id_text));
  if (entry.event_id) {
    AppendPgField(rows, *entry.event_id);
  } else {
    AppendPgNullField(rows);
  }
  AppendPgTimestampField(rows, ReceivedMs(id, now_ms));
  if (const std::optional<std::string> json = JsonOfFields(fields)) {
    AppendPgInt4(rows, static_cast<int32_t>(json->size() + 1));
    rows.push_back(kJsonbVersion);
    rows.append(*json);
  } else {
    AppendPgNullField(rows);
  }
  size_t raw_bytes = kPgArrayHeadBytes;
  for (const std::string_view part : fields) raw_bytes += 4 + part.size();
  AppendPgInt4(rows, static_cast<int32_t>(raw_bytes));
  entry.raw_begin = rows.size();
  AppendPgArrayHead(rows, kByteaOid, fields.size());
  for (const std::string_view part : fields) AppendPgField(rows, part);
  entry.raw_end = rows.size();
  entry.hash = HashOf(batch.Raw(entry));
  AppendPgField(rows, {entry.hash.data(), entry.hash.size()});
  entry.row_end = rows.size();
  batch.entries.push_back(std::move(entry));
}

void EntryBatch::Append(const EntryBatch& more) {
  const size_t offset = rows.size();
  rows += more.rows;
  for (ArchiveEntry entry : more.entries) {
    for (size_t* place : {&entry.row_begin, &entry.row_end, &entry.raw_begin, &entry.raw_end}) *place += offset;
    entries.push_back(std::move(entry));
  }
  deleted.insert(deleted.end(), more.deleted.begin(), more.deleted.end());
}

void SetPosition(EntryBatch& batch, const ArchiveEntry& entry, int64_t position) {
  std::string bytes;
  AppendPgInt8(bytes, position);
  std::copy(bytes.begin(), bytes.end(), batch.rows.begin() + static_cast<ptrdiff_t>(entry.row_begin + kPositionOffset));
}

std::vector<std::string_view> FieldsOfRaw(std::string_view raw) {
  std::vector<std::string_view> fields;
  if (raw.size() < kPgArrayHeadBytes) return fields;
  for (size_t at = kPgArrayHeadBytes; at + 4 <= raw.size();) {
    const uint32_t size = PgUint32(raw.substr(at));
    fields.push_back(raw.substr(at + 4, size));
    at += 4 + size;
  }
  return fields;
}

std::string DescribeRaw(std::string_view raw) {
  constexpr size_t kMostShown = 300;
  std::string shown;
  const std::vector<std::string_view> fields = FieldsOfRaw(raw);
  for (size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (shown.size() > kMostShown) return shown + " …";
    shown += (i == 0 ? "" : " ") + Escape(fields[i], 64) + "=" + Escape(fields[i + 1], kMostShown);
  }
  return shown;
}

}  // namespace sprockets
