// COPY into a table, values that hold any byte, SQLSTATE, and a stop that lets a statement finish, over a real server.
#include "replayer/postgres/postgres.h"

#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "replayer/postgres/binary.h"
#include "shared/base/clock.h"
#include "tests/harness/postgres_server.h"

namespace sprockets::testing {
namespace {

struct Database {
  harness::PostgresServer& server = harness::PostgresServer::Shared();
  std::string name = server.CreateDatabase();
  Postgres postgres = Connect();

  Postgres Connect() const {
    Result<Postgres> connected = Postgres::Connect({server.Url(name), ""}, 0);
    REQUIRE(connected.ok());
    return std::move(connected).value();
  }
  void Run(const std::string& sql) { REQUIRE(postgres.Execute(sql).ok()); }
};

/// A row (i bigint, b bytea).
std::string RowOf(int64_t number, std::string_view bytes) {
  std::string row;
  AppendPgInt2(row, 2);
  AppendPgInt8Field(row, number);
  AppendPgField(row, bytes);
  return row;
}

TEST_CASE("rows that are copied in arrive byte by byte, over any number of pieces", "[postgres]") {
  Database database;
  database.Run("CREATE TABLE t (i bigint PRIMARY KEY, b bytea)");
  const std::string large(3 << 20, '\0');
  int pieces = 0;
  std::string piece;
  const Status copied = database.postgres.CopyIn("t (i, b)", [&]() -> std::string_view {
    if (pieces == 4) return {};
    piece = RowOf(pieces, pieces == 2 ? large : std::string("a\0\xff", 3));
    ++pieces;
    return piece;
  });
  REQUIRE(copied.ok());
  CHECK(database.server.Value(database.name, "SELECT count(*) FROM t WHERE b = '\\x6100ff'") == "3");
  CHECK(database.server.Value(database.name, "SELECT length(b) FROM t WHERE i = 2") == std::to_string(large.size()));
}

TEST_CASE("a row that is refused ends the copy with its SQLSTATE, and the connection goes on", "[postgres]") {
  Database database;
  database.Run("CREATE TABLE t (i bigint PRIMARY KEY, b bytea)");
  const std::string rows = RowOf(1, "x") + RowOf(1, "y") + RowOf(2, std::string(2 << 20, 'z'));
  bool given = false;
  const Status copied = database.postgres.CopyIn("t (i, b)", [&]() -> std::string_view {
    if (given) return {};
    given = true;
    return rows;
  });
  REQUIRE_FALSE(copied.ok());
  CHECK(copied.error().sqlstate == "23505");
  CHECK(copied.error().code == ErrorCode::kRefused);
  CHECK(database.postgres.Execute("SELECT 1").ok());
  CHECK(database.server.Value(database.name, "SELECT count(*) FROM t") == "0");
}

TEST_CASE("parameters may be NULL or hold any byte, and a text with NUL is refused rather than cut", "[postgres]") {
  Database database;
  const std::string bytes("a\0b", 3);
  const std::vector<Postgres::Parameter> parameters{{.bytes = bytes, .is_binary = true}, {}};
  const Result<Postgres::Rows> rows =
      database.postgres.Query("SELECT encode($1::bytea, 'hex'), $2::text IS NULL", parameters);
  REQUIRE(rows.ok());
  CHECK(rows.value()[0][0] == "610062");
  CHECK(rows.value()[0][1] == "t");
  const std::vector<std::string> texts{bytes};
  const Result<Postgres::Rows> cut = database.postgres.Query("SELECT $1::text", texts);
  REQUIRE_FALSE(cut.ok());
  CHECK(cut.error().message.find("NUL") != std::string::npos);
}

TEST_CASE("what a statement returns is known before it runs, and a mistake in it has a line", "[postgres]") {
  Database database;
  database.Run("CREATE TABLE t (i bigint)");
  const Result<std::vector<Postgres::Column>> columns = database.postgres.DescribeStatement(
      "WITH made AS (INSERT INTO t VALUES (1) RETURNING i) SELECT i AS member, 1.5::float8 AS score FROM made");
  REQUIRE(columns.ok());
  REQUIRE(columns.value().size() == 2);
  CHECK(columns.value()[1].name == "score");
  CHECK(columns.value()[1].type == kPgFloat8);
  CHECK(database.server.Value(database.name, "SELECT count(*) FROM t") == "0");
  const auto wrong = database.postgres.DescribeStatement("SELECT 1,\n nothing FROM t");
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().sqlstate == "42703");
  CHECK(wrong.error().message.find("line 2") != std::string::npos);
}

TEST_CASE("a stop lets a statement finish that may, and ends it when its time is over", "[postgres]") {
  Database database;
  database.postgres.StopWhen([] { return true; });
  database.postgres.FinishFirst(10'000);
  CHECK(database.postgres.Execute("SELECT pg_sleep(0.6)").ok());
  Postgres other = database.Connect();
  other.StopWhen([] { return true; });
  other.FinishFirst(300);
  const int64_t begun_ms = SteadyClockMs();
  CHECK_FALSE(other.Execute("SELECT pg_sleep(20)").ok());
  CHECK(SteadyClockMs() - begun_ms < 5'000);
}

}  // namespace
}  // namespace sprockets::testing
