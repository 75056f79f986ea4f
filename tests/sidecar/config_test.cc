#include "sidecar/config.h"

#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

Result<SidecarCommand> Parse(std::vector<const char*> args) {
  args.insert(args.begin(), "sprockets-sidecar");
  return ParseSidecarCommand(static_cast<int>(args.size()), args.data());
}

std::string ErrorOf(std::vector<const char*> extra) {
  std::vector<const char*> args{"--socket", "/tmp/s", "--redis", "redis://:hush@h:1/2", "--spill-dir", "/tmp/d"};
  args.insert(args.end(), extra.begin(), extra.end());
  const auto command = Parse(args);
  return command.ok() ? "" : command.error().message;
}

TEST_CASE("a bad command line names the option and the way out") {
  CHECK(Parse({}).error().message.find("--socket") != std::string::npos);
  CHECK(Parse({"--socket", "/tmp/s", "--redis", "redis://h"}).error().message.find("--spill-dir") != std::string::npos);
  CHECK(ErrorOf({}).empty());
  CHECK(ErrorOf({"--redis-timeout", "250"}).find("redis-timeout") != std::string::npos);
  CHECK(ErrorOf({"--redis-timeout", "1ms"}).find("redis-timeout") != std::string::npos);
  CHECK(ErrorOf({"--max-event-bytes", "1MB"}).find("max-event-bytes") != std::string::npos);
  CHECK(ErrorOf({"--socket-mode", "0999"}).find("socket-mode") != std::string::npos);
  CHECK(ErrorOf({"--ack", "memory"}).find("ack") != std::string::npos);
  CHECK(ErrorOf({"--skip-while-away", "ZUNIONSTORE *"}).find("--skip-while-away: 'zunionstore'") != std::string::npos);
  CHECK(ErrorOf({"--skip-while-away", "TYPE *", "--relay", "off"}).find("--relay off") != std::string::npos);
  CHECK(ErrorOf({"--nonsense"}).find("nonsense") != std::string::npos);
  CHECK(ErrorOf({"extra"}).find("extra") != std::string::npos);
  CHECK(ErrorOf({"--socket", "/tmp/other"}).find("socket") != std::string::npos);
  const std::string long_path(108, 'x');
  CHECK(
      Parse({"--socket", long_path.c_str(), "--redis", "redis://h", "--spill-dir", "d"}).error().message.find("107") !=
      std::string::npos);
  CHECK(Parse({"--socket", "s", "--redis", "rediss://u:hush@h", "--spill-dir", "d"}).error().message.find("hush") ==
        std::string::npos);
}

TEST_CASE("--help, -h and help print the help, and name the required options") {
  for (const char* word : {"--help", "-h", "help"}) {
    const auto command = Parse({word});
    REQUIRE(command.ok());
    CHECK(command.value().kind == SidecarCommand::Kind::kPrint);
    CHECK_THAT(command.value().text, Catch::StartsWith("usage: sprockets-sidecar"));
  }
  CHECK_THAT(Parse({"-h"}).value().text, Catch::Contains("(required)"));
  CHECK_FALSE(Parse({"help", "me"}).ok());
}

TEST_CASE("globs repeat and are not split at commas") {
  const auto command =
      Parse({"--socket", "s", "--redis", "redis://h", "--spill-dir", "d", "--streams", "a,b", "--streams", "c*"});
  REQUIRE(command.ok());
  CHECK(command.value().config.streams == std::vector<std::string>{"a,b", "c*"});
}

}  // namespace
}  // namespace sprockets
