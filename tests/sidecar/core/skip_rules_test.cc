// Which commands are skipped while Redis is away.
#include "sidecar/core/skip_rules.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

using Args = std::vector<std::string_view>;

SkipRules Rules(const std::vector<std::string>& texts) {
  std::vector<SkipRule> rules;
  for (const std::string& text : texts) rules.push_back(SkipRules::Parse(text).value());
  return SkipRules(rules);
}

TEST_CASE("a rule is a command and a glob of keys; anything else is refused with the way out") {
  const SkipRule rule = SkipRules::Parse("ZincrBY board of *").value();
  CHECK(rule.command == "zincrby");
  CHECK(rule.keys == "board of *");
  for (const char* text : {"", "ZINCRBY", "ZINCRBY ", " k", "ZUNIONSTORE *", "XADD s", "MULTI *"}) {
    INFO(text);
    const auto refused = SkipRules::Parse(text);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::kUsage);
  }
  CHECK(SkipRules::Parse("ZUNIONSTORE *").error().message.find("these can: zincrby, ") != std::string::npos);
}

TEST_CASE("a command is skipped where a rule is for it with every one of its keys") {
  const SkipRules rules = Rules({"ZINCRBY *-sset", "DEL a*", "DEL b", "TYPE *"});
  const auto found = rules.Find(Args{"zincrby", "go-sset", "1", "m"}, 2);
  REQUIRE(found.has_value());
  CHECK(found->name == "zincrby");
  CHECK(found->keys == std::vector<std::string>{"go-sset"});
  CHECK(found->answer == "$1\r\n1\r\n");
  CHECK_FALSE(rules.Find(Args{"ZINCRBY", "go", "1", "m"}, 2));
  CHECK_FALSE(rules.Find(Args{"ZADD", "go-sset", "1", "m"}, 2));
  CHECK(rules.Find(Args{"DEL", "a1", "b", "a2"}, 2)->keys.size() == 3);
  CHECK_FALSE(rules.Find(Args{"DEL", "a1", "c"}, 2));
  // A look is answered, and nothing is written down of it; no more of what is refused.
  CHECK(rules.Find(Args{"TYPE", "x"}, 2)->keys.empty());
  CHECK(rules.Find(Args{"ZINCRBY", "go-sset", "x", "m"}, 2)->keys.empty());
  CHECK(rules.Find(Args{"TYPE"}, 2)->answer.starts_with("-ERR wrong number"));
  const std::string long_key = std::string(SkipRules::kMostKeyBytes, 'k') + "-sset";
  CHECK_FALSE(rules.Find(Args{"ZINCRBY", long_key, "1", "m"}, 2));
  CHECK_FALSE(SkipRules().Find(Args{"ZINCRBY", "go-sset", "1", "m"}, 2));
}

}  // namespace
}  // namespace sprockets
