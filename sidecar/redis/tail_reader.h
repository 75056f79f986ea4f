// Reads the ends of streams for `--ack disk` after a life with `--ack redis`, on a connection of its own, which stands
// only as long as something is asked. Nothing is read before the connections of that life are dead, or --fence-wait has
// passed: what it has sent may still be on its way. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <uv.h>

#include "shared/base/moment.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/url.h"
#include "sidecar/core/acceptor.h"
#include "sidecar/core/link_protocol.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/pipeline.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class TailReader : public TailSource, private RedisPipelineEvents {
 public:
  struct Options {
    RedisUrl url;
    int64_t timeout_ms = 250;
    int64_t fence_wait_ms = 5'000;
    std::vector<ConnectionId> earlier = {};  // connections of lives with --ack redis
    bool earlier_lost = false;               // there were others that nobody can name
  };
  TailReader(uv_loop_t* loop, const LoopClock* clock, Options options);

  void Start(Acceptor* acceptor) { acceptor_ = acceptor; }
  /// Once a turn of the loop.
  void EndTurn();
  void Stop();

  // TailSource
  bool ReadTail(const std::string& stream, std::optional<StreamId> before, int64_t count) override;

 private:
  struct Asked {
    std::string stream;  // empty: a PING
    std::string command;
    int64_t count = 0;
  };

  // RedisPipelineEvents
  void OnConnected() override;
  void OnReply(const redisReply& reply) override;
  void OnClosed(const std::string& why, bool) override { Fail(why); }

  void Follow(const LinkProtocol::Step& step);
  void Do(const LinkProtocol::Wait&) {}
  void Do(const LinkProtocol::Kill& kill);
  void Do(const RecordJob& job);
  void Do(const LinkProtocol::Ready& ready);
  void Do(const LinkProtocol::Probed&) {}
  void Do(const LinkProtocol::Refused& refused) { Fail(refused.why); }
  void Ask(const LinkProtocol::Commands& commands);
  void Send(Asked asked);
  bool ready() const { return protocol_ && protocol_->ready(); }
  bool fenced() const { return ready() && fenced_in_ == protocol_->server().run_id; }
  void SendWaiting();
  void WaitForEarlier();
  void TakeEntries(const Asked& asked, const redisReply& reply);
  void Close();
  void Fail(std::string_view why);

  const LoopClock* const clock_;
  const Options options_;
  Acceptor* acceptor_ = nullptr;
  std::optional<LinkProtocol> protocol_;  // of the connection that stands
  std::optional<std::string> fenced_in_;  // the run_id in which nothing of earlier lives arrives any more
  UvTimer fence_wait_;
  LoopTime ready_at_;
  RedisPipeline pipeline_;
  bool connecting_ = false;  // or connected
  std::deque<Asked> waiting_;
  std::deque<Asked> asked_;  // in the order of their answers
  bool failed_ = false;      // the acceptor hears of it at the end of the turn
  LoopTime retry_at_;        // until then Redis counts as away
  std::string last_failure_;
};

}  // namespace sprockets
