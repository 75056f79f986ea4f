// One difference between Redis and what it should hold.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sprockets {

/// What is wrong in Redis.
enum class Problem { kMissing, kExtra, kDifferent, kType, kExpiry };
std::string_view NameOf(Problem problem);

struct Difference {
  std::string key;
  std::string type;  // zset, stream, … ; user and group for access
  Problem problem = Problem::kDifferent;
  std::optional<std::string> member;  // of the key, and it may be empty; none: the whole key
  std::optional<std::string> expected;
  std::optional<std::string> actual;
};

/// Is it a difference of one member, and Redis has it where the source has not?
inline bool IsExtraMember(const Difference& difference) {
  return difference.problem == Problem::kExtra && difference.member.has_value();
}

/// As a line of JSON, with its line break.
std::string DifferenceJson(const Difference& difference);

/// False: that is enough, stop comparing.
using OnDifference = std::function<bool(const Difference&)>;

}  // namespace sprockets
