// The command line of rebuild. What it does is tested with real servers, in integration/.
#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

TEST_CASE("the number of jobs is from 1 to 16") {
  const auto with = [&](const std::string& jobs) {
    return RunReplayer({"rebuild", "--schema", "/tmp", "--postgres", "postgres://h/d", "--redis", "redis://h", "--jobs",
                        jobs, "--check-config"})
        .exit_code;
  };
  for (const char* jobs : {"1", "16"}) CHECK(with(jobs) == 0);
  for (const char* jobs : {"0", "17", "many", ""}) CHECK(with(jobs) == 2);
}

TEST_CASE("what cannot be meant of a rebuild exits with 2") {
  const auto with = [&](const Strings& more) {
    Strings arguments{"rebuild", "--schema", "/tmp", "--postgres", "postgres://h/d", "--redis", "redis://h"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("--check-config");
    return RunReplayer(arguments).exit_code;
  };
  CHECK(with({}) == 0);
  CHECK(with({"--follow", "--force", "--poll", "1ms"}) == 0);
  CHECK(with({"--follow", "--dry-run"}) == 2);
  CHECK(with({"--follow", "--into", "drill:"}) == 2);
  CHECK(with({"--into", "drill:", "--force"}) == 2);
  CHECK(with({"--into", ""}) == 2);
  CHECK(with({"--poll", "0"}) == 2);
  CHECK_THAT(RunReplayer({"rebuild"}).err, Catch::Contains("is missing"));
}

}  // namespace
}  // namespace sprockets::testing
