// A blocking client of Redis that pipelines: it writes and reads at the same time, so that neither side ever waits for
// the other to empty its buffers. The only wait is for progress, and it has a deadline. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include <hiredis/hiredis.h>

#include "replayer/redis/wire.h"
#include "shared/base/result.h"
#include "shared/redis/url.h"

namespace sprockets {

class RedisClient {
 public:
  struct ReplyDeleter {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };
  using Reply = std::unique_ptr<redisReply, ReplyDeleter>;

  /// Connects and logs in. `deadline_ms` also holds for everything later: so long without a byte moving, and the
  /// connection is given up. kUnreachable; kRefused if Redis does not take the login.
  static Result<RedisClient> Connect(const RedisUrl& url, int64_t deadline_ms, const Dial& dial = DialSocket);

  /// One command and its reply, which may be an error reply. Nothing else may be in flight.
  Result<Reply> Call(std::initializer_list<std::string_view> command);

  /// Puts whole commands behind those that wait to be written. `bytes` must live until their replies were received.
  void Queue(std::string_view bytes) {
    if (!bytes.empty() && broken_.empty()) unwritten_.push_back(bytes);
  }
  /// Writes and reads what is possible without waiting, so that Redis has work while the caller prepares more.
  void Pump();
  /// The next reply, in the order of the commands; goes on writing meanwhile. kUnreachable: the connection is broken,
  /// and every command without a reply is in doubt.
  Result<Reply> Receive();

  /// For a connection that waits for something else, often: says something now and then, so that Redis's `timeout` does
  /// not take it for idle. Whatever else is in flight; the answer is nobody's.
  void KeepAlive();

  /// After kUnreachable: did the server close the connection (rather than fall silent)?
  bool closed_by_server() const { return closed_by_server_; }

 private:
  struct ReaderDeleter {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  RedisClient(std::unique_ptr<Wire> wire, int64_t deadline_ms);

  Status LogIn(const RedisUrl& url);
  Reply NextParsed();
  void Move(int wait_ms);
  void Write();
  void Read();
  void Break(std::string why, bool by_server);

  std::unique_ptr<Wire> wire_;
  std::unique_ptr<redisReader, ReaderDeleter> reader_;
  int64_t deadline_ms_;
  int64_t pings_ = 0;        // of KeepAlive, whose answers have not been seen
  int64_t progress_ms_ = 0;  // when a byte last moved, by the steady clock
  std::deque<std::string_view> unwritten_;
  std::string broken_;  // why the connection is of no more use; empty: it is
  bool closed_by_server_ = false;
};

/// Text of a string, status or error reply; empty for others.
std::string_view TextOf(const redisReply& reply);
inline bool IsError(const redisReply& reply) {
  return reply.type == REDIS_REPLY_ERROR;
}

}  // namespace sprockets
