// What Redis answers to a command on a key that does not exist, for commands that are not stored while Redis is away
// (--skip-while-away). Follows the command pages of redis.io, and Redis 7.0 where these are silent. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sprockets {

/// Is the answer of this command on an empty key defined here? In any case; no subcommand.
bool HasEmptyKeyAnswer(std::string_view command);
/// "zincrby, zadd, …", for an error.
std::string CommandsWithEmptyKeyAnswer();

struct EmptyKeyAnswer {
  std::string resp;     // in the client's protocol
  bool writes = false;  // on a key that does exist it may change something. An error never does
};

/// `args` is a command that HasEmptyKeyAnswer, whole. What Redis would refuse in any case (a wrong number of arguments,
/// an increment that is no number) is refused in its words. Numbers are written as short as they can be read back.
EmptyKeyAnswer AnswerOnEmptyKey(std::span<const std::string_view> args, int protocol);

/// The keys that such a command names; empty: it names none.
std::span<const std::string_view> KeysOf(std::span<const std::string_view> args);

}  // namespace sprockets
