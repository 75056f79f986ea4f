// A world around the sidecar of `--ack disk`: the real acceptor, journal, forwarder and spill store over simulated
// servers, a simulated disk and a clock that jumps, with everything going wrong that the promises of this mode name.
// All of it is drawn from one seed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "shared/ahead/forwarder.h"
#include "tests/faults/simulation/ahead_redis.h"
#include "tests/faults/simulation/ahead_sidecar.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

/// What may go wrong, and how often; each step draws one of what is left.
struct AheadFaults {
  int redis_kills = 3;
  int hangs = 2;
  int refusals = 2;
  int fail_overs = 0;
  int foreign_adds = 0;
  int foreign_sidecar_adds = 0;
  int clock_jumps = 3;
  int trims = 2;
  int deletes = 2;
  int sidecar_kills = 2;  // between two steps of its loop, or at any step of its disk
  int deadlines = 3;
  int commit_failures = 2;
  int append_failures = 0;
  int quarantines = 0;
  int holds = 2;
  int refills = 2;
  size_t most = 0;      // MAXLEN of every XADD; 0: none
  bool poison = false;  // Redis closes the connection over one of the events
  int64_t retain_ms = 24 * 60 * 60 * 1000;
  int64_t kill_at_step = -1;  // of the disk
};

class AheadWorld : public ForwarderLink, public AheadWitness, public ForwarderNotices {
 public:
  AheadWorld(uint64_t seed, size_t events, AheadFaults faults);

  /// One thing happens.
  void Step();
  /// Nothing goes wrong any more, until everything is where it should be. False: that never comes.
  bool Settle();
  /// Empty: every promise was kept.
  std::string BrokenPromise() const;
  const ForwarderCounters& counters() const { return totals_; }
  /// Steps of the disk so far.
  int64_t steps() const { return world_.steps; }
  size_t files() const { return world_.disk.files.size(); }

 private:
  struct Event {
    std::string stream;
    std::string id;
    enum class Fate { kUnsent, kWaiting, kAcknowledged } fate = Fate::kUnsent;
    StreamId told;
    int tries = 0;
    uint64_t slot = 0;  // of the last one
  };

  // ForwarderLink, AheadWitness, ForwarderNotices
  void Send(std::string_view commands, size_t answers) override;
  void Greeted() override {}
  void Disconnect(std::string_view why) override;
  void Unusable(std::string_view why) override;
  void Answered(uint64_t slot, std::string_view resp) override;
  void Moves() override;
  void Rejects(const std::string& event_id) override;
  void Ready(const Incarnation&, bool, bool) override {}
  void Decided(const AheadStream& stream, const Placing::Counts& counts) override;
  void StreamRefused(const AheadStream&, std::string_view) override {}

  uint64_t Random() { return world_.random(); }
  bool Chance(int in_hundred) { return static_cast<int>(Random() % 100) < in_hundred; }
  void Say(const std::string& what);
  void Alive(const std::function<void()>& action);
  void Start();
  void AddCounters();
  void KillSidecar();
  void Quarantine();
  bool MayBeQuarantined(const DiskFile& file) const;
  bool Salvage();
  void SendEvent();
  void TakeReply();
  void LoseConnection(bool by_server);
  void GoOn(bool in_peace);
  bool AnyFault();
  void SetDiskFaults(bool in_peace);
  int64_t Now() const { return world_.redis.now_ms; }
  AheadRedis::Server& active() { return redis_.servers[redis_.active]; }
  bool done() const;

  World world_;
  AheadFaults faults_;
  AheadRedis redis_;
  AheadSidecar sidecar_;
  AheadSidecar::Options options_;
  std::vector<Event> events_;
  std::map<uint64_t, size_t> asked_;  // events, by slot
  std::optional<int64_t> connection_;
  int64_t steady_ms_ = 0;
  uint64_t next_slot_ = 1;
  bool foreign_ = false;           // somebody else has written
  std::set<std::string> excused_;  // moved or reported without proof, or rejected
  ForwarderCounters totals_;
  std::string broken_;
};

}  // namespace sprockets::sim
