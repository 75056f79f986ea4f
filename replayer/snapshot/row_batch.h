// Rows for PostgreSQL, many in one statement: each column is an array. One thread.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/postgres/postgres.h"
#include "shared/base/result.h"

namespace sprockets {

/// Bytes as the text of a bytea.
std::string PgBytesText(std::string_view bytes);

class RowBatch {
 public:
  /// `sql` has a parameter for each column, which it casts to an array and unnests. References outlive this.
  RowBatch(Postgres& postgres, std::string sql, size_t columns)
      : postgres_(postgres), sql_(std::move(sql)), arrays_(columns) {}

  /// Values as text without NUL; of bytes, PgBytesText.
  Status Add(std::initializer_list<std::string_view> values);
  /// The rest.
  Status Flush();

 private:
  static constexpr size_t kMostRows = 5'000;
  static constexpr size_t kMostBytes = 4 << 20;

  Postgres& postgres_;
  const std::string sql_;
  std::vector<std::string> arrays_;
  size_t rows_ = 0;
  size_t bytes_ = 0;
};

}  // namespace sprockets
