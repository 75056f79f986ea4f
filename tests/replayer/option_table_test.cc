// Options that are bound to fields.
#include "replayer/option_table.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets::testing {
namespace {

enum class Colour { kRed, kGreen };

struct Fields {
  bool flag = false;
  std::string text = "*";
  std::optional<std::string> may_be_none;
  std::string name;
  int64_t wait_ms = 90'000;
  int64_t count = 0;
  Colour colour = Colour::kGreen;
  std::string word;
};

void Declare(OptionTable& table, Fields& fields) {
  static constexpr std::array<std::string_view, 2> kColours{"red", "green"};
  table.Flag("flag", "a flag", &fields.flag);
  table.Text("text", "GLOB", "a text", &fields.text);
  table.Text("none", "NAME", "a text or none", &fields.may_be_none);
  table.NonEmptyText("name", "NAME", "a name", "a name is missing", &fields.name);
  table.Duration("wait", "how long", &fields.wait_ms);
  table.Integer("count", "N", "how many", 1, 9, &fields.count);
  table.Choice("colour", kColours, "which", &fields.colour);
  table.Word("FILE", &fields.word);
}

Status Read(const OptionTable& table, std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "program");
  ASSIGN_OR_RETURN(const Options options,
                   Options::Parse(static_cast<int>(arguments.size()), arguments.data(), table.options()));
  return table.Read(options);
}

TEST_CASE("a field keeps what it holds where its option is not given, and --help shows that as the default") {
  Fields fields;
  OptionTable table;
  Declare(table, fields);
  REQUIRE(Read(table, {}).ok());
  CHECK(fields.text == "*");
  CHECK_FALSE(fields.may_be_none);
  CHECK(fields.wait_ms == 90'000);
  CHECK(fields.count == 0);
  CHECK((fields.colour == Colour::kGreen));
  const std::string help = HelpText("program", "About.", table.options());
  CHECK_THAT(help, Catch::Contains("how long (default 90s)") && Catch::Contains("a text (default *)"));
  CHECK_THAT(help, Catch::Contains("which (default green)") && Catch::Contains("--colour red|green"));
  CHECK_THAT(help, Catch::Contains("how many\n"));
  CHECK(table.Words() == " [FILE]");
}

TEST_CASE("what is given is read into the fields") {
  Fields fields;
  OptionTable table;
  Declare(table, fields);
  REQUIRE(
      Read(table, {"--flag", "--text", "a", "--none", "", "--wait=2m", "--count", "9", "--colour", "red", "x"}).ok());
  CHECK(fields.flag);
  CHECK(fields.text == "a");
  CHECK(fields.may_be_none == "");
  CHECK(fields.wait_ms == 120'000);
  CHECK(fields.count == 9);
  CHECK((fields.colour == Colour::kRed));
  CHECK(fields.word == "x");
}

TEST_CASE("what cannot be meant is refused by the option's name") {
  Fields fields;
  OptionTable table;
  Declare(table, fields);
  CHECK_THAT(Read(table, {"--name", ""}).error().message, Catch::Contains("--name: a name is missing"));
  CHECK_THAT(Read(table, {"--wait", "soon"}).error().message, Catch::StartsWith("--wait"));
  CHECK_THAT(Read(table, {"--count", "10"}).error().message, Catch::StartsWith("--count"));
  CHECK_THAT(Read(table, {"--colour", "blue"}).error().message, Catch::StartsWith("--colour"));
  CHECK_FALSE(Read(table, {"one", "two"}).ok());
}

TEST_CASE("what is required is refused where it is missing, unless another option makes it needless") {
  Fields fields;
  OptionTable table;
  Declare(table, fields);
  table.Require("name", &fields.flag);
  CHECK_THAT(HelpText("program", "About.", table.options()), Catch::Contains("a name (required)"));
  CHECK_THAT(Read(table, {}).error().message, Catch::StartsWith("--name is missing"));
  CHECK(Read(table, {"--flag"}).ok());
  CHECK(Read(table, {"--name", "x"}).ok());
}

}  // namespace
}  // namespace sprockets::testing
