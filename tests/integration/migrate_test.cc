// Migrations: each once, whatever leads to the set, and nothing in an order that no other database would see.
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

TEST_CASE("a set behind a symbolic link is applied once, over releases of different names", "[migrate]") {
  SetStage stage;
  stage.Write("migrations/001_one.sql", "CREATE TABLE one (i int);");
  const std::filesystem::path first = stage.set;
  const std::filesystem::path release = stage.folder / "release-2";
  std::filesystem::copy(first, release, std::filesystem::copy_options::recursive);
  const std::filesystem::path current = stage.folder / "current";
  std::filesystem::create_directory_symlink(first, current);
  stage.set = current;
  const CommandResult nameless = stage.Run("migrate", {"--json"});
  INFO(nameless);
  CHECK(nameless.exit_code == 4);
  CHECK(nameless.Says("set.conf"));
  stage.Write("set.conf", "name season\n");
  CHECK(stage.Run("migrate").exit_code == 0);
  std::filesystem::remove(current);
  std::filesystem::create_directory_symlink(release, current);
  stage.Write("set.conf", "name season\n");
  const CommandResult again = stage.Run("migrate", {"--json"});
  INFO(again);
  CHECK(again.exit_code == 0);
  CHECK(again.Summary().at("applied") == 0);
}

TEST_CASE("a migration that comes late, has gone, or leaves its transaction is refused in words", "[migrate]") {
  SetStage stage;
  stage.Write("migrations/002_two.sql", "CREATE TABLE two (i int);");
  REQUIRE(stage.Run("migrate").exit_code == 0);
  SECTION("late") {
    stage.Write("migrations/001_one.sql", "CREATE TABLE one (i int);");
    const CommandResult refused = stage.Run("migrate");
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("comes late"));
  }
  SECTION("gone") {
    std::filesystem::remove(stage.set / "migrations/002_two.sql");
    stage.Write("migrations/003_three.sql", "CREATE TABLE three (i int);");
    const CommandResult refused = stage.Run("migrate", {"--dry-run"});
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("is not in the set any more"));
  }
  SECTION("commits and begins anew") {
    stage.Write("migrations/003_three.sql", "CREATE TABLE three (i int); COMMIT; BEGIN; CREATE TABLE four (i int);");
    const CommandResult refused = stage.Run("migrate");
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("ends the transaction"));
  }
  SECTION("an index that no transaction may make") {
    stage.Write("migrations/003_three.sql", "CREATE INDEX CONCURRENTLY i ON two (i);");
    const CommandResult refused = stage.Run("migrate");
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("CONCURRENTLY"));
  }
}

TEST_CASE("an empty search_path, as pg_dump writes it, stays in its file", "[migrate]") {
  SetStage stage;
  stage.Write("migrations/001_dump.sql",
              "SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE public.one (i int);");
  stage.Write("migrations/002_two.sql", "CREATE TABLE two (i int);");
  const CommandResult applied = stage.Run("migrate", {"--json"});
  INFO(applied);
  CHECK(applied.exit_code == 0);
  CHECK(applied.Summary().at("applied") == 2);
  CHECK(stage.Run("migrate").exit_code == 0);
}

TEST_CASE("notes of earlier versions are taken over, and a migration that a set has retired is not missed",
          "[migrate]") {
  SetStage stage;
  stage.Sql(
      "CREATE TABLE sprockets_migrations (set_name text NOT NULL, number int NOT NULL, name text NOT NULL, "
      "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (set_name, number))");
  stage.Sql("INSERT INTO sprockets_migrations VALUES ('shop', 1, '001_tables.sql', 'x')");
  stage.Write("set.conf", "name shop\n");
  stage.Write("migrations/002_two.sql", "CREATE TABLE two (i int);");
  const CommandResult missed = stage.Run("migrate");
  INFO(missed);
  CHECK(missed.exit_code == 4);
  CHECK(missed.Says("001_tables.sql was applied and is not in the set any more"));
  stage.Write("set.conf", "name shop\nretired 001_tables.sql\n");
  const CommandResult applied = stage.Run("migrate", {"--json"});
  INFO(applied);
  CHECK(applied.exit_code == 0);
  CHECK(applied.Summary().at("applied") == 1);
  CHECK(stage.postgres.Value(stage.database,
                             "SELECT count(*) FROM sprockets.migrations WHERE set_name <> 'sprockets'") == "2");
  CHECK(stage.postgres.Value(stage.database, "SELECT to_regclass('sprockets_migrations') IS NULL") == "t");
  CHECK(stage.Run("migrate").exit_code == 0);
}

