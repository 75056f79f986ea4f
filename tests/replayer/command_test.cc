// From the command line to a command: usage, help, version.
#include "replayer/command.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

TEST_CASE("a command line that cannot be meant is told in one line, which leads to the help") {
  const auto told = [](const Strings& arguments) {
    const Run run = RunReplayer(arguments);
    CHECK(run.exit_code == 2);
    CHECK(run.out.empty());
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
    return run.err;
  };
  CHECK_THAT(told({}), Catch::EndsWith("; see sprockets-replayer --help\n"));
  CHECK_THAT(told({"--log-format", "json", "drain"}), Catch::Contains("the command comes first"));
  CHECK_THAT(told({"deliver"}), Catch::StartsWith("sprockets-replayer: no such command"));
  CHECK_THAT(told({"help", "deliver"}), Catch::StartsWith("sprockets-replayer: no such command"));
  CHECK(told({"status"}) ==
        "sprockets-replayer status: --spill-dir is missing (or SPROCKETS_SPILL_DIR in the "
        "environment); see sprockets-replayer status --help\n");
  CHECK_THAT(told({"status", "--no\nsuch"}), Catch::Contains("--help\n"));
}

TEST_CASE("with --json a command line that cannot be meant has a document, too") {
  const Run run = RunReplayer({"drain", "--json"});
  CHECK(run.exit_code == 2);
  CHECK(run.out == R"({"command":"drain","result":"usage","error":"--spill-dir is missing (or SPROCKETS_SPILL_DIR in )"
                   "the environment)\"}\n");
  CHECK(RunReplayer({"--json", "drain"}).json["result"] == "usage");
}

TEST_CASE("--help and --version fit what there is") {
  const Run general = RunReplayer({"--help"});
  CHECK(general.exit_code == 0);
  CHECK_THAT(general.out, Catch::Contains("status") && Catch::Contains("show") && Catch::Contains("drain"));
  CHECK_THAT(general.out, Catch::Contains("rebuild") && !Catch::Contains("deliver"));
  const Run drain = RunReplayer({"drain", "--help"});
  CHECK(drain.exit_code == 0);
  CHECK_THAT(drain.out, Catch::Contains("--salvage FILE") && !Catch::Contains("--postgres"));
  CHECK_THAT(RunReplayer({"--version"}).out, Catch::StartsWith("sprockets-replayer "));
}

TEST_CASE("-h and help do as --help does") {
  const std::string general = RunReplayer({"--help"}).out;
  CHECK(RunReplayer({"-h"}).out == general);
  CHECK(RunReplayer({"help"}).out == general);
  const std::string drain = RunReplayer({"drain", "--help"}).out;
  CHECK(RunReplayer({"drain", "-h"}).out == drain);
  CHECK(RunReplayer({"help", "drain"}).out == drain);
}

TEST_CASE("--help names what is required, defaults, and words beside the options") {
  const std::string drain = RunReplayer({"drain", "--help"}).out;
  CHECK_THAT(drain, Catch::Contains("the sidecar's spill folder (required)") && Catch::Contains("(default 24h)"));
  CHECK_THAT(drain, Catch::Contains("--progress auto|plain|none") && Catch::Contains("(default auto)"));
  CHECK_THAT(drain, Catch::Contains("(default 5s)") && Catch::Contains("(default *)") && !Catch::Contains("default 0"));
  CHECK_THAT(RunReplayer({"show", "--help"}).out, Catch::StartsWith("usage: sprockets-replayer show [FILE] [options]"));
  const std::string rebuild = RunReplayer({"rebuild", "--help"}).out;
  CHECK_THAT(rebuild, Catch::Contains("(default 4)") && Catch::Contains("(default 250ms)"));
  CHECK_THAT(rebuild, Catch::Contains("(default 30s)"));
}

}  // namespace
}  // namespace sprockets::testing
