// Writes that PostgreSQL will restore: while Redis is away they are not stored, but answered as on an empty key, and
// remembered by key (--skip-while-away). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

struct SkipRule {
  std::string command;  // lower case
  std::string keys;     // glob
};

/// A command that a rule is for, with what its client is told if Redis does not take it.
struct SkippedCommand {
  std::string name;               // lower case
  std::vector<std::string> keys;  // that it would have written to; empty: it only reads
  std::string answer;             // in RESP
  bool in_doubt = false;          // Redis may have executed it
};

class SkipRules {
 public:
  static constexpr size_t kMostKeyBytes = 1024;  // a longer key is not skipped

  SkipRules() = default;
  explicit SkipRules(std::vector<SkipRule> rules) : rules_(std::move(rules)) {}
  /// "ZINCRBY leaderboard-sset". kUsage: no key, or a command whose answer on an empty key is not defined.
  static Result<SkipRule> Parse(std::string_view text);

  /// Nothing where no rule is for it, with all of its keys. `args` is not empty.
  std::optional<SkippedCommand> Find(std::span<const std::string_view> args, int protocol) const;

 private:
  const std::vector<SkipRule> rules_ = {};
};

/// Remembers what was skipped, until a rebuild has restored it.
class SkipBook {
 public:
  virtual ~SkipBook() = default;
  /// `to` gets the command's answer once its keys are on disk, else RETRY, or UNKNOWN where Redis may have executed it;
  /// nobody there: nobody is told.
  virtual void Remember(ReplyTo to, SkippedCommand skipped) = 0;
};

}  // namespace sprockets
