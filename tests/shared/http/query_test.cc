#include "shared/http/query.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

TEST_CASE("percent-encoding is decoded to any byte, and what is none is refused") {
  CHECK(PercentDecode("a%2Fb%2f") == "a/b/");
  CHECK(PercentDecode("a%00b") == std::string("a\0b", 3));
  CHECK(PercentDecode("a+b") == "a+b");
  CHECK(PercentDecode("") == "");
  for (const char* wrong : {"%", "%2", "a%", "%zz", "%2g", "% 2"}) {
    INFO(wrong);
    CHECK_FALSE(PercentDecode(wrong).has_value());
  }
}

TEST_CASE("parameters are decoded one by one, and each comes once") {
  const auto parameters = ParseQuery("a=1&&b=x%26y+z&c&=d&e=f=g");
  REQUIRE(parameters.has_value());
  CHECK(*parameters ==
        std::map<std::string, std::string>{{"a", "1"}, {"b", "x&y z"}, {"c", ""}, {"", "d"}, {"e", "f=g"}});
  CHECK(ParseQuery("")->empty());
  CHECK_FALSE(ParseQuery("a=1&a=1").has_value());
  CHECK_FALSE(ParseQuery("a=1&%61=2").has_value());
  CHECK_FALSE(ParseQuery("a=%").has_value());
}

TEST_CASE("If-None-Match names a tag alone, in a list, as a weak one, or all") {
  for (const char* names : {"\"a\"", " \"a\" ", "\"b\", \"a\"", "W/\"a\"", "*", "\"b\",W/\"a\""}) {
    INFO(names);
    CHECK(NamesTag(names, "\"a\""));
  }
  for (const char* other : {"", "\"b\"", "a", "\"ab\"", ","}) {
    INFO(other);
    CHECK_FALSE(NamesTag(other, "\"a\""));
  }
}

}  // namespace
}  // namespace sprockets
