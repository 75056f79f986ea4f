#include "sidecar/redis/pipeline.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <utility>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "sidecar/redis/reply_objects.h"

namespace sprockets {

namespace {

bool IsNumericHost(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return uv_inet_pton(AF_INET, host.c_str(), address.data()) == 0 ||
         uv_inet_pton(AF_INET6, host.c_str(), address.data()) == 0;
}

}  // namespace

RedisPipeline::RedisPipeline(uv_loop_t* loop, RedisUrl url, int64_t timeout_ms, RedisPipelineEvents* events)
    : loop_(loop), url_(std::move(url)), timeout_ms_(timeout_ms), events_(events), deadline_(loop, [this] {
        OnDeadline();
      }) {}

// ---- Connecting

void RedisPipeline::Connect() {
  if (!url_.socket_path.empty()) {
    address_ = url_.socket_path;
    return Open(redisAsyncConnectUnix(address_.c_str()));
  }
  if (IsNumericHost(url_.host)) return ConnectTo(url_.host);
  Resolve();
}

// Off the loop: a name server that does not answer must not stop anything.
void RedisPipeline::Resolve() {
  if (resolving_ != nullptr) return;  // the last attempt is still on its way and will go on from there
  resolving_ = new uv_getaddrinfo_t;
  resolving_->data = this;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  const auto done = [](uv_getaddrinfo_t* request, int status, addrinfo* addresses) {
    RedisPipeline* pipeline = From(request->data);
    delete request;
    if (pipeline != nullptr) pipeline->OnResolved(status, addresses);
    uv_freeaddrinfo(addresses);
  };
  const int error = uv_getaddrinfo(loop_, resolving_, done, url_.host.c_str(), nullptr, &hints);
  if (error == 0) return;
  delete std::exchange(resolving_, nullptr);
  events_->OnClosed(std::string("resolving the host's name: ") + uv_strerror(error), /*by_server=*/false);
}

void RedisPipeline::OnResolved(int status, const addrinfo* addresses) {
  resolving_ = nullptr;
  if (status != 0)
    return events_->OnClosed(std::string("resolving the host's name: ") + uv_strerror(status), /*by_server=*/false);
  addresses_.clear();
  for (const addrinfo* address = addresses; address != nullptr; address = address->ai_next) {
    std::array<char, 64> text{};
    if (address->ai_family == AF_INET) {
      uv_ip4_name(reinterpret_cast<const sockaddr_in*>(address->ai_addr), text.data(), text.size());
    } else {
      uv_ip6_name(reinterpret_cast<const sockaddr_in6*>(address->ai_addr), text.data(), text.size());
    }
    addresses_.emplace_back(text.data());
  }
  if (!ConnectToNext()) events_->OnClosed("resolving the host's name: it has no address", /*by_server=*/false);
}

bool RedisPipeline::ConnectToNext() {
  if (addresses_.empty()) return false;
  const std::string address = std::move(addresses_.front());
  addresses_.pop_front();
  ConnectTo(address);
  return true;
}

void RedisPipeline::ConnectTo(const std::string& host) {
  address_ = host;
  Open(redisAsyncConnect(host.c_str(), url_.port));
}

void RedisPipeline::Open(redisAsyncContext* context) {
  if (context == nullptr) return events_->OnClosed("out of memory", /*by_server=*/false);
  if (context->err != 0) {
    const std::string why = context->errstr;
    redisAsyncFree(context);
    return events_->OnClosed(why, /*by_server=*/false);
  }
  auto* handle = new uv_poll_t;
  if (uv_poll_init(loop_, handle, context->c.fd) != 0) {
    delete handle;
    redisAsyncFree(context);
    return events_->OnClosed("cannot watch the socket", /*by_server=*/false);
  }
  handle_.reset(handle);
  handle->data = this;
  context_ = context;
  context->data = this;
  context->c.reader->fn = ReplyObjects();
  // Until it is connected hiredis says what it waits for; from then on we know ourselves.
  context->ev.data = this;
  context->ev.addRead = [](void* data) { From(data)->Watch(From(data)->watched_ | UV_READABLE); };
  context->ev.addWrite = [](void* data) { From(data)->Watch(From(data)->watched_ | UV_WRITABLE); };
  context->ev.delWrite = [](void* data) { From(data)->Watch(From(data)->watched_ & ~UV_WRITABLE); };
  redisAsyncSetConnectCallback(context, [](const redisAsyncContext* c, int status) {
    if (c->data != nullptr) From(c->data)->OnConnectFinished(status);
  });
  StartDeadline();
}

void RedisPipeline::Close() {
  if (resolving_ != nullptr) {
    resolving_->data = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(std::exchange(resolving_, nullptr)));
  }
  if (context_ == nullptr) return;
  redisAsyncContext* context = std::exchange(context_, nullptr);
  handle_.reset();  // before its descriptor is closed
  context->data = nullptr;
  context->ev = {};
  redisAsyncFree(context);
  connected_ = false;
  watched_ = 0;
  output_.Clear();
  owed_ = 0;
  deadline_.Stop();
}

