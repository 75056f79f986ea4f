#include "sidecar/redis/relay_connection.h"

#include <algorithm>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <utility>

#include "shared/redis/login.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/relay_pool.h"

namespace sprockets {

namespace {

constexpr unsigned kUnacknowledgedMs = 10'000;  // TCP that is not heard of for so long is half-open
constexpr unsigned kKeepAliveSeconds = 15;
constexpr size_t kWriteStep = 64 * 1024;
constexpr size_t kMostErrorBytes = 256;

}  // namespace

// What libuv writes from; it lives until libuv is done with it, whoever has gone meanwhile.
struct RelayConnection::Write {
  uv_write_t request;
  std::string bytes;
};

RelayConnection::RelayConnection(RelayPool* pool, RelayLineOwner* owner, const RedisUrl& url, int protocol,
                                 const std::string& name)
    : pool_(pool), owner_(owner), socket_path_(url.socket_path), port_(url.port), deadline_(pool->loop(), [this] {
        Lost("no answer to the login within --redis-timeout");
      }) {
  if (std::string auth = AuthCommand(url); !auth.empty()) AddLogin("AUTH", std::move(auth));
  // A database of another number is another one's data.
  if (url.database != 0) AddLogin("SELECT", MakeCommand({"SELECT", std::to_string(url.database)}));
  if (protocol == 3) AddLogin("HELLO", MakeCommand({"HELLO", "3"}));
  if (!name.empty()) AddLogin("CLIENT SETNAME", MakeCommand({"CLIENT", "SETNAME", name}), /*must_succeed=*/false);
}

RelayConnection::~RelayConnection() {
  pool_->Forget(this);
}

void RelayConnection::AddLogin(const char* command, std::string wire, bool must_succeed) {
  login_wire_ += wire;
  logins_.push_back({command, must_succeed});
}

uv_stream_t* RelayConnection::stream() const {
  return tcp_ ? reinterpret_cast<uv_stream_t*>(tcp_.get()) : reinterpret_cast<uv_stream_t*>(pipe_.get());
}

void RelayConnection::Connect(uv_loop_t* loop, const std::string& address, int64_t timeout_ms) {
  used_ms_ = pool_->NowMs();
  deadline_.Start(timeout_ms);
  auto* request = new uv_connect_t;
  const auto done = [](uv_connect_t* connect, int status) {
    RelayConnection* connection = From(connect->handle->data);
    delete connect;
    if (connection != nullptr) connection->OnConnected(status);
  };
  int error = 0;
  if (!socket_path_.empty()) {
    pipe_.reset(new uv_pipe_t);
    SPROCKETS_ASSERT(uv_pipe_init(loop, pipe_.get(), 0) == 0);
    pipe_->data = this;
    return uv_pipe_connect(request, pipe_.get(), socket_path_.c_str(), done);
  }
  tcp_.reset(new uv_tcp_t);
  SPROCKETS_ASSERT(uv_tcp_init(loop, tcp_.get()) == 0);
  tcp_->data = this;
  sockaddr_storage where{};
  if (uv_ip4_addr(address.c_str(), port_, reinterpret_cast<sockaddr_in*>(&where)) != 0)
    error = uv_ip6_addr(address.c_str(), port_, reinterpret_cast<sockaddr_in6*>(&where));
  if (error == 0) error = uv_tcp_connect(request, tcp_.get(), reinterpret_cast<const sockaddr*>(&where), done);
  if (error == 0) return;
  delete request;
  LoseLater(uv_strerror(error));
}

void RelayConnection::OnConnected(int status) {
  if (status != 0) return Lost(uv_strerror(status));
  if (tcp_) {
    uv_tcp_nodelay(tcp_.get(), 1);
    uv_tcp_keepalive(tcp_.get(), 1, kKeepAliveSeconds);
    uv_os_fd_t fd = -1;
    if (uv_fileno(reinterpret_cast<const uv_handle_t*>(tcp_.get()), &fd) == 0)
      setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs, sizeof kUnacknowledgedMs);
  }
  if (uv_read_start(stream(), OnAllocate, OnRead) != 0) return Lost("cannot read");
  state_ = logins_.empty() ? State::kOpen : State::kLoggingIn;
  if (logins_.empty()) {
    deadline_.Stop();
  } else {
    // A fresh connection's buffer takes this whole.
    uv_buf_t buffer = uv_buf_init(login_wire_.data(), static_cast<unsigned>(login_wire_.size()));
    if (uv_try_write(stream(), &buffer, 1) != static_cast<int>(login_wire_.size())) return Lost("cannot write");
  }
  pool_->WantsFlush(this);
}

