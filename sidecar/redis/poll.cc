#include "sidecar/redis/poll.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

namespace sprockets {

RedisPoll* RedisPoll::Attach(redisAsyncContext* context, uv_loop_t* loop) {
  auto* poll = new RedisPoll;
  if (uv_poll_init(loop, &poll->handle_, context->c.fd) != 0) {
    delete poll;
    return nullptr;
  }
  poll->handle_.data = poll;
  poll->context_ = context;
  context->ev.data = poll;
  context->ev.addRead = [](void* data) { From(data)->Watch(From(data)->watched_ | UV_READABLE); };
  context->ev.delRead = [](void* data) { From(data)->Watch(From(data)->watched_ & ~UV_READABLE); };
  context->ev.addWrite = [](void* data) { From(data)->OnWriteWanted(); };
  context->ev.delWrite = [](void* data) { From(data)->Watch(From(data)->watched_ & ~UV_WRITABLE); };
  context->ev.cleanup = [](void* data) { From(data)->CleanUp(); };
  return poll;
}

void RedisPoll::OnPoll(uv_poll_t* handle, int status, int events) {
  RedisPoll* poll = From(handle->data);
  // On an error hiredis must look at the socket itself: it reads SO_ERROR or the end of file and tells every callback.
  if (status < 0) events = UV_READABLE | UV_WRITABLE;
  if ((events & UV_READABLE) != 0) ++poll->arrivals_;
  if ((events & UV_READABLE) != 0 && poll->context_ != nullptr) redisAsyncHandleRead(poll->context_);
  if ((events & UV_WRITABLE) != 0 && poll->context_ != nullptr) redisAsyncHandleWrite(poll->context_);
}

// Before the connection stands, writable means "connected or failed". Afterwards we know when to write ourselves.
void RedisPoll::OnWriteWanted() {
  const bool connected = (context_->c.flags & REDIS_CONNECTED) != 0;
  if (connected && !flushing_ && (watched_ & UV_WRITABLE) == 0) {
    dirty_ = true;
  } else {
    Watch(watched_ | UV_WRITABLE);
  }
}

void RedisPoll::Flush() {
  // hiredis does not survive the loss of its context inside one of its own callbacks.
  if (!dirty_ || (context_->c.flags & REDIS_IN_CALLBACK) != 0) return;
  dirty_ = false;
  flushing_ = true;
  redisAsyncHandleWrite(context_);  // may end in CleanUp, which leaves this object alive until its handle has closed
  flushing_ = false;
}

void RedisPoll::Watch(int events) {
  if (context_ == nullptr || events == watched_) return;
  watched_ = events;
  if (events == 0) {
    uv_poll_stop(&handle_);
  } else {
    uv_poll_start(&handle_, events, OnPoll);
  }
}

void RedisPoll::CleanUp() {
  if (context_ == nullptr) return;
  context_ = nullptr;
  dirty_ = false;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) { delete From(handle->data); });
}

}  // namespace sprockets
