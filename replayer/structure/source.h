// The rows of one structure as PostgreSQL gives them: read as a stream, checked, and sorted as Redis sorts.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/postgres/postgres.h"
#include "replayer/schema_set/schema_set.h"
#include "shared/base/result.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

/// Views are good until the visitor returns.
struct SourceRow {
  uint64_t number = 0;  // from 1, in the order of the visit: for errors
  std::string_view key;
  std::string_view member;  // zset and set: the member; hash: the field
  std::string_view value;   // hash and string
  double score = 0;
  StreamId id;
  std::vector<std::string_view> fields;  // of a stream's entry: name, value, …
  std::optional<int64_t> expire_at_ms;   // milliseconds since 1970
};

/// Is the table of `-- if-table:` there? Without that line it always is. Where it is not, the log says that the file is
/// passed over.
Result<bool> HasItsTable(Postgres& postgres, const Structure& structure);

class Source {
 public:
  /// Asks for the query's columns and checks that they fit the kind. kRefused names the file and what is wrong.
  static Result<Source> Open(Postgres& postgres, const Structure& structure);

  /// What rows of one key are sorted by. A load wants scores to fall, and needs no more: PostgreSQL sorts numbers alone
  /// in a fraction of the time. Redis looks for the place of a member from the lowest score on, so one that is lower
  /// than all before it finds its place at once: a quarter less of Redis's time than with scores that rise.
  enum class Order { kAsRedis, kScoresFall };

  /// Every row, sorted by key (bytes), then as Redis has them: a zset by score and member, a stream by id, hash and set
  /// by field and member. NULLs, NaN, infinities, scores that a double cannot hold, members that come twice in a row,
  /// bad ids, fields that are no pairs and rows above 32 MiB are kRefused with the file and the row; so is whatever
  /// PostgreSQL refuses.
  Status Visit(Order order, const std::function<Status(const SourceRow&)>& visitor);

  /// Each key once, in no order, of a query that gives its keys by a column; a row without one as an empty key.
  Status VisitKeys(const std::function<Status(std::string_view key)>& visitor);

  /// kRefused if the query gives a member of a zset twice, which need not lie side by side.
  Status RefuseDuplicate();

 private:
  enum class Role { kKey, kMember, kValue, kScore, kId, kExpireAt, kField, kFields };
  struct Column {
    std::string name;
    Role role;
    bool is_integer = false;
    std::string expression;  // over q.cN
  };
  Source(Postgres& postgres, const Structure& structure) : postgres_(&postgres), structure_(&structure) {}

  Status Assign(const std::vector<Postgres::Column>& found);
  std::string FromClause() const;
  std::string SelectSql(Order order) const;
  Status Copy(const std::string& sql, const std::function<Status(std::span<const Postgres::ValueView>)>& visitor,
              const uint64_t& rows);
  Status Read(std::span<const Postgres::ValueView> values, SourceRow* row);
  Status ReadFields(std::string_view bytes, SourceRow* row);
  Status ReadScore(std::string_view bytes, bool is_integer, SourceRow* row) const;
  Status CheckOrder(const SourceRow& row);
  Error Wrong(const SourceRow& row, const std::string& why) const;

  Postgres* postgres_;
  const Structure* structure_;
  std::vector<Column> columns_;
  std::vector<std::optional<std::string_view>> pairs_;  // of the row at hand
  // Of the row before.
  std::string last_key_;
  std::string last_member_;
  StreamId last_id_;
  std::optional<int64_t> last_expire_at_ms_;
};

}  // namespace sprockets
