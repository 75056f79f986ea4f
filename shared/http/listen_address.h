// Where the admin HTTP of a program listens, as it is written on a command line. Pure.
#pragma once

#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace sprockets {

struct ListenAddress {
  std::string host;  // a numeric IPv4 or IPv6 address, without brackets
  int port = 0;      // 0: one that the system chooses

  /// Only this machine reaches it.
  bool is_loopback() const;
  /// "127.0.0.1:9469", "[::1]:9469".
  std::string Text() const;
};

/// "9469" and "localhost:9469" (both of 127.0.0.1), "127.0.0.1:9469", "0.0.0.0:9469", "[::1]:9469". kUsage names what
/// is wrong. Names other than localhost are refused: they may mean several addresses. So are Unix sockets: the HTTP
/// library of Debian 12 is built without them.
Result<ListenAddress> ParseListenAddress(std::string_view text);

}  // namespace sprockets
