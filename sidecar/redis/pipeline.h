// A connection to Redis that carries commands one way and their replies the other, on a libuv loop. hiredis connects
// and parses; the bytes are moved here. The adapter that comes with hiredis 0.14 swallows errors: on a refused connect,
// or a reset with commands in flight, no callback would ever run, and the sidecar would hang exactly where it has to
// spill. And hiredis's own queues allocate for each command and move what is left after each partial write. Loop thread
// only.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include <uv.h>

#include "shared/redis/url.h"
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
  /// In the order of the commands. `reply` lives as long as this call.
  virtual void OnReply(const redisReply& reply) = 0;
  /// It could not connect, or was connected and has gone, or has fallen silent for too long. It is closed. `by_server`:
  /// the other side has ended a connection that stood.
  virtual void OnClosed(const std::string& why, bool by_server) = 0;
};

class RedisPipeline {
 public:
  /// `timeout_ms`: so long may a connect take, or answers that are owed be awaited without anything arriving.
  RedisPipeline(uv_loop_t* loop, RedisUrl url, int64_t timeout_ms, RedisPipelineEvents* events);
  ~RedisPipeline() { Close(); }
  RedisPipeline(const RedisPipeline&) = delete;
  RedisPipeline& operator=(const RedisPipeline&) = delete;

  /// OnConnected or OnClosed follows. A name may stand for several addresses, of which Redis listens on one.
  void Connect();
  bool is_open() const { return context_ != nullptr; }
  /// That was tried last: numeric, or a socket's path.
  const std::string& address() const { return address_; }
  /// Tells nobody. Not in a callback of hiredis's own.
  void Close();

  /// Whole commands, which are answered by as many replies. They leave with the next Flush.
  void Append(std::string_view commands, size_t replies = 1);
  /// When the last reply came, on the loop's clock; 0: none has, ever.
  int64_t answered_ms() const { return answered_ms_; }
  size_t unwritten_bytes() const { return output_.size(); }
  /// Writes what was appended. What the kernel does not take now leaves as soon as it does.
  void Flush();

 private:
  void Resolve();
  void OnResolved(int status, const addrinfo* addresses);
  void ConnectTo(const std::string& host);
  bool ConnectToNext();
  void Open(redisAsyncContext* context);
  static RedisPipeline* From(void* data) { return static_cast<RedisPipeline*>(data); }
  static void OnPoll(uv_poll_t* handle, int status, int events);
  void OnConnectFinished(int status);
  void Read();
  void Watch(int events);
  void Write();
  void Fail(std::string why, bool by_server = true);
  void StartDeadline();
  void OnDeadline();
  bool IsArriving();
  int64_t Now() const { return static_cast<int64_t>(uv_now(loop_)); }

  uv_loop_t* const loop_;
  const RedisUrl url_;
  const int64_t timeout_ms_;
  RedisPipelineEvents* const events_;
  UvTimer deadline_;
  uv_getaddrinfo_t* resolving_ = nullptr;
  std::string address_;
  std::deque<std::string> addresses_;  // of the host, those that were not tried yet
  UvHandle<uv_poll_t> handle_;
  redisAsyncContext* context_ = nullptr;
  bool connected_ = false;
  int watched_ = 0;
  OutputBuffer output_;
  size_t owed_ = 0;             // replies
  int64_t answered_ms_ = 0;
  int64_t progress_ms_ = 0;     // when one was last given, or began to be owed
  uint64_t arrivals_ = 0;       // how often something has arrived: bytes, or the end
  uint64_t arrivals_seen_ = 0;  // by the deadline
};

}  // namespace sprockets
