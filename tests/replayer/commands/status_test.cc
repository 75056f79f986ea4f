#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

TEST_CASE("status counts what waits, asks the stores and changes nothing") {
  Stage stage;
  WriteSpillFile(stage.folder, {Event("s", "one"), Event("t", "two"), Event("s", "three")});
  const auto before = stage.Snapshot();
  const Run run = stage.Command("status", {"--json", "--redis", stage.redis.Url(), "--socket", "/nonexistent/socket"});
  CHECK(run.exit_code == 0);
  CHECK(run.json["rows"] == 3);
  CHECK(run.json["oldest_ms"] > 0);
  CHECK(run.json["redis"] == "answers");
  CHECK(run.json["sidecar"] != "answers");
  CHECK(run.json["files"].size() == 1);
  CHECK(run.json["files"][0]["state"] == "sealed");
  CHECK((stage.Snapshot() == before));
  CHECK_THAT(stage.Command("status").out, Catch::Contains("3 events wait"));
  CHECK(RunReplayer({"status", "--spill-dir", "/nonexistent"}).exit_code == 3);
}

}  // namespace
}  // namespace sprockets::testing