void RelayConnection::OnAllocate(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  std::vector<char>& room = From(handle->data)->pool_->read_buffer();
  *buffer = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
}

// The owner may let go of this connection: what it is told is told last.
void RelayConnection::OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  RelayConnection* connection = From(stream->data);
  if (connection == nullptr || size == 0) return;
  if (size < 0)
    return connection->Lost(size == UV_EOF ? "Redis closed the connection" : uv_strerror(static_cast<int>(size)));
  std::string_view bytes(buffer->base, static_cast<size_t>(size));
  if (connection->state_ == State::kLoggingIn) {
    bytes.remove_prefix(connection->TakeLogin(bytes));
    if (!connection->failure_.empty()) return connection->Lost(std::exchange(connection->failure_, {}));
  }
  if (!bytes.empty()) connection->owner_->OnRelayBytes(bytes);
}

// How many of these bytes answer the login. Nothing is sent before: it would be executed as another user, or elsewhere.
size_t RelayConnection::TakeLogin(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size() && !logins_.empty()) {
    size_t size = 0;
    const ReplyFramer::Outcome outcome = login_framer_.Take(bytes.substr(at), &size);
    login_reply_.append(
        bytes.substr(at, std::min(size, kMostErrorBytes - std::min(login_reply_.size(), kMostErrorBytes))));
    at += size;
    if (outcome == ReplyFramer::Outcome::kPart) break;
    const Login login = logins_.front();
    logins_.pop_front();
    const std::string reply = std::exchange(login_reply_, {});
    const bool refused = outcome == ReplyFramer::Outcome::kBad || reply.starts_with('-');
    if (refused && login.must_succeed) {
      failure_ = std::string("Redis refuses ") + login.command + ": " + reply.substr(0, reply.find('\r'));
      return bytes.size();
    }
  }
  if (logins_.empty()) {
    deadline_.Stop();
    state_ = State::kOpen;
    pool_->WantsFlush(this);
  }
  return at;
}

void RelayConnection::Send(std::string_view bytes) {
  queue_.append(bytes);
  queued_bytes_ += bytes.size();
  used_ms_ = pool_->NowMs();
  pool_->CountCommand();
  pool_->WantsFlush(this);
}

void RelayConnection::Flush() {
  if (!failure_.empty()) return Lost(std::exchange(failure_, {}));
  if (state_ != State::kOpen || writing_ || queue_.empty()) return;
  uv_buf_t buffer = uv_buf_init(queue_.data(), static_cast<unsigned>(queue_.size()));
  const int written = uv_try_write(stream(), &buffer, 1);
  if (written < 0 && written != UV_EAGAIN) return Lost(uv_strerror(written));
  const size_t taken = static_cast<size_t>(std::max(written, 0));
  sent_bytes_ += taken;
  if (taken == queue_.size()) {
    queue_.clear();
    if (queue_.capacity() > kWriteStep) queue_.shrink_to_fit();
    return;
  }
  queue_.erase(0, taken);
  WriteRest();
}

// Redis reads slowly: libuv writes when it can.
void RelayConnection::WriteRest() {
  auto* write = new Write{{}, queue_.substr(0, kWriteStep)};
  queue_.erase(0, write->bytes.size());
  sent_bytes_ += write->bytes.size();
  uv_buf_t buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  write->request.data = write;
  const auto done = [](uv_write_t* request, int status) {
    RelayConnection* connection = From(request->handle->data);
    delete static_cast<Write*>(request->data);
    if (connection == nullptr) return;
    connection->writing_ = false;
    if (status < 0) return connection->Lost(uv_strerror(status));
    connection->pool_->WantsFlush(connection);
  };
  writing_ = uv_write(&write->request, stream(), &buffer, 1, done) == 0;
  if (writing_) return;
  delete write;
  LoseLater("cannot write");
}

void RelayConnection::SetReading(bool reading) {
  if (state_ == State::kConnecting) return;
  if (reading) {
    uv_read_start(stream(), OnAllocate, OnRead);
  } else {
    uv_read_stop(stream());
  }
}

// At the end of the turn: for places that this object must outlive.
void RelayConnection::LoseLater(std::string why) {
  failure_ = std::move(why);
  pool_->WantsFlush(this);
}

void RelayConnection::Lost(std::string why) {
  owner_->OnRelayLost(why);
}

}  // namespace sprockets
