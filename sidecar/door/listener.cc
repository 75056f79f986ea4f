#include "sidecar/door/listener.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/limits.h"
#include "shared/base/log.h"

namespace sprockets {

namespace {

constexpr int kBacklog = 511;

// Removes the socket that a killed sidecar left. Nobody listens there if a connection is refused.
Status RemoveStale(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return Error{ErrorCode::kIo, path + ": " + std::strerror(errno)};
  }
  if (!S_ISSOCK(found.st_mode))
    return Error{ErrorCode::kIo, path + " exists and is not a socket: give --socket another path"};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Error{ErrorCode::kIo, std::string("socket: ") + std::strerror(errno)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  const int error = errno;
  close(fd);
  if (connected == 0 || error == EAGAIN)
    return Error{ErrorCode::kBusy, path + ": another program is listening on this socket"};
  if (error != ECONNREFUSED) return Error{ErrorCode::kIo, path + ": " + std::strerror(error)};
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return Error{ErrorCode::kIo, "removing the old " + path + ": " + std::strerror(errno)};
  return {};
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::Open(uv_loop_t* loop, const std::string& path, int mode,
                                                 OnAccept on_accept) {
  if (path.size() > kMaxSocketPathBytes) return Error{ErrorCode::kUsage, "--socket: the path is longer than 107 bytes"};
  RETURN_IF_ERROR(RemoveStale(path));
  std::unique_ptr<Listener> listener(new Listener);
  listener->loop_ = loop;
  listener->on_accept_ = std::move(on_accept);
  listener->pipe_.reset(new uv_pipe_t);
  SPROCKETS_ASSERT(uv_pipe_init(loop, listener->pipe_.get(), 0) == 0);
  listener->pipe_->data = listener.get();
  // The mode is right from the first moment on: uv_pipe_chmod could only widen it, and later.
  const mode_t old_mask = umask(static_cast<mode_t>(0777 & ~mode));
  int error = uv_pipe_bind(listener->pipe_.get(), path.c_str());
  umask(old_mask);
  if (error == 0) error = uv_listen(reinterpret_cast<uv_stream_t*>(listener->pipe_.get()), kBacklog, OnConnection);
  if (error != 0) return Error{ErrorCode::kIo, "listening on " + path + ": " + uv_strerror(error)};
  listener->path_ = path;
  struct stat made {};
  if (stat(path.c_str(), &made) == 0) {
    listener->device_ = made.st_dev;
    listener->inode_ = made.st_ino;
  }
  return listener;
}

void Listener::Close() {
  if (pipe_ == nullptr) return;
  struct stat found {};
  const bool is_ours = lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_;
  if (!is_ours) {
    // Closing would unlink whatever has the name now: a successor's socket.
    free(const_cast<char*>(pipe_->pipe_fname));
    pipe_->pipe_fname = nullptr;
  }
  pipe_.reset();
}

void Listener::OnConnection(uv_stream_t* server, int status) {
  auto* listener = static_cast<Listener*>(server->data);
  if (listener == nullptr) return;
  if (status < 0) {
    LogWarning("accept-failed", {{"error", uv_strerror(status)}});
    return;
  }
  UvHandle<uv_pipe_t> client(new uv_pipe_t);
  SPROCKETS_ASSERT(uv_pipe_init(listener->loop_, client.get(), 0) == 0);
  if (uv_accept(server, reinterpret_cast<uv_stream_t*>(client.get())) == 0) listener->on_accept_(std::move(client));
}

}  // namespace sprockets
