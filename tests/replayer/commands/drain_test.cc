// The drain's command line. What it does is tested in drain/.
#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

TEST_CASE("what cannot be meant of a drain exits with 2") {
  const Strings drain{"drain", "--spill-dir", "/tmp", "--redis", "redis://h"};
  const auto with = [&](const Strings& more) {
    Strings arguments = drain;
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("--check-config");
    return RunReplayer(arguments).exit_code;
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
  CHECK(with({"--file", ""}) == 2);
}

TEST_CASE("a drain needs a spill folder and, unless it only counts, a Redis") {
  CHECK_THAT(RunReplayer({"drain", "--redis", "redis://h"}).err, Catch::Contains("--spill-dir is missing"));
  CHECK_THAT(RunReplayer({"drain", "--spill-dir", "/tmp"}).err, Catch::Contains("--redis is missing"));
  CHECK(RunReplayer({"drain", "--spill-dir", "/tmp", "--redis", "rediss://h"}).exit_code == 2);
  CHECK(RunReplayer({"drain", "--spill-dir", "/tmp", "--dry-run", "--check-config"}).exit_code == 0);
}

}  // namespace
}  // namespace sprockets::testing
