// The files of archive/: what their head says, and where a mistake is.
#include "replayer/schema_set/archive_handlers.h"

#include <catch2/catch.hpp>

namespace sprockets::testing {
namespace {

TEST_CASE("a handler says for which streams it is, and what it returns", "[archive_handlers]") {
  const auto handler = ParseArchiveHandler("archive/20_scores.sql",
                                           "-- archive: bounty-*\n-- returns: scores\n-- if-table: bounty_log\n"
                                           "-- json: data more\n\n-- note: for people\nSELECT 1;\n;");
  REQUIRE(handler.ok());
  CHECK(handler.value().name == "20_scores.sql");
  CHECK(handler.value().streams == "bounty-*");
  CHECK(handler.value().returns_scores);
  CHECK(handler.value().if_table == "bounty_log");
  CHECK(handler.value().json_fields == std::vector<std::string>{"data", "more"});
  CHECK(handler.value().sql.ends_with("SELECT 1"));
}

TEST_CASE("a mistake in a handler's head is an error with file and line", "[archive_handlers]") {
  const auto error = [](const char* text) {
    const auto handler = ParseArchiveHandler("archive/10_x.sql", text);
    REQUIRE_FALSE(handler.ok());
    return handler.error().message;
  };
  CHECK(error("SELECT 1").find("10_x.sql: line 1: it does not say for which streams") != std::string::npos);
  CHECK(error("-- archive: *\n-- return: scores\nSELECT 1").find("line 2: there is no directive return:") !=
        std::string::npos);
  CHECK(error("-- archive: *\n-- returns: score\nSELECT 1").find("line 2: write -- returns: scores") !=
        std::string::npos);
  CHECK(error("-- archive: a\n-- archive: b\nSELECT 1").find("line 2: -- archive: comes twice") != std::string::npos);
}

}  // namespace
}  // namespace sprockets::testing
