// The sidecar without its sockets: the real router, window, spill store and start-up, driven step by step over the
// simulated world, and the clients before its door.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/core/router.h"
#include "sidecar/disk/spill_store.h"
#include "sidecar/disk/start_up.h"
#include "tests/faults/simulation/world.h"

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
  struct Expected {
    StreamState* tail_of = nullptr;  // null: an XADD's answer
    int64_t count = 0;
  };
  void Deliver(const std::string& resp);
  void OnRecorded(const Recorded& recorded);
  bool connection_alive() const;

  World* const world_;
  std::vector<ClientEvent>* const events_;
  std::unique_ptr<OpenedFolder> opened_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<SpillStore> store_;
  std::vector<SpillJob> jobs_;
  std::deque<SpillCompletion> done_;
  std::vector<ConnectionId> written_down_;
  bool earlier_lost_ = false;
  bool reads_folder_ = false;  // still, a file now and then
  ConnectionId connecting_;
  std::optional<ConnectionId> connection_;  // of the router, while ready
  std::deque<Expected> expected_;
  std::map<uint64_t, size_t> waiting_;  // request to event
  uint64_t next_slot_ = 1;
  int lives_ = 0;
};

}  // namespace sprockets::sim
