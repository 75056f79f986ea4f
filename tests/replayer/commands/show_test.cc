#include <sstream>

#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

TEST_CASE("show prints what waits as JSON lines, with bytes that are no text in base64") {
  Stage stage;
  WriteSpillFile(stage.folder,
                 {Event("s", "one"), {"t", {"event_id", "two", "raw", "\xff"}, {"MAXLEN", "~", "5"}, {}}});
  WriteSpillFile(stage.folder, {InDoubt(Event("s", "three"), kStreamBegin)});
  std::istringstream lines(stage.Command("show").out);
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0]["event_id"] == "one");
  CHECK(rows[0]["in_doubt"] == false);
  CHECK(rows[0]["fields"] == nlohmann::json({"kind", "push", "event_id", "one", "value", "x"}));
  CHECK(rows[1]["options"] == nlohmann::json({"MAXLEN", "~", "5"}));
  CHECK(rows[1]["fields"][3] == nlohmann::json{{"base64", "/w=="}});
  CHECK(rows[2]["in_doubt"] == true);
  CHECK(rows[2]["file"] != rows[0]["file"]);
}

TEST_CASE("show can be limited to a stream, a number of lines, or a file") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, {Event("s", "one"), Event("t", "two"), Event("s", "three")});
  CHECK_THAT(stage.Command("show", {"--stream", "t"}).out, Catch::Contains("two") && !Catch::Contains("one"));
  CHECK_THAT(stage.Command("show", {"--limit", "1"}).out, Catch::Contains("one") && !Catch::Contains("three"));
  REQUIRE(stage.Drain().exit_code == 0);
  CHECK(stage.Command("show").out.empty());
  CHECK_THAT(stage.Command("show", {"spill-00000" + std::to_string(number)}).out, Catch::Contains("three"));
  CHECK(stage.Command("show", {"spill-999999"}).exit_code == 3);
}

}  // namespace
}  // namespace sprockets::testing
