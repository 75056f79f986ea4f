// A world around the forwarder of `--ack disk`: the real one, over simulated servers, a simulated journal and a clock
// that jumps, with everything going wrong that the promises of this mode name. All of it is drawn from one seed.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "shared/ahead/forwarder.h"
#include "tests/faults/simulation/ahead_redis.h"

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
  int sidecar_kills = 2;
  int deadlines = 3;
  int commit_failures = 2;
  int quarantines = 0;
  int holds = 2;
  int refills = 2;
  size_t most = 0;      // MAXLEN of every XADD; 0: none
  bool poison = false;  // Redis closes the connection over one of the events
};

class AheadWorld : public ForwarderLink, public JournalSource, public ForwarderNotices {
 public:
  AheadWorld(uint64_t seed, size_t events, AheadFaults faults);
  ~AheadWorld() override;

  /// One thing happens.
  void Step();
  /// Nothing goes wrong any more, until everything is where it should be. False: that never comes.
  bool Settle();
  /// Empty: every promise was kept.
  std::string BrokenPromise() const;
  const ForwarderCounters& counters() const { return totals_; }

 private:
  struct Event {
    std::string stream;
    std::string id;
    enum class Fate { kUnsent, kWaiting, kAcknowledged } fate = Fate::kUnsent;
    StreamId told;
    size_t order = 0;  // of the acknowledgement's row
  };
  struct Row {
    int64_t ticket;
    std::string stream;
    JournalRow row;
    size_t event;
    bool out_of_reach = false;  // its file is quarantined
  };
  struct Commit {
    std::vector<Row> rows;
    bool is_move = false;
  };
  struct PageWanted {
    std::string stream;
    uint64_t request;
    bool down;
    StreamId above;
    StreamId to;
  };

  // ForwarderLink, JournalSource, ForwarderNotices
  void Send(std::string_view commands, size_t answers) override;
  void Greeted() override {}
  void Disconnect(std::string_view why) override;
  void Unusable(std::string_view why) override;
  void ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) override;
  void ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) override;
  void Move(AheadStream& stream, std::vector<JournalRow> rows) override;
  void Reject(AheadStream& stream, int64_t ticket, std::string_view why) override;
  void Ready(const Incarnation&, bool, bool) override {}
  void Decided(const AheadStream& stream, const Placing::Counts& counts) override;
  void StreamRefused(const AheadStream&, std::string_view) override {}

  bool Chance(int in_hundred) { return static_cast<int>(random_() % 100) < in_hundred; }
  void Say(const std::string& what) const;
  void Start();
  void AddCounters();
  void KillSidecar();
  void Quarantine();
  void Salvage();
  void SendEvent();
  void CommitOne(bool may_fail);
  void Persist(const Commit& commit);
  void GivePage();
  void TakeReply();
  void LoseConnection(bool by_server);
  void GoOn(bool in_peace);
  bool AnyFault();
  int64_t Now() const { return clock_ms_; }
  AheadRedis::Server& active() { return redis_.servers[redis_.active]; }
  bool done() const;

  const bool prints_;
  std::mt19937_64 random_;
  AheadFaults faults_;
  AheadRedis redis_;
  std::vector<Event> events_;
  int64_t clock_ms_ = 10'000;  // the wall's, which jumps
  int64_t steady_ms_ = 0;

  // What survives a kill of the sidecar.
  std::vector<Row> journal_;
  std::vector<EntryTag> tags_;
  std::map<std::string, LandedMark> marks_;

  // The sidecar.
  std::unique_ptr<Forwarder> forwarder_;
  std::optional<int64_t> connection_;
  std::deque<Commit> commits_;
  bool commit_failed_ = false;
  std::deque<PageWanted> pages_;
  int64_t next_ticket_ = 1;

  bool foreign_ = false;           // somebody else has written
  std::set<std::string> excused_;  // moved or reported without proof, or rejected
  ForwarderCounters totals_;
  std::string broken_;
};

}  // namespace sprockets::sim
