// What an error reply to an XADD means for the event. Pure.
#pragma once

#include <string_view>

namespace sprockets {

enum class RefusalScope {
  kServer,   // Redis refuses writes altogether; the event was not applied
  kStream,   // only this stream is refused; the event was not applied
  kUnknown,  // not a reply that Redis gives to a valid XADD (a proxy's?): the event is in doubt
};

/// Classifies the text of an error reply (without the leading '-') by its class, its first word.
/// Server: OOM READONLY MISCONF NOREPLICAS MASTERDOWN LOADING BUSY NOAUTH WRONGPASS. Stream: WRONGTYPE, NOPERM, and
/// Redis 7.0's "ERR The stream has exhausted the last possible ID, unable to add more items".
RefusalScope ClassifyRedisError(std::string_view error);

/// Does this user lack the right to the command, the key or the channel? (NOPERM)
bool IsNoPermission(std::string_view error);

/// The text without the arguments of the command, which an unknown command's error repeats: for logs of a login.
std::string_view WithoutArguments(std::string_view error);

/// Is the key of another type than the command's? (WRONGTYPE)
bool IsWrongType(std::string_view error);

}  // namespace sprockets
