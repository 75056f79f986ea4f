// The clients' own connections to Redis: how many there may be, and that all of them end when Redis is away. Loop
// thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <uv.h>

#include "shared/redis/url.h"
#include "sidecar/core/relay.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class RelayConnection;

class RelayPool : public Relay {
 public:
  struct Options {
    RedisUrl url;
    int64_t timeout_ms = 250;  // of a connection, until it is logged in
    size_t most_lines = 256;
  };
  /// `address`: where the link is connected to, a numeric address or a socket's path; empty while Redis is away.
  RelayPool(uv_loop_t* loop, Options options, std::function<std::string()> address);
  ~RelayPool() override;

  /// Redis is away: every connection ends, and whoever waits is told at once.
  void EndAll(std::string_view why);
  /// Ends what is still there after --redis-timeout.
  void Stop() { stop_timer_.Start(options_.timeout_ms); }
  /// Once a turn of the loop.
  void Flush();
  size_t lines() const { return lines_.size(); }
  /// How many commands were given to the connections, ever.
  uint64_t commands() const { return commands_; }

  // Relay
  bool available() const override { return !address_().empty(); }
  std::unique_ptr<RelayLine> Open(RelayLineOwner* owner, int protocol, const std::string& name) override;

  // For a connection.
  void CountCommand() { ++commands_; }
  void WantsFlush(RelayConnection* line);
  void Forget(RelayConnection* line);
  /// All read into it, one at a time.
  std::vector<char>& read_buffer() { return read_buffer_; }
  uv_loop_t* loop() const { return loop_; }
  int64_t NowMs() const { return static_cast<int64_t>(uv_now(loop_)); }

 private:
  bool MakeRoom();

  uv_loop_t* const loop_;
  const Options options_;
  const std::function<std::string()> address_;
  std::vector<RelayConnection*> lines_;  // owned by the clients
  std::vector<RelayConnection*> to_flush_;
  std::vector<char> read_buffer_;
  uint64_t commands_ = 0;
  UvTimer stop_timer_;
};

}  // namespace sprockets
