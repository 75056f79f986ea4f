#include "sidecar/redis/pipeline.h"

#include <cerrno>
#include <cstring>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <utility>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "sidecar/redis/reply_objects.h"

namespace sprockets {

std::string RedisPipeline::Open(redisAsyncContext* context) {
  if (context == nullptr) return "out of memory";
  if (context->err != 0) {
    std::string why = context->errstr;
    redisAsyncFree(context);
    return why;
  }
  auto* handle = new uv_poll_t;
  if (uv_poll_init(loop_, handle, context->c.fd) != 0) {
    delete handle;
    redisAsyncFree(context);
    return "cannot watch the socket";
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
  return {};
}

void RedisPipeline::Close() {
  if (context_ == nullptr) return;
  redisAsyncContext* context = std::exchange(context_, nullptr);
  handle_.reset();  // before its descriptor is closed
  context->data = nullptr;
  context->ev = {};
  redisAsyncFree(context);
  connected_ = false;
  watched_ = 0;
  output_.Clear();
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
  events_->OnClosed(why);
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
    events_->OnReply(*static_cast<redisReply*>(parsed));
    ReplyObjects()->freeObject(parsed);
    if (context_ != context) return;  // closed by its owner
  }
}

bool RedisPipeline::HasUnread() const {
  int unread = 0;
  return context_ != nullptr && ioctl(context_->c.fd, FIONREAD, &unread) == 0 && unread > 0;
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

void RedisPipeline::Fail(std::string why) {
  Close();
  events_->OnClosed(why);
}

}  // namespace sprockets
