// Commands to Redis without waiting for each reply: bounded by bytes, replies handed out in order. One thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "replayer/redis/client.h"
#include "shared/base/result.h"

namespace sprockets {

class Pipeline {
 public:
  /// Looks at a reply; its error ends the pipeline.
  using OnReply = std::function<Status(const redisReply&)>;

  explicit Pipeline(RedisClient& client) : client_(client) {}
  /// What is still on its way is waited for and not looked at, so that the client can be used for something else.
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Queues a command. Without `on_reply` an error reply is an error, as RefuseError says. What is returned of an error
  /// reply names its command and key.
  Status Add(std::span<const std::string_view> words, OnReply on_reply = nullptr);
  /// The same for a command that is already `words` bulk strings, `body`.
  Status AddEncoded(size_t words, std::string_view body, OnReply on_reply = nullptr);
  /// Sends what was gathered, and takes replies only where too much is on its way.
  Status Send();
  /// Sends the rest and takes every reply.
  Status Finish();

 private:
  struct Chunk {
    std::string bytes;
    size_t commands = 0;          // in it
    std::deque<OnReply> replies;  // that are still to come
  };
  Status TakeOldest();

  RedisClient& client_;
  Chunk gathering_;
  std::deque<Chunk> in_flight_;  // a deque: the client holds views into the strings
  size_t bytes_in_flight_ = 0;
};

/// If `reply` is an error, an Error with Redis's words: kNotPermitted for NOPERM, kBusy where it may pass (OOM,
/// READONLY, …), otherwise kRefused.
Status RefuseError(const redisReply& reply);

}  // namespace sprockets
