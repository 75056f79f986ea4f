#include "replayer/structure/source.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "replayer/postgres/binary.h"
#include "replayer/postgres/bytea_array.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr size_t kMostRowBytes = 32 << 20;
constexpr double kMostExactInteger = 9007199254740992.0;  // 2^53: above it not every integer is a double

/// The columns that a kind wants, without key and expire_at, for the error message.
std::string_view ColumnsOf(RedisKind kind) {
  constexpr std::array<std::string_view, 5> kColumns{"member, score",
                                                     "id, <fields…> (or id and one column fields of type bytea[])",
                                                     "field, value", "member", "value"};
  return kColumns[static_cast<size_t>(kind)];
}

/// As values that are sorted and told apart by their bytes, whatever the database's collation is.
std::string InBytes(const std::string& expression) {
  return expression + (expression.ends_with("::text") ? " COLLATE \"C\"" : "");
}

}  // namespace

Result<bool> HasItsTable(Postgres& postgres, const Structure& structure) {
  if (!structure.if_table) return true;
  const std::vector<std::string> table{*structure.if_table};
  const auto found = postgres.Query("SELECT to_regclass($1) IS NOT NULL", table);
  if (!found.ok()) return Error(found.error()).Prefixed(structure.file.native() + ": -- if-table:");
  const bool there = found.value()[0][0] == "t";
  if (!there) LogInfo("passed-over", {{"structure", structure.name}, {"why", "no table " + *structure.if_table}});
  return there;
}

Result<Source> Source::Open(Postgres& postgres, const Structure& structure) {
  Source source(postgres, structure);
  auto found = postgres.Describe(structure.query);
  if (!found.ok()) return std::move(found).error().Prefixed(structure.file.native());
  RETURN_IF_ERROR(source.Assign(found.value()));
  return source;
}

Status Source::Assign(const std::vector<Postgres::Column>& found) {
  const RedisKind kind = structure_->kind;
  const bool is_stream = kind == RedisKind::kStream;
  std::vector<std::string> wanted;
  if (!structure_->key) wanted.push_back("key");
  if (kind == RedisKind::kZset || kind == RedisKind::kSet) wanted.push_back("member");
  if (kind == RedisKind::kZset) wanted.push_back("score");
  if (kind == RedisKind::kHash) wanted.push_back("field");
  if (kind == RedisKind::kHash || kind == RedisKind::kString) wanted.push_back("value");
  if (is_stream) wanted.push_back("id");

  std::string names;
  size_t fields = 0;
  bool has_pairs = false;
  for (size_t i = 0; i < found.size(); ++i) {
    names += (i == 0 ? "" : ", ") + found[i].name;
    const std::string at = "q.c" + std::to_string(i + 1);
    const uint32_t type = found[i].type;
    Column column{found[i].name, Role::kField, false, type == kPgBytea ? at : at + "::text"};
    const auto is_wanted = std::find(wanted.begin(), wanted.end(), found[i].name);
    if (is_wanted != wanted.end()) {
      if (column.name == "key") column.role = Role::kKey;
      if (column.name == "member" || column.name == "field") column.role = Role::kMember;
      if (column.name == "value") column.role = Role::kValue;
      if (column.name == "id") column.role = Role::kId;
      if (column.name == "score") {
        column.role = Role::kScore;
        column.is_integer = type == kPgInt2 || type == kPgInt4 || type == kPgInt8;
        if (!column.is_integer && type != kPgFloat4 && type != kPgFloat8 && type != kPgNumeric)
          return Error{ErrorCode::kRefused, structure_->file.native() + ": the column score is no number: cast it"};
        column.expression = at + (column.is_integer ? "::int8" : "::float8");
      }
      wanted.erase(is_wanted);
    } else if (column.name == "expire_at") {
      if (type != kPgTimestamptz && type != kPgTimestamp)
        return Error{ErrorCode::kRefused,
                     structure_->file.native() + ": the column expire_at is no timestamp: cast it"};
      column.role = Role::kExpireAt;
      column.expression = "floor(extract(epoch FROM " + at + ") * 1000)::int8";
    } else if (is_stream) {
      ++fields;
      if (column.name == "fields" && type == kPgByteaArray) {
        has_pairs = true;
        column.role = Role::kFields;
        column.expression = at;
      }
    } else {
      wanted.push_back(column.name);  // one too many
    }
    columns_.push_back(std::move(column));
  }
  const bool has_fields = has_pairs ? fields == 1 : fields > 0;
  if (wanted.empty() && (!is_stream || has_fields)) return {};
  const std::string key = structure_->key ? "" : "key, ";
  return Error{ErrorCode::kRefused, structure_->file.native() + ": its columns are " + names + "; a " +
                                        std::string(NameOf(kind)) + " wants " + key + std::string(ColumnsOf(kind)) +
                                        " and, if it ends, expire_at"};
}