TEST_CASE("the archive's own tables are made once, before the set's, and their name is taken", "[migrate]") {
  SetStage stage;
  stage.Write("migrations/001_totals.sql", "CREATE TABLE sprockets.totals AS SELECT stream FROM sprockets.log;");
  const CommandResult dry = stage.Run("migrate", {"--dry-run", "--json"});
  CHECK(dry.exit_code == 1);
  CHECK(dry.Summary().at("own").at("applied") == 2);
  CHECK(stage.postgres.Value(stage.database, "SELECT to_regclass('sprockets.log') IS NULL") == "t");
  const CommandResult applied = stage.Run("migrate", {"--json"});
  INFO(applied);
  CHECK(applied.exit_code == 0);
  CHECK(applied.Summary().at("own").at("applied") == 2);
  const CommandResult again = stage.Run("migrate", {"--json"});
  CHECK(again.Summary().at("own").at("already_there") == 2);
  CHECK(again.Summary().at("own").at("applied") == 0);
  stage.Write("set.conf", "name sprockets\n");
  const CommandResult refused = stage.Run("migrate");
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("another one"));
}

TEST_CASE("two migrations at once apply each file once", "[migrate]") {
  SetStage stage;
  for (int i = 1; i <= 5; ++i) {
    stage.Write("migrations/00" + std::to_string(i) + "_t.sql", "CREATE TABLE t" + std::to_string(i) +
                                                                    " (x int);\nINSERT INTO t" + std::to_string(i) +
                                                                    " VALUES (1);\nSELECT pg_sleep(0.02);");
  }
  const CommandResult dry = stage.Run("migrate", {"--dry-run", "--json"});
  INFO(dry);
  CHECK(dry.exit_code == 1);
  CHECK(dry.Summary().at("applied") == 5);
  CHECK(stage.postgres.Value(stage.database,
                             "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == "0");

  Process one = stage.Begin("migrate", {"--json"});
  Process other = stage.Begin("migrate", {"--json"});
  CHECK(one.Wait() == 0);
  CHECK(other.Wait() == 0);
  INFO(one.Stdout() << one.Stderr() << other.Stdout() << other.Stderr());
  const auto first = nlohmann::json::parse(one.Stdout());
  const auto second = nlohmann::json::parse(other.Stdout());
  CHECK(first.at("applied").get<int>() + second.at("applied").get<int>() == 5);
  CHECK(stage.postgres.Value(stage.database,
                             "SELECT count(*) FROM sprockets.migrations WHERE set_name <> 'sprockets'") == "5");
  for (int i = 1; i <= 5; ++i)
    CHECK(stage.postgres.Value(stage.database, "SELECT count(*) FROM t" + std::to_string(i)) == "1");
  const CommandResult again = stage.Run("migrate", {"--json"});
  CHECK(again.exit_code == 0);
  CHECK(again.Summary().at("already_there") == 5);
  CHECK(again.Summary().at("applied") == 0);
}

TEST_CASE("a migration that was changed after it had been applied is refused", "[migrate]") {
  SetStage stage;
  stage.Write("migrations/001_t.sql", "CREATE TABLE t (x int);");
  REQUIRE(stage.Run("migrate").exit_code == 0);
  stage.Write("migrations/001_t.sql", "CREATE TABLE t (x bigint);");
  stage.Write("migrations/002_u.sql", "CREATE TABLE u (x int);");
  const CommandResult refused = stage.Run("migrate");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("001_t.sql"));
  CHECK(refused.Says("a migration of its own"));
  CHECK(stage.postgres.Value(stage.database, "SELECT to_regclass('u') IS NULL") == "t");
}

TEST_CASE("a migration that fails leaves nothing of itself, and file and line are named", "[migrate]") {
  SetStage stage;
  stage.Write("migrations/001_t.sql", "CREATE TABLE t (x int);");
  stage.Write("migrations/002_u.sql",
              "CREATE TABLE u (x int);\nINSERT INTO u VALUES (1);\n\nINSERT INTO nowhere VALUES (1);\n");
  CommandResult refused = stage.Run("migrate");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("migrations/002_u.sql: line 4"));
  CHECK(refused.Says("nowhere"));
  CHECK(stage.postgres.Value(stage.database, "SELECT to_regclass('u') IS NULL AND to_regclass('t') IS NOT NULL") ==
        "t");
  // One that ends our transaction by itself could not be taken back: it is refused, too.
  stage.Write("migrations/002_u.sql", "CREATE TABLE u (x int);\nCOMMIT;\nCREATE TABLE v (x int);\n");
  refused = stage.Run("migrate");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("002_u.sql"));
  CHECK(refused.Says("COMMIT"));
}

}  // namespace
}  // namespace sprockets::harness
