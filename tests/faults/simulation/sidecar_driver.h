// The sidecar without its sockets: the real link's protocol, router, window, spill store and start-up, driven step by
// step over the simulated world, and the clients before its door.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "shared/spill/start_up.h"
#include "sidecar/core/link_protocol.h"
#include "sidecar/core/router.h"
#include "sidecar/disk/spill_store.h"
#include "tests/faults/simulation/disk.h"
#include "tests/faults/simulation/world.h"

struct redisReply;

namespace sprockets::sim {

/// One event of a client, and what it knows of it.
struct ClientEvent {
  std::string stream;
  std::string id;  // empty: the client gives none
  std::string payload;
  enum class Fate {
    kUnsent,
    kWaiting,  // sent, no answer yet
    kAcknowledged,
    kRetry,  // certainly not stored by that try
    kUnknown,
    kClosed,  // the sidecar died with it; without an id it cannot be sent again safely
  } fate = Fate::kUnsent;
  bool was_acknowledged = false;
  std::string ticket;          // of its last answer, if it was spilled
  bool may_be_stored = false;  // some try of it ended in UNKNOWN or with a dead sidecar

  /// As Redis::applied knows it.
  std::string Key(const std::string& made_id) const;
};

class Sidecar : public ReplySink, public RedisSink, public SpillSink, public RouterNotices {
 public:
  Sidecar(World* world, std::vector<ClientEvent>* events);
  ~Sidecar() override;

  /// Locks, recovers, fills the window. False: somebody else has the folder.
  bool Start();
  /// kill -9.
  void Stop();
  void Die();
  bool running() const { return router_ != nullptr; }

  // Each is one step of the loop.
  void SendEvent(size_t index);
  /// Connects, or goes on with a handshake that paused.
  void Connect();
  void TakeReply();
  void LoseConnection();
  void RunDisk();
  void Probe();
  Status SealNow();
  /// Nothing waits for an answer any more.
  bool quiet() const;
  bool has_replies() const;

  const RouterCounters& counters() const { return router_->counters(); }

  // ReplySink, RedisSink, SpillSink, RouterNotices
  void Reply(uint64_t slot, std::string_view resp) override;
  void Send(const PendingEvent& event) override;
  void ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) override;
  void Spill(SpillRequest request) override { jobs_.emplace_back(std::move(request)); }
  void ProbeRedis(std::string_view) override {}
  void UnknownForgotten() override {}
  void StreamRefused(const StreamState&, std::string_view) override {}
  void StreamAcceptedAgain(const StreamState&) override {}

 private:
  /// Whose an answer is.
  struct OfProtocol {};
  struct OfXadd {};
  struct OfTail {
    StreamState* stream;
    int64_t count;
  };
  using Expected = std::variant<OfProtocol, OfXadd, OfTail>;

  void Transmit(std::string command, Expected expected);
  void Take(OfProtocol, const redisReply& reply);
  void Take(OfXadd, const redisReply& reply);
  void Take(OfTail tail, const redisReply& reply);
  void Ask(const LinkProtocol::Commands& commands);
  void Follow(const LinkProtocol::Step& step);
  void Do(const LinkProtocol::Wait&) {}
  void Do(const LinkProtocol::Kill& kill) { Ask(kill.commands); }
  void Do(const RecordJob& job);
  void Do(const LinkProtocol::Ready& ready);
  void Do(const LinkProtocol::Probed& probed);
  void Do(const LinkProtocol::Refused&) { LoseConnection(); }
  bool ready() const { return protocol_ && protocol_->ready(); }
  bool probing() const;
  bool connection_alive() const;

  World* const world_;
  std::vector<ClientEvent>* const events_;
  const SimulatedFolder folder_;
  std::unique_ptr<OpenedFolder> opened_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<SpillStore> store_;
  std::vector<SpillJob> jobs_;
  std::deque<SpillCompletion> done_;
  std::optional<LinkProtocol> protocol_;
  bool reads_folder_ = false;         // still, a file now and then
  std::optional<ConnectionId> peer_;  // the connection, as the server knows it
  std::deque<Expected> expected_;
  std::map<uint64_t, size_t> waiting_;  // request to event
  uint64_t next_slot_ = 1;
  int lives_ = 0;
};

}  // namespace sprockets::sim
