// What carries bytes to a server and back. A socket, unless whoever connects says otherwise: tests hand in a network of
// their own. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <sys/types.h>

#include "shared/base/result.h"
#include "shared/redis/url.h"

namespace sprockets {

class Wire {
 public:
  virtual ~Wire() = default;

  struct Readiness {
    bool to_read = false;  // or the end, or an error
    bool to_write = false;
  };
  /// Waits until there is something to read or, if that is wanted, room to write; for up to `wait_ms`, perhaps less.
  virtual Readiness Wait(bool wants_to_write, int wait_ms) = 0;
  // As send(2) and recv(2), without waiting.
  virtual ssize_t Write(std::string_view bytes) = 0;
  virtual ssize_t Read(std::span<char> buffer) = 0;
};

/// Makes a connection, within `deadline_ms`. kUnreachable.
using Dial = std::function<Result<std::unique_ptr<Wire>>(const RedisUrl& url, int64_t deadline_ms)>;

/// Over TCP or a Unix socket.
Result<std::unique_ptr<Wire>> DialSocket(const RedisUrl& url, int64_t deadline_ms);

}  // namespace sprockets
