// The command line of the replayer, and its commands that only look.
#include <sstream>

#include <catch2/catch.hpp>

#include "replayer/config.h"
#include "replayer/drain/report.h"
#include "replayer/terminal/progress.h"
#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

int ExitOf(const Strings& arguments) {
  return RunReplayer(arguments).exit_code;
}

TEST_CASE("what cannot be meant exits with 2") {
  const Strings drain{"drain", "--spill-dir", "/tmp", "--redis", "redis://h"};
  const auto with = [&](const Strings& more) {
    Strings arguments = drain;
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("--check-config");
    return ExitOf(arguments);
  };
  CHECK(with({}) == 0);
  CHECK(with({"--follow", "--dry-run"}) == 2);
  CHECK(with({"--file", "a", "--salvage", "b"}) == 2);
  CHECK(with({"--rename", "old"}) == 2);
  CHECK(with({"--rename", "a=b", "--rename", "a=c"}) == 2);
  CHECK(with({"--rename", "a=b", "--rename", "c=d"}) == 0);
  CHECK(with({"--rate", "0"}) == 2);
  CHECK(with({"--keep", "soon"}) == 2);
  CHECK(with({"--progress", "loud"}) == 2);
  CHECK(with({"word"}) == 2);
  CHECK(with({"--watch"}) == 2);
  CHECK(ExitOf({}) == 2);
  CHECK(ExitOf({"rebuild"}) == 2);
  CHECK(ExitOf({"--json", "drain"}) == 2);
  CHECK(ExitOf({"drain", "--redis", "redis://h"}) == 2);
  CHECK(ExitOf({"drain", "--spill-dir", "/tmp"}) == 2);
  CHECK(ExitOf({"drain", "--spill-dir", "/tmp", "--redis", "rediss://h"}) == 2);
}

TEST_CASE("the number of jobs is from 1 to 16") {
  const auto with = [&](const std::string& jobs) {
    return ExitOf({"rebuild", "--schema", "/tmp", "--postgres", "postgres://h/d", "--redis", "redis://h", "--jobs",
                   jobs, "--check-config"});
  };
  for (const char* jobs : {"1", "16"}) CHECK(with(jobs) == 0);
  for (const char* jobs : {"0", "17", "many", ""}) CHECK(with(jobs) == 2);
}

TEST_CASE("--help and --version fit what there is") {
  const Run general = RunReplayer({"--help"});
  CHECK(general.exit_code == 0);
  CHECK_THAT(general.out, Catch::Contains("status") && Catch::Contains("show") && Catch::Contains("drain"));
  CHECK_THAT(general.out, Catch::Contains("rebuild") && !Catch::Contains("archive"));
  const Run drain = RunReplayer({"drain", "--help"});
  CHECK(drain.exit_code == 0);
  CHECK_THAT(drain.out, Catch::Contains("--salvage FILE") && !Catch::Contains("--postgres"));
  CHECK_THAT(RunReplayer({"--version"}).out, Catch::StartsWith("sprockets-replayer "));
}

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

TEST_CASE("the worst that happened is the result of a drain") {
  DrainCounts counts;
  CHECK(Judge(counts, DrainResult::kVerified) == DrainResult::kVerified);
  counts.unproven = 1;
  CHECK(Judge(counts, DrainResult::kVerified) == DrainResult::kUnproven);
  counts.left = 1;
  CHECK(Judge(counts, DrainResult::kVerified) == DrainResult::kLeft);
  CHECK(Judge(counts, DrainResult::kUnreachable) == DrainResult::kUnreachable);
  CHECK(ExitCode(DrainResult::kVerified) == 0);
  CHECK(ExitCode(DrainResult::kUnproven) == 1);
  CHECK(ExitCode(DrainResult::kUnreachable) == 3);
  CHECK(ExitCode(DrainResult::kRefused) == 4);
}

TEST_CASE("a progress line says rate and time left, and a bar never wraps") {
  CHECK(ProgressText("drain", 500, 2000, 1000) == "drain: 500 of 2 000, 500/s, 3.0s left");
  CHECK(ProgressText("drain", 500, 0, 0) == "drain: 500, 500 000/s");
  for (const size_t width : {1, 10, 80})
    CHECK(ProgressBar("drain", 5, 10, 1000, width).size() < std::max<size_t>(width, 2));
}

TEST_CASE("bars stand below each other, and one that goes leaves no line behind") {
  const std::vector<std::string> bars{"board: 5", "log: 7"};
  CHECK(RedrawText(0, std::span(bars).first(1)) == "\rboard: 5\033[J");
  CHECK(RedrawText(1, bars) == "\rboard: 5\033[K\nlog: 7\033[J");
  CHECK(RedrawText(2, bars) == "\r\033[1Aboard: 5\033[K\nlog: 7\033[J");
  CHECK(RedrawText(2, std::span(bars).last(1)) == "\r\033[1Alog: 7\033[J");
  CHECK(RedrawText(1, {}) == "\r\033[J");
}

}  // namespace
}  // namespace sprockets::testing
