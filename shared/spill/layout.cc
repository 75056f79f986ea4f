// Rows, names and checksums of a spill file. Pure: any thread.
#include "shared/spill/layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/base/result.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

constexpr std::string_view kReservedBySqlite = "sqlite_";

/// A hash that is fed in small pieces. They are gathered, and each load is hashed with the hash of what came before as
/// its seed: XXH3 is at its best in one call, and a row is rarely more than one load.
class Checksum {
 public:
  explicit Checksum(uint32_t before) : hash_(before) {}

  /// Seven bits a byte, the lowest first, the high bit set on all but the last: short, and its own end.
  void Add(uint64_t number) {
    if (gathered_.size() - size_ < kMaxNumberBytes) Flush();
    for (; number >= 0x80; number >>= 7) gathered_[size_++] = static_cast<char>(number | 0x80);
    gathered_[size_++] = static_cast<char>(number);
  }

  /// The length goes in front, so that no byte can change sides between two values.
  void Add(std::string_view bytes) {
    Add(bytes.size());
    if (bytes.size() > gathered_.size() - size_) Flush();
    if (bytes.size() > gathered_.size()) {
      hash_ = XXH3_64bits_withSeed(bytes.data(), bytes.size(), hash_);
    } else if (!bytes.empty()) {
      std::memcpy(&gathered_[size_], bytes.data(), bytes.size());
      size_ += bytes.size();
    }
  }

  uint32_t Value() {
    Flush();
    return static_cast<uint32_t>(hash_);
  }

 private:
  static constexpr size_t kMaxNumberBytes = 10;

  void Flush() {
    hash_ = XXH3_64bits_withSeed(gathered_.data(), size_, hash_);
    size_ = 0;
  }

  uint64_t hash_;
  size_t size_ = 0;
  std::array<char, 1024> gathered_;
};

}  // namespace

std::string FoldSqlName(std::string_view name) {
  std::string folded(name);
  for (char& letter : folded) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return folded;
}

bool IsColumnName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxSqlNameBytes && name.front() != '_' &&
         name.find('\0') == std::string_view::npos && IsUtf8(name);
}

bool IsTableName(std::string_view name) {
  return IsColumnName(name) && !FoldSqlName(name).starts_with(kReservedBySqlite);
}

std::optional<FieldLayout> FieldLayout::Of(const EventView& event) {
  SPROCKETS_ASSERT(event.has_event_id());
  if (event.fields.size() > 2 * (kMaxFieldColumns + 1)) return std::nullopt;
  const std::string_view event_id_field = event.fields[event.event_id_at - 1];
  std::vector<std::string> columns;
  std::unordered_set<std::string> folded{FoldSqlName(event_id_field)};
  for (size_t at = 0; at < event.fields.size(); at += 2) {
    if (at + 1 == event.event_id_at) continue;
    const std::string_view name = event.fields[at];
    if (!IsColumnName(name) || !folded.insert(FoldSqlName(name)).second) return std::nullopt;
    columns.emplace_back(name);
  }
  return FieldLayout(std::move(columns), std::string(event_id_field), event.event_id_at / 2);
}

FieldLayout::FieldLayout(std::vector<std::string> columns, std::string event_id_field, size_t event_id_at)
    : names_(std::move(columns)), event_id_at_(event_id_at) {
  SPROCKETS_ASSERT(event_id_at <= names_.size());
  names_.insert(names_.begin() + static_cast<std::ptrdiff_t>(event_id_at), std::move(event_id_field));
}

bool FieldLayout::Fits(const EventView& event) const {
  if (event.fields.size() != 2 * names_.size() || event.event_id_at != 2 * event_id_at_ + 1) return false;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (event.fields[2 * i] != names_[i]) return false;
  }
  return true;
}

bool IsOwnId(const EventView& event, std::string_view producer) {
  if (event.event_id_at + 1 != event.fields.size()) return false;
  std::string_view id = event.event_id();
  if (!id.starts_with(producer)) return false;
  id.remove_prefix(producer.size());
  return id.size() >= 2 && id.front() == '-' &&
         std::all_of(id.begin() + 1, id.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void EncodeWords(std::span<const std::string_view> words, std::string* out) {
  out->clear();
  AppendArrayHeader(*out, words.size());
  for (const std::string_view word : words) AppendBulk(*out, word);
}

uint32_t ChecksumOfNames(const EventView& event) {
  Checksum checksum(0);
  checksum.Add(event.stream);
  checksum.Add(event.fields.size() / 2);
  for (size_t at = 0; at < event.fields.size(); at += 2) checksum.Add(event.fields[at]);
  return checksum.Value();
}

uint32_t ChecksumOfNames(std::string_view stream, const FieldLayout& layout) {
  Checksum checksum(0);
  checksum.Add(stream);
  checksum.Add(layout.names().size());
  for (const std::string& name : layout.names()) checksum.Add(name);
  return checksum.Value();
}

uint32_t ChecksumOfRow(uint32_t names, int64_t ticket, int64_t received_ms, const EventView& event, const Doubt* doubt,
                       const std::optional<StreamId>& id, int64_t origin) {
  Checksum checksum(names);
  if (id) {
    checksum.Add(id->ms);
    checksum.Add(id->seq);
    checksum.Add(static_cast<uint64_t>(origin));
  }
  checksum.Add(static_cast<uint64_t>(ticket));
  checksum.Add(static_cast<uint64_t>(received_ms));
  checksum.Add(event.event_id_at);
  checksum.Add(doubt == nullptr ? 0 : 1);
  if (doubt != nullptr) {
    checksum.Add(doubt->anchor.ms);
    checksum.Add(doubt->anchor.seq);
    checksum.Add((doubt->connection ? 1 : 0) | (doubt->needs_proof ? 0 : 2));
    if (doubt->connection) {
      checksum.Add(doubt->connection->run_id);
      checksum.Add(static_cast<uint64_t>(doubt->connection->client_id));
    }
  }
  checksum.Add(event.options.size());
  for (const std::string_view option : event.options) checksum.Add(option);
  for (size_t at = 1; at < event.fields.size(); at += 2) checksum.Add(event.fields[at]);
  return checksum.Value();
}

}  // namespace sprockets
