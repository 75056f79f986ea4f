// The one connection to Redis: connects, follows the protocol (core/link_protocol.h) until it is ready, and only then
// carries events, pipelined. Watches deadlines, reconnects with backoff, and tells its owner what happened. Loop thread
// only.
//
//   waiting ─► connecting ─► preparing ─► ready
//      ▲             any failure, any deadline           │
//      └─────────────────────────────────────────────────┘
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <uv.h>

#include "shared/base/backoff.h"
#include "shared/base/fifo.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/url.h"
#include "sidecar/core/link_protocol.h"
#include "sidecar/core/stream_state.h"
#include "sidecar/core/traffic.h"
#include "sidecar/redis/pipeline.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

/// What the link tells its owner.
class RedisLinkEvents {
 public:
  virtual ~RedisLinkEvents() = default;
  /// RedisLink::OnRecorded follows.
  virtual void RecordConnection(RecordJob job) = 0;
  /// `earlier_fenced`: no earlier connection can deliver anything any more. Otherwise --fence-wait has to do.
  virtual void OnLinkReady(const ConnectionId& connection, bool earlier_fenced) = 0;
  /// After OnLinkReady only: everything unanswered is in doubt. The link reconnects by itself.
  virtual void OnLinkLost() = 0;
  virtual void OnProbe(bool passed) = 0;
  virtual void OnLanded(std::string_view id) = 0;
  virtual void OnNil() = 0;
  virtual void OnXaddError(std::string_view error) = 0;
  virtual void OnTail(StreamState& stream, const std::vector<TailEntry>& entries, bool more) = 0;
  virtual void OnTailError(StreamState& stream, std::string_view error) = 0;
  /// The server can never be used (cluster mode), as the first connection found.
  virtual void OnUnusable(const std::string& why) = 0;
};

class RedisLink : private RedisPipelineEvents {
 public:
  struct Options {
    RedisUrl url;
    int64_t timeout_ms = 250;
  };
  enum class State { kStopped, kWaiting, kConnecting, kPreparing, kReady };

  /// `earlier`: connections of earlier lives, written down. `earlier_lost`: there were others that nobody can name.
  RedisLink(uv_loop_t* loop, Options options, std::vector<ConnectionId> earlier, bool earlier_lost,
            RedisLinkEvents* events);

  void Start();
  /// No new connection from now on; the standing one goes on. With `abandon` it ends, and what it carries is in doubt.
  void Stop(bool abandon);

  // With a ready link only.
  void Send(const std::string& xadd);
  void ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count);
  /// Asks after a backoff whether Redis takes commands; OnProbe follows.
  void ProbeLater();

  void OnRecorded(const Recorded& recorded) { Follow(protocol_.TakeRecorded(recorded)); }
  /// Once a turn of the loop.
  void Flush();

  State state() const { return state_; }
  const std::string& run_id() const { return protocol_.server().run_id; }
  const RedisUrl& url() const { return options_.url; }
  Durability durability() const { return protocol_.server().durability(); }
  const std::string& replication_id() const { return protocol_.server().replication_id; }
  /// What the server of this connection, or else of the last, has said of itself.
  const Handshake& server() const { return protocol_.server(); }
  /// Where it is connected to, a numeric address or a socket's path; empty: it is not ready.
  const std::string& address() const { return state_ == State::kReady ? pipeline_.address() : none_; }
  /// Why there is no connection; empty: there is one, or was none yet.
  const std::string& last_failure() const { return last_failure_; }
  /// When Redis last answered anything, on the loop's clock; 0: it never has.
  int64_t answered_ms() const { return pipeline_.answered_ms(); }
  /// Since when the link has been ready, on the loop's clock; 0: it is not.
  int64_t ready_since_ms() const { return ready_since_ms_; }

 private:
  /// Commands in a row whose replies are to come, and whose they are.
  struct Awaited {
    enum class Kind { kXadds, kProtocol, kTail, kKeepAlive };
    Kind kind = Kind::kProtocol;
    size_t replies = 1;
    StreamState* stream = nullptr;  // of a tail
    int64_t most_entries = 0;       // of a tail
  };

  void Connect();
  void KeepAlive();
  // RedisPipelineEvents
  void OnConnected() override;
  void OnReply(const redisReply& reply) override;
  void OnClosed(const std::string& why, bool) override { Lost(why); }

  void Ask(const LinkProtocol::Commands& commands);
  void Follow(const LinkProtocol::Step& step);
  void Do(const LinkProtocol::Wait&) {}
  void Do(const LinkProtocol::Kill& kill);
  void Do(const RecordJob& job);
  void Do(const LinkProtocol::Ready& ready);
  void Do(const LinkProtocol::Probed& probed);
  void Do(const LinkProtocol::Refused& refused);
  void LogMissingRights();
  void LogDurability();
  void Fail(std::string_view why);
  void Lost(std::string_view why);
  void Probe();
  void Command(std::string_view wire, Awaited awaited);
  void OnXaddReply(const redisReply& reply);
  void OnTailReply(const Awaited& asked, const redisReply& reply);
  int64_t Now() const { return static_cast<int64_t>(uv_now(loop_)); }

  uv_loop_t* const loop_;
  const Options options_;
  RedisLinkEvents* const events_;
  UvTimer retry_timer_;
  UvTimer probe_timer_;
  UvTimer keep_alive_timer_;
  Backoff backoff_{100, 5'000};
  Backoff probe_backoff_{200, 5'000};
  std::minstd_rand random_;

  State state_ = State::kStopped;
  bool stopping_ = false;
  RedisPipeline pipeline_;
  const std::string none_;

  LinkProtocol protocol_;
  Fifo<Awaited, 64> awaited_;
  int64_t ready_since_ms_ = 0;
  std::string last_failure_;  // already logged
  std::string last_missing_rights_;
  Durability last_durability_ = Durability::kAlways;
};

}  // namespace sprockets