void RedisPipeline::OnPoll(uv_poll_t* handle, int status, int events) {
  RedisPipeline* pipeline = From(handle->data);
  if (pipeline == nullptr) return;
  // An error is found by whoever looks at the socket itself: the connect's, or a reset.
  if (status < 0) events = UV_READABLE | UV_WRITABLE;
  if ((events & UV_READABLE) != 0) ++pipeline->arrivals_;
  if (!pipeline->connected_) return redisAsyncHandleWrite(pipeline->context_);
  const redisAsyncContext* context = pipeline->context_;
  if ((events & UV_READABLE) != 0) pipeline->Read();
  if ((events & UV_WRITABLE) != 0 && pipeline->context_ == context) pipeline->Write();
}

// In a callback of hiredis's, which frees the context afterwards if it could not connect.
void RedisPipeline::OnConnectFinished(int status) {
  context_->ev = {};
  if (status == REDIS_OK) {
    connected_ = true;
    Watch(UV_READABLE);
    return events_->OnConnected();
  }
  const std::string why = context_->errstr;
  context_->data = nullptr;
  context_ = nullptr;
  handle_.reset();
  watched_ = 0;
  deadline_.Stop();
  if (!ConnectToNext()) events_->OnClosed(why, /*by_server=*/false);
}

void RedisPipeline::Watch(int events) {
  if (events == watched_) return;
  watched_ = events;
  if (events == 0) {
    uv_poll_stop(handle_.get());
  } else {
    uv_poll_start(handle_.get(), events, OnPoll);
  }
}

void RedisPipeline::Read() {
  redisAsyncContext* const context = context_;
  if (redisBufferRead(&context->c) != REDIS_OK) return Fail(context->c.errstr);
  while (true) {
    void* parsed = nullptr;
    if (redisGetReplyFromReader(&context->c, &parsed) != REDIS_OK) return Fail(context->c.errstr);
    if (parsed == nullptr) return;
    progress_ms_ = answered_ms_ = Now();
    const auto& reply = *static_cast<redisReply*>(parsed);
    // What nobody asked for is Redis's farewell: too many clients, for one.
    if (owed_ == 0) {
      Fail(reply.str != nullptr ? reply.str : "Redis answers what nobody asked");
    } else {
      --owed_;
      events_->OnReply(reply);
    }
    ReplyObjects()->freeObject(parsed);
    if (context_ != context) return;  // closed
  }
}

void RedisPipeline::Append(std::string_view commands, size_t replies) {
  if (owed_ == 0) StartDeadline();
  owed_ += replies;
  output_.Append(commands);
}

// While a full socket is waited for, nothing is tried.
void RedisPipeline::Flush() {
  if (connected_ && !output_.empty() && (watched_ & UV_WRITABLE) == 0) Write();
}

void RedisPipeline::Write() {
  while (!output_.empty()) {
    const std::string_view bytes = output_.front();
    const ssize_t written = send(context_->c.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return Watch(UV_READABLE | UV_WRITABLE);
    if (written < 0) return Fail(std::strerror(errno));
    output_.Take(static_cast<size_t>(written));
  }
  Watch(UV_READABLE);
}

void RedisPipeline::Fail(std::string why, bool by_server) {
  Close();
  events_->OnClosed(why, by_server);
}

// ---- Deadlines: no connection may owe us answers and give none for longer than the timeout

void RedisPipeline::StartDeadline() {
  progress_ms_ = Now();
  arrivals_seen_ = arrivals_;
  if (!deadline_.active()) deadline_.Start(timeout_ms_);
}

void RedisPipeline::OnDeadline() {
  if (connected_ && owed_ == 0) return;
  int64_t left = progress_ms_ + timeout_ms_ - Now();
  if (left <= 0 && connected_) {
    // It may be we who were stopped: what has arrived meanwhile counts.
    const redisAsyncContext* context = context_;
    const bool is_arriving = IsArriving();
    Read();
    if (context_ != context || owed_ == 0) return;
    if (is_arriving) progress_ms_ = Now();
    left = progress_ms_ + timeout_ms_ - Now();
  }
  if (left > 0) return deadline_.Start(left);
  if (connected_) return Fail("no answer within --redis-timeout", /*by_server=*/false);
  Close();
  if (!ConnectToNext()) events_->OnClosed("no connection within --redis-timeout", /*by_server=*/false);
}

// A large reply that comes in pieces is progress, too.
bool RedisPipeline::IsArriving() {
  int unread = 0;
  if (ioctl(context_->c.fd, FIONREAD, &unread) == 0 && unread > 0) return true;
  return arrivals_ != std::exchange(arrivals_seen_, arrivals_);
}

}  // namespace sprockets
