// A connection to Redis that carries commands one way and their replies the other, on a libuv loop. hiredis connects
// and parses; the bytes are moved here. The adapter that comes with hiredis 0.14 swallows errors: on a refused connect,
// or a reset with commands in flight, no callback would ever run, and the sidecar would hang exactly where it has to
// spill. And hiredis's own queues allocate for each command and move what is left after each partial write. Loop thread
// only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <uv.h>

#include "sidecar/core/output_buffer.h"
#include "sidecar/uv_handles.h"

struct redisAsyncContext;
struct redisReply;

namespace sprockets {

/// What a pipeline tells its owner, who may close it, and open it again, in each of these.
class RedisPipelineEvents {
 public:
  virtual ~RedisPipelineEvents() = default;
  virtual void OnConnected() = 0;
  /// In the order of the commands; one that answers no command comes, too. `reply` lives as long as this call.
  virtual void OnReply(const redisReply& reply) = 0;
  /// It could not connect, or was connected and has gone. It is closed.
  virtual void OnClosed(const std::string& why) = 0;
};

class RedisPipeline {
 public:
  RedisPipeline(uv_loop_t* loop, RedisPipelineEvents* events) : loop_(loop), events_(events) {}
  ~RedisPipeline() { Close(); }
  RedisPipeline(const RedisPipeline&) = delete;
  RedisPipeline& operator=(const RedisPipeline&) = delete;

  /// Takes a context fresh from redisAsyncConnect*; OnConnected or OnClosed follows. Empty: done. Otherwise why not,
  /// and nothing follows.
  std::string Open(redisAsyncContext* context);
  bool is_open() const { return context_ != nullptr; }
  /// Tells nobody. Not in a callback of hiredis's own.
  void Close();

  /// A whole command. It leaves with the next Flush.
  void Append(std::string_view command) { output_.Append(command); }
  size_t unwritten_bytes() const { return output_.size(); }
  /// Writes what was appended. What the kernel does not take now leaves as soon as it does.
  void Flush();
  /// Takes what has arrived.
  void Read();
  /// Bytes that have arrived and were not read yet.
  bool HasUnread() const;
  /// How often something has arrived: bytes, or the end.
  uint64_t arrivals() const { return arrivals_; }

 private:
  static RedisPipeline* From(void* data) { return static_cast<RedisPipeline*>(data); }
  static void OnPoll(uv_poll_t* handle, int status, int events);
  void OnConnectFinished(int status);
  void Watch(int events);
  void Write();
  void Fail(std::string why);

  uv_loop_t* const loop_;
  RedisPipelineEvents* const events_;
  UvHandle<uv_poll_t> handle_;
  redisAsyncContext* context_ = nullptr;
  bool connected_ = false;
  int watched_ = 0;
  uint64_t arrivals_ = 0;
  OutputBuffer output_;
};

}  // namespace sprockets
