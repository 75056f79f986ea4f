#include "sidecar/core/skip_rules.h"

#include <algorithm>

#include "shared/base/text.h"
#include "sidecar/core/empty_key.h"

namespace sprockets {

Result<SkipRule> SkipRules::Parse(std::string_view text) {
  const size_t space = text.find(' ');
  SkipRule rule{LowerCase(text.substr(0, space)), std::string(space == text.npos ? "" : text.substr(space + 1))};
  if (rule.keys.empty())
    return UsageError("'" + Escape(text) + "' names no key: write a command and a glob, such as 'ZINCRBY scores'");
  if (!HasEmptyKeyAnswer(rule.command)) {
    return UsageError("'" + Escape(rule.command) +
                      "' cannot be skipped, because its answer without Redis is not known; " +
                      "these can: " + CommandsWithEmptyKeyAnswer());
  }
  return rule;
}

std::optional<SkippedCommand> SkipRules::Find(std::span<const std::string_view> args, int protocol) const {
  if (rules_.empty()) return std::nullopt;
  const std::string name = LowerCase(args[0].substr(0, 32));
  const auto is_for_command = [&](const SkipRule& rule) { return rule.command == name; };
  if (std::none_of(rules_.begin(), rules_.end(), is_for_command)) return std::nullopt;
  const std::span<const std::string_view> keys = KeysOf(args);
  const auto has_rule = [&](std::string_view key) {
    return key.size() <= kMostKeyBytes && std::any_of(rules_.begin(), rules_.end(), [&](const SkipRule& rule) {
             return is_for_command(rule) && GlobMatch(rule.keys, key);
           });
  };
  // Without a key it is an error, whatever the rules say of keys.
  if (!std::all_of(keys.begin(), keys.end(), has_rule)) return std::nullopt;
  EmptyKeyAnswer answer = AnswerOnEmptyKey(args, protocol);
  SkippedCommand skipped{name, {}, std::move(answer.resp), /*in_doubt=*/false};
  if (answer.writes) skipped.keys.assign(keys.begin(), keys.end());
  return skipped;
}

}  // namespace sprockets
