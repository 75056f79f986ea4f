// What a set's file says of values that SQL does not know exactly: what is taken, and that what is wrong is named.
#include <string>

#include <catch2/catch.hpp>

#include "replayer/schema_set/schema_set.h"

namespace sprockets::testing {
namespace {

std::string ErrorOf(const std::string& text) {
  const auto structure = ParseStructure("rebuild/x.sql", text);
  return structure.ok() ? "no error" : structure.error().message;
}

TEST_CASE("what Redis may differ in is read from the file") {
  const auto board = ParseStructure("x.sql",
                                    "-- redis: zset board\n-- tolerance: 1e-6\n-- ignore-members: __dummy__ other\n"
                                    "-- zeros: optional\n-- if-table: scores\nSELECT 1");
  REQUIRE(board.ok());
  CHECK(board.value().tolerance == 1e-6);
  CHECK(board.value().ignored_members == std::vector<std::string>{"__dummy__", "other"});
  CHECK(board.value().zeros_optional);
  CHECK(board.value().if_table == "scores");
  CHECK(board.value().values == Structure::Values::kExact);
  const auto counters = ParseStructure("x.sql",
                                       "-- redis: hash\n-- keys: *-set\n-- values: at-least\n"
                                       "-- unused-keys: allowed\nSELECT 1");
  REQUIRE(counters.ok());
  CHECK(counters.value().values == Structure::Values::kAtLeast);
  CHECK(counters.value().unused_keys_allowed);
  const auto marks = ParseStructure("x.sql", "-- redis: zset marks\n-- values: at-most\nSELECT 1");
  REQUIRE(marks.ok());
  CHECK(marks.value().values == Structure::Values::kAtMost);
  const auto streams = ParseStructure("x.sql", "-- redis: stream\n-- keys: log/*\n-- up-to: marks\nSELECT 1");
  REQUIRE(streams.ok());
  CHECK(streams.value().up_to == "marks");
  CHECK_FALSE(streams.value().trimmed_allowed);
  const auto trimmed = ParseStructure("x.sql", "-- redis: stream log\n-- trimmed: allowed\nSELECT 1");
  REQUIRE(trimmed.ok());
  CHECK(trimmed.value().trimmed_allowed);
}

TEST_CASE("a directive that is wrong, or does not go with the others, is refused with file and line") {
  const std::string zset = "-- redis: zset a\n";
  for (const char* bad : {"", "0", "-1", "x", "1e-6 2", "inf", "nan"}) {
    INFO(bad);
    CHECK(ErrorOf(zset + "-- tolerance: " + bad + "\n").find("rebuild/x.sql: line 2: write -- tolerance:") == 0);
  }
  CHECK(ErrorOf(zset + "-- values: exact\n").find("line 2: write -- values: at-least or at-most") != std::string::npos);
  CHECK(ErrorOf(zset + "-- ignore-members:\n").find("line 2: write -- ignore-members:") != std::string::npos);
  CHECK(ErrorOf(zset + "-- zeros: no\n").find("line 2: write -- zeros: optional") != std::string::npos);
  CHECK(ErrorOf(zset + "-- unused-keys: yes\n").find("line 2: write -- unused-keys:") != std::string::npos);
  CHECK(ErrorOf(zset + "-- trimmed: yes\n").find("line 2: write -- trimmed: allowed") != std::string::npos);
  CHECK(ErrorOf(zset + "-- up-to:\n").find("line 2: write -- up-to:") != std::string::npos);
  CHECK(ErrorOf(zset + "-- if-table: a b\n").find("line 2: write -- if-table:") != std::string::npos);
  CHECK(ErrorOf(zset + "-- keys:\n").find("line 2: write -- keys:") != std::string::npos);
  CHECK(ErrorOf(zset + "-- publish:\n").find("line 2: write -- publish:") != std::string::npos);
  CHECK(ErrorOf(zset + "-- zeros: optional\n-- zeros: optional\n").find("line 3: -- zeros: comes twice") !=
        std::string::npos);
  // A typing error, in whatever case and with whatever it is joined.
  for (const char* typo : {"tolerence", "Tolerance", "ignore_members", "ignore-member"}) {
    CHECK(ErrorOf(zset + "-- " + typo + ": 1\n").find("line 2: there is no directive " + std::string(typo)) !=
          std::string::npos);
  }
  const auto does_not_go = [](const std::string& text, const std::string& what) {
    INFO(text);
    CHECK(ErrorOf(text).find(what) != std::string::npos);
  };
  does_not_go("-- redis: hash a\n-- tolerance: 1\n", "line 2: -- tolerance: is for a zset");
  does_not_go("-- redis: zset a\n-- scores: integers\n-- tolerance: 1\n", "line 3: -- tolerance: does not go with");
  does_not_go("-- redis: hash a\n-- values: at-most\n", "line 2: -- values:");
  does_not_go("-- redis: stream a\n-- values: at-least\n", "line 2: -- values:");
  does_not_go("-- redis: string a\n-- ignore-members: b\n", "line 2: -- ignore-members:");
  does_not_go("-- redis: hash a\n-- zeros: optional\n", "line 2: -- zeros: is for a zset");
  does_not_go("-- redis: zset a\n-- unused-keys: allowed\n", "line 2: -- unused-keys:");
  does_not_go("-- redis: zset\n-- keys: a*\n-- unused-keys: allowed\n-- follow: t id\n", "line 3: -- unused-keys:");
  does_not_go("-- redis: zset a\n-- trimmed: allowed\n", "line 2: -- trimmed: is for a stream");
  does_not_go("-- redis: stream\n-- keys: a*\n-- trimmed: allowed\n-- up-to: m\n", "line 3: -- trimmed: does not go");
  does_not_go("-- redis: stream a\n-- up-to: marks\n", "line 2: -- up-to:");
  does_not_go("-- redis: stream\n-- keys: a*b\n-- up-to: marks\n", "line 3: -- up-to:");
  does_not_go("-- redis: stream\n-- keys: [ab]*\n-- up-to: marks\n", "line 3: -- up-to:");
}

TEST_CASE("a number is a finite number and nothing else") {
  CHECK(ParseNumber("5") == 5);
  CHECK(ParseNumber("-1.5e3") == -1500);
  for (const char* text : {"", " 5", "5 ", "5x", "inf", "nan", "0x10"}) CHECK_FALSE(ParseNumber(text));
}

}  // namespace
}  // namespace sprockets::testing