std::string Source::FromClause() const {
  std::string names;
  for (size_t i = 0; i < columns_.size(); ++i) names += (i == 0 ? "c" : ", c") + std::to_string(i + 1);
  return " FROM (\n" + structure_->query + "\n) AS q(" + names + ")";
}

std::string Source::SelectSql(Order order) const {
  std::string select;
  std::array<std::string, 3> terms;  // by key, by score, by member
  for (const Column& column : columns_) {
    select += (select.empty() ? "SELECT " : ", ") + column.expression;
    const std::string bytes = InBytes(column.expression);
    if (column.role == Role::kKey) terms[0] = bytes;
    if (column.role == Role::kScore) terms[1] = column.expression;
    if (column.role == Role::kMember) terms[2] = bytes;
    if (column.role == Role::kId) {
      // What is no id comes first, so that its row is named, and not PostgreSQL's trouble with it.
      const std::string good =
          "CASE WHEN " + column.expression + " ~ '^[0-9]+-[0-9]+$' THEN split_part(" + column.expression + ", '-', ";
      terms[1] = good + "1)::numeric ELSE -1 END";
      terms[2] = good + "2)::numeric ELSE -1 END";
    }
  }
  if (order == Order::kScoresFall && structure_->kind == RedisKind::kZset) {
    terms[1] += " DESC";
    terms[2].clear();
  }
  std::string order_by;
  for (const std::string& term : terms) {
    if (!term.empty()) order_by += (order_by.empty() ? " ORDER BY " : ", ") + term;
  }
  return select + FromClause() + order_by;
}

Status Source::Visit(Order order, const std::function<Status(const SourceRow&)>& visitor) {
  last_key_.clear();
  last_member_.clear();
  last_id_ = {};
  SourceRow row;
  const auto take = [&](std::span<const Postgres::ValueView> values) -> Status {
    ++row.number;
    RETURN_IF_ERROR(Read(values, &row));
    RETURN_IF_ERROR(CheckOrder(row));
    return visitor(row);
  };
  return Copy(SelectSql(order), take, row.number);
}

Status Source::VisitKeys(const std::function<Status(std::string_view key)>& visitor) {
  const auto column =
      std::find_if(columns_.begin(), columns_.end(), [](const Column& c) { return c.role == Role::kKey; });
  SPROCKETS_ASSERT(column != columns_.end());
  uint64_t rows = 0;
  const auto take = [&](std::span<const Postgres::ValueView> values) { return visitor(values[0].value_or("")); };
  return Copy("SELECT DISTINCT " + InBytes(column->expression) + FromClause(), take, rows);
}

/// `rows`: how many the visitor has had, for the error of a query that breaks off.
Status Source::Copy(const std::string& sql, const std::function<Status(std::span<const Postgres::ValueView>)>& visitor,
                    const uint64_t& rows) {
  bool refused_by_us = false;
  const auto watched = [&](std::span<const Postgres::ValueView> values) -> Status {
    Status taken = visitor(values);
    refused_by_us = !taken.ok();
    return taken;
  };
  Status copied = postgres_->CopyOut(sql, watched);
  if (copied.ok() || refused_by_us) return copied;
  return std::move(copied).Prefixed(structure_->file.native() + ": after row " + std::to_string(rows));
}

Error Source::Wrong(const SourceRow& row, const std::string& why) const {
  std::string where = structure_->file.native() + ": row " + std::to_string(row.number);
  if (!row.key.empty()) where += " (key " + Escape(row.key) + ")";
  return {ErrorCode::kRefused, where + ": " + why};
}

