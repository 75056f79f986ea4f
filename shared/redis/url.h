// Where Redis is and how to log in, as given by --redis. Pure.
#pragma once

#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace sprockets {

struct RedisUrl {
  std::string host;  // of TCP; brackets of an IPv6 address removed
  int port = 6379;
  std::string socket_path;  // of a Unix socket; empty: TCP
  std::string user;         // empty: default
  std::string password;     // empty: no AUTH
  int database = 0;

  /// For logs: never the password, never the user.
  std::string ForLogs() const;
  /// The same without the database: where the server is. A URL again, unless the socket's path has bytes to escape.
  std::string Server() const;
};

/// redis://[[user]:password@]host[:port][/db] · unix:///path[?db=N] (also unix://user:password@/path) ·
/// percent-encoding in user, password and path. rediss:// is refused with the way out (hiredis 0.14 has no TLS: put
/// stunnel in front). Errors never repeat the password.
Result<RedisUrl> ParseRedisUrl(std::string_view text);

}  // namespace sprockets
