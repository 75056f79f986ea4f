// hiredis makes the connection; the bytes are moved here.
#include "replayer/redis/wire.h"

#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include <hiredis/hiredis.h>

namespace sprockets {
namespace {

struct ContextDeleter {
  void operator()(redisContext* context) const { redisFree(context); }
};
using Context = std::unique_ptr<redisContext, ContextDeleter>;

class SocketWire : public Wire {
 public:
  explicit SocketWire(Context context) : context_(std::move(context)) {}

  Readiness Wait(bool wants_to_write, int wait_ms) override {
    const short wanted = wants_to_write ? POLLIN | POLLOUT : POLLIN;
    pollfd poll_fd{.fd = context_->fd, .events = wanted, .revents = 0};
    if (poll(&poll_fd, 1, wait_ms) <= 0) return {};  // interrupted or nothing to do: the deadline is the caller's
    return {.to_read = (poll_fd.revents & (POLLIN | POLLHUP | POLLERR)) != 0,
            .to_write = (poll_fd.revents & POLLOUT) != 0};
  }
  ssize_t Write(std::string_view bytes) override {
    return send(context_->fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  ssize_t Read(std::span<char> buffer) override {
    return recv(context_->fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  }

 private:
  Context context_;
};

}  // namespace

Result<std::unique_ptr<Wire>> DialSocket(const RedisUrl& url, int64_t deadline_ms) {
  const timeval timeout{.tv_sec = deadline_ms / 1000, .tv_usec = (deadline_ms % 1000) * 1000};
  Context context(url.socket_path.empty() ? redisConnectWithTimeout(url.host.c_str(), url.port, timeout)
                                          : redisConnectUnixWithTimeout(url.socket_path.c_str(), timeout));
  if (context == nullptr) return Error{ErrorCode::kUnreachable, "out of memory"};
  if (context->err != 0) return Error{ErrorCode::kUnreachable, context->errstr};
  return std::unique_ptr<Wire>(std::make_unique<SocketWire>(std::move(context)));
}

}  // namespace sprockets