Status Source::Read(std::span<const Postgres::ValueView> values, SourceRow* row) {
  SPROCKETS_ASSERT(values.size() == columns_.size());
  row->key = structure_->key ? std::string_view(*structure_->key) : std::string_view();
  row->fields.clear();
  row->expire_at_ms.reset();
  size_t bytes = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const Column& column = columns_[i];
    if (!values[i]) {
      if (column.role == Role::kExpireAt || column.role == Role::kField) continue;
      return Wrong(*row, column.name + " is NULL: filter such rows, or give them a value");
    }
    const std::string_view value = *values[i];
    bytes += value.size();
    switch (column.role) {
      case Role::kKey:
        row->key = value;
        break;
      case Role::kMember:
        row->member = value;
        break;
      case Role::kValue:
        row->value = value;
        if (structure_->values != Structure::Values::kExact && !ParseNumber(value))
          return Wrong(*row, Escape(value) + " is no number, as -- values: asks for");
        break;
      case Role::kScore:
        RETURN_IF_ERROR(ReadScore(value, column.is_integer, row));
        break;
      case Role::kId: {
        const std::optional<StreamId> id = ParseStreamId(value);
        if (!id || *id == kStreamBegin)
          return Wrong(*row, "no entry id: " + Escape(value) + "; write <ms>-<seq> above 0-0");
        row->id = *id;
        break;
      }
      case Role::kExpireAt:
        row->expire_at_ms = PgInt8(value);
        break;
      case Role::kField:
        row->fields.push_back(column.name);
        row->fields.push_back(value);
        break;
      case Role::kFields:
        RETURN_IF_ERROR(ReadFields(value, row));
        break;
    }
  }
  if (bytes > kMostRowBytes)
    return Wrong(*row, "it has " + FormatSize(bytes) + "; a row may have " + FormatSize(kMostRowBytes) +
                           ": leave it out, or shorten it");
  if (structure_->kind == RedisKind::kStream && row->fields.empty()) return Wrong(*row, "every field is NULL");
  return {};
}

/// Names and values in turn, which may come again and hold any byte.
Status Source::ReadFields(std::string_view bytes, SourceRow* row) {
  if (!ReadByteaArray(bytes, &pairs_)) return Wrong(*row, "fields has more than one dimension");
  if (pairs_.empty()) return Wrong(*row, "fields is empty: an entry has at least one name with its value");
  if (pairs_.size() % 2 != 0)
    return Wrong(*row, "fields has " + std::to_string(pairs_.size()) + " elements: a name comes without its value");
  for (const std::optional<std::string_view>& element : pairs_) {
    if (!element) return Wrong(*row, "fields has an element that is NULL: leave the pair out, or give it a value");
    row->fields.push_back(*element);
  }
  return {};
}

Status Source::ReadScore(std::string_view bytes, bool is_integer, SourceRow* row) const {
  constexpr int64_t kMost = int64_t{1} << 53;
  if (is_integer) {
    const int64_t score = PgInt8(bytes);
    if (score > kMost || score < -kMost)
      return Wrong(*row, "the score " + std::to_string(score) + " is beyond 2^53, where a double is no longer exact");
    row->score = static_cast<double>(score);
    return {};
  }
  row->score = PgFloat8(bytes);
  const bool is_allowed = structure_->infinite_scores ? !std::isnan(row->score) : std::isfinite(row->score);
  if (!is_allowed) return Wrong(*row, "the score is NaN or infinite");
  if (!structure_->integer_scores) return {};
  if (std::trunc(row->score) != row->score || std::abs(row->score) > kMostExactInteger)
    return Wrong(*row, "the score is no integer up to 2^53, as -- scores: integers asks for");
  return {};
}

/// The rows come sorted, so what must be told once a key, and what comes twice, lies side by side.
Status Source::CheckOrder(const SourceRow& row) {
  const bool same_key = row.number > 1 && row.key == last_key_;
  const RedisKind kind = structure_->kind;
  if (same_key) {
    if (kind == RedisKind::kString) return Wrong(row, "the key comes twice");
    if (kind == RedisKind::kStream && row.id == last_id_)
      return Wrong(row, "the id " + ToString(row.id) + " comes twice");
    if ((kind == RedisKind::kHash || kind == RedisKind::kSet) && row.member == last_member_)
      return Wrong(row, Escape(row.member) + " comes twice");
    if (row.expire_at_ms != last_expire_at_ms_) return Wrong(row, "expire_at differs between rows of one key");
  } else {
    if (row.key.starts_with("sprockets:")) return Wrong(row, "keys that begin with sprockets: are this program's own");
    last_key_ = row.key;
    last_expire_at_ms_ = row.expire_at_ms;
  }
  last_id_ = row.id;
  if (kind == RedisKind::kHash || kind == RedisKind::kSet) last_member_ = row.member;
  return {};
}

Status Source::RefuseDuplicate() {
  if (structure_->kind != RedisKind::kZset) return {};
  std::string group;
  std::string member;
  for (const Column& column : columns_) {
    if (column.role != Role::kKey && column.role != Role::kMember) continue;
    group += (group.empty() ? "" : ", ") + column.expression;
    if (column.role == Role::kMember) member = column.expression;
  }
  ASSIGN_OR_RETURN(const auto rows, postgres_->Query("SELECT " + member + FromClause() + " GROUP BY " + group +
                                                     " HAVING count(*) > 1 LIMIT 1"));
  if (rows.empty() || !rows[0][0]) return {};
  return Error{ErrorCode::kRefused,
               structure_->file.native() + ": " + Escape(*rows[0][0]) + " comes twice; each member may come once"};
}

}  // namespace sprockets
