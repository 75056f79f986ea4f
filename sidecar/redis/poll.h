// Hangs a hiredis async connection on a libuv loop. Written anew because the adapter that comes with hiredis 0.14
// swallows errors: on a refused connect, or a reset with commands in flight, no callback would ever run, and the
// sidecar would hang exactly where it has to spill. Loop thread only.
#pragma once

#include <cstdint>

#include <uv.h>

struct redisAsyncContext;

namespace sprockets {

class RedisPoll {
 public:
  /// Attaches to `context`, which must be fresh from redisAsyncConnect*. It is deleted by the context's clean-up, after
  /// the poll handle has closed. Null if the descriptor cannot be watched.
  static RedisPoll* Attach(redisAsyncContext* context, uv_loop_t* loop);

  /// Writes what was queued since the last turn. Called once a turn, so that a turn's commands leave in one write; only
  /// what the kernel does not take waits for a writable event.
  void Flush();
  /// How often something has arrived: bytes, or the end.
  uint64_t arrivals() const { return arrivals_; }

 private:
  RedisPoll() = default;
  static RedisPoll* From(void* data) { return static_cast<RedisPoll*>(data); }
  static void OnPoll(uv_poll_t* handle, int status, int events);
  void OnWriteWanted();
  void Watch(int events);
  void CleanUp();

  uv_poll_t handle_{};
  redisAsyncContext* context_ = nullptr;
  int watched_ = 0;
  uint64_t arrivals_ = 0;
  bool dirty_ = false;  // something was queued since the last flush
  bool flushing_ = false;
};

}  // namespace sprockets
