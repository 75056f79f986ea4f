// The command line and the environment: what cannot be meant is refused with the option's name, and never with its
// value.
#include "shared/base/options.h"

#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

constexpr Option kTable[] = {
    {"redis", "URL", "where", "", false},
    {"redis-timeout", "DURATION", "how long", "250ms", false},
    {"json", "", "print JSON", "", false},
    {"rename", "OLD=NEW", "send what waits for stream OLD to stream NEW instead", "", true},
    {"postgres-password-file", "FILE", "a file that holds the password", "", false, true},
    {"schema", "DIR", "a folder", "", false, true},
};

Result<Options> Parse(std::initializer_list<const char*> arguments) {
  std::vector<const char*> argv{"program"};
  argv.insert(argv.end(), arguments);
  return Options::Parse(static_cast<int>(argv.size()), argv.data(), kTable);
}

std::string OptionsError(std::initializer_list<const char*> arguments) {
  const auto options = Parse(arguments);
  REQUIRE_FALSE(options.ok());
  CHECK(options.error().code == ErrorCode::kUsage);
  return options.error().message;
}

struct Variable {
  Variable(const char* variable, const char* value) : name(variable) { setenv(variable, value, 1); }
  ~Variable() { unsetenv(name); }
  const char* name;
};

TEST_CASE("an unknown option is refused by name") {
  CHECK_THAT(OptionsError({"--redos", "x"}), Catch::Contains("'redos'"));
}

TEST_CASE("no error repeats a password") {
  for (const auto arguments : {std::initializer_list<const char*>{"--redos=redis://:secret@h"},
                               {"-redis=redis://:secret@h"},
                               {"-redis", "redis://:secret@h"},
                               {"--redis", "redis://:secret@h", "--redis", "redis://:secret@h"},
                               {"--json=redis://:secret@h"}}) {
    CHECK_THAT(OptionsError(arguments), !Catch::Contains("secret"));
  }
  const auto options = Parse({"redis://:secret@h"});
  REQUIRE(options.ok());
  CHECK_THAT(options.value().RefuseWords().error().message, !Catch::Contains("secret"));
}

TEST_CASE("a scalar that is given twice is refused, an option that repeats is not") {
  CHECK_THAT(OptionsError({"--redis", "a", "--redis", "b"}), Catch::Contains("--redis"));
  const auto options = Parse({"--rename", "a=b,c=d", "--rename=e=f"});
  REQUIRE(options.ok());
  CHECK((options.value().All("rename") == std::vector<std::string>{"a=b,c=d", "e=f"}));
}

TEST_CASE("an option in the place of a value is refused") {
  CHECK_THAT(OptionsError({"--redis", "--json"}), Catch::Contains("--redis"));
  CHECK_THAT(OptionsError({"--redis"}), Catch::Contains("redis"));
}

TEST_CASE("extra words are refused") {
  const auto options = Parse({"--json", "word"});
  REQUIRE(options.ok());
  CHECK_THAT(options.value().RefuseWords().error().message, Catch::Contains("word"));
  CHECK(options.value().RefuseWords(1).ok());
}

TEST_CASE("a preset holds where nothing was given, and does not count as given") {
  const auto options = Parse({});
  REQUIRE(options.ok());
  CHECK(options.value().DurationMs("redis-timeout").value() == 250);
  CHECK_FALSE(options.value().Has("redis-timeout"));
  CHECK(options.value().Text("redis").empty());
  CHECK_FALSE(options.value().Flag("json"));
}

TEST_CASE("the environment gives what the command line does not") {
  const Variable timeout("SPROCKETS_REDIS_TIMEOUT", "7s");
  const Variable json("SPROCKETS_JSON", "1");
  const auto options = Parse({});
  REQUIRE(options.ok());
  CHECK(options.value().DurationMs("redis-timeout").value() == 7000);
  CHECK(options.value().Flag("json"));
  CHECK(options.value().Origin("redis-timeout") == "SPROCKETS_REDIS_TIMEOUT");
  const auto wins = Parse({"--redis-timeout", "1s", "--json=false"});
  REQUIRE(wins.ok());
  CHECK(wins.value().DurationMs("redis-timeout").value() == 1000);
  CHECK_FALSE(wins.value().Flag("json"));
}

TEST_CASE("an error names the variable that the value came from") {
  const Variable timeout("SPROCKETS_REDIS_TIMEOUT", "soon");
  const auto options = Parse({});
  REQUIRE(options.ok());
  CHECK_THAT(options.value().DurationMs("redis-timeout").error().message, Catch::StartsWith("SPROCKETS_REDIS_TIMEOUT"));
  const Variable json("SPROCKETS_JSON", "maybe");
  CHECK_THAT(OptionsError({}), Catch::StartsWith("SPROCKETS_JSON"));
}

TEST_CASE("an empty variable is as good as none, and SPROCKETS_VERSION is nobody's option") {
  const Variable redis("SPROCKETS_REDIS", "");
  const Variable version("SPROCKETS_VERSION", "1.2.3");
  const auto options = Parse({});
  REQUIRE(options.ok());
  CHECK_FALSE(options.value().Has("redis"));
  CHECK_FALSE(options.value().version());
}

TEST_CASE("--help lists every option with its default") {
  const std::string help = HelpText("program [options]", "About.", kTable);
  CHECK_THAT(help, Catch::Contains("--redis-timeout DURATION") && Catch::Contains("(default 250ms)"));
  CHECK_THAT(help, Catch::Contains("may be repeated") && Catch::Contains("--version"));
  CHECK_THAT(help, Catch::Contains("the password (required)"));
}

TEST_CASE("--help fits 80 columns") {
  const std::string long_word(200, 'x');
  const std::string help = HelpText("program " + std::string(60, 'a') + " [options]",
                                    "About this and that, " + std::string(60, 'b'), kTable);
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 80);
  CHECK(WrapHelp("one two", 4) == "one two\n");
  CHECK(WrapHelp(std::string(79, 'a') + " b", 4) == std::string(79, 'a') + "\n    b\n");
  CHECK(WrapHelp(std::string(78, 'a') + " b", 4) == std::string(78, 'a') + " b\n");
  CHECK(WrapHelp(long_word + " b") == long_word + "\nb\n");
  CHECK(WrapHelp(long_word) == long_word + "\n");
}

TEST_CASE("-h is --help") {
  CHECK(Parse({"-h"}).value().help());
  CHECK(Parse({"--redis", "a", "-h"}).value().help());
  CHECK_THAT(OptionsError({"-hx"}), Catch::Contains("'x'"));
}

TEST_CASE("a command line that cannot be meant is told in one line, which leads to the help") {
  CHECK(UsageLine("program do", MissingOption("spill-dir")) ==
        "program do: --spill-dir is missing (or SPROCKETS_SPILL_DIR in the environment); see program do --help\n");
  CHECK(UsageLine("program", {ErrorCode::kUsage, "a\nb"}) == "program: a\\nb; see program --help\n");
}

TEST_CASE("a password file gives its text without the line break at its end") {
  char path[] = "/tmp/sprockets-password-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  std::ofstream(path) << "pass word\n";
  CHECK(ReadPasswordFile(path).value() == "pass word");
  std::ofstream(path) << std::string(70'000, 'x');
  CHECK_FALSE(ReadPasswordFile(path).ok());
  std::remove(path);
  CHECK_FALSE(ReadPasswordFile(path).ok());
}

}  // namespace
}  // namespace sprockets
