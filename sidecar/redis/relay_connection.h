// One client's connection to Redis: connects, logs in, and from then on carries bytes as they are, each way as fast as
// the other side takes them. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include <uv.h>

#include "shared/redis/reply_framer.h"
#include "shared/redis/url.h"
#include "sidecar/core/relay.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class RelayPool;

class RelayConnection : public RelayLine {
 public:
  RelayConnection(RelayPool* pool, RelayLineOwner* owner, const RedisUrl& url, int protocol, const std::string& name);
  ~RelayConnection() override;

  /// To `address` (numeric), or to the URL's socket. A failure is told at the end of the turn.
  void Connect(uv_loop_t* loop, const std::string& address, int64_t timeout_ms);
  /// Sends what is queued, as far as the system takes it. May end in OnRelayLost, and with it this object.
  void Flush();

  RelayLineOwner* owner() const { return owner_; }
  /// When it was last given something to send, on the loop's clock.
  int64_t used_ms() const { return used_ms_; }
  /// Set by RelayPool.
  bool flush_wanted = false;

  // RelayLine
  void Send(std::string_view bytes) override;
  uint64_t queued_bytes() const override { return queued_bytes_; }
  uint64_t sent_bytes() const override { return sent_bytes_; }
  void SetReading(bool reading) override;

 private:
  enum class State { kConnecting, kLoggingIn, kOpen };
  struct Login {
    const char* command;
    bool must_succeed;
  };
  struct Write;

  static RelayConnection* From(void* data) { return static_cast<RelayConnection*>(data); }
  static void OnAllocate(uv_handle_t* handle, size_t, uv_buf_t* buffer);
  static void OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer);
  void AddLogin(const char* command, std::string wire, bool must_succeed = true);
  void OnConnected(int status);
  size_t TakeLogin(std::string_view bytes);
  void WriteRest();
  void LoseLater(std::string why);
  void Lost(std::string why);
  uv_stream_t* stream() const;

  RelayPool* const pool_;
  RelayLineOwner* const owner_;
  const std::string socket_path_;  // empty: TCP
  const int port_;
  UvHandle<uv_tcp_t> tcp_;
  UvHandle<uv_pipe_t> pipe_;
  UvTimer deadline_;
  State state_ = State::kConnecting;
  std::string failure_;  // told at the end of the turn

  std::string login_wire_;
  std::deque<Login> logins_;  // whose answers are outstanding
  ReplyFramer login_framer_;
  std::string login_reply_;  // its beginning

  std::string queue_;     // bytes that the system has not taken
  bool writing_ = false;  // libuv has some, and tells when they have gone
  uint64_t queued_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  int64_t used_ms_ = 0;
};

}  // namespace sprockets
