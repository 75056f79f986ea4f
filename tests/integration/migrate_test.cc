// Migrations: each once, whatever leads to the set, and nothing in an order that no other database would see.
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>

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

}  // namespace
}  // namespace sprockets::harness
