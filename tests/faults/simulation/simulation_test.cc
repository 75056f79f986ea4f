// Seeded runs, and an exhaustive search of small ones, over the simulated world.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <memory>
#include <set>

#include <catch2/catch.hpp>

#include "replayer/drain/options.h"
#include "replayer/drain/pass.h"
#include "tests/faults/simulation/disk.h"
#include "tests/faults/simulation/sidecar_driver.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {
namespace {

constexpr std::array kRefusals = {"OOM command not allowed",
                                  "READONLY You can't write against a read only replica.",
                                  "MISCONF Redis is configured to save RDB snapshots",
                                  "NOREPLICAS Not enough good replicas to write.",
                                  "MASTERDOWN Link with MASTER is down",
                                  "LOADING Redis is loading the dataset in memory",
                                  "BUSY Redis is busy running a script.",
                                  "NOAUTH Authentication required.",
                                  "WRONGPASS invalid username-password pair",
                                  "ERR upstream had enough"};

DrainOptions OptionsOfDrain() {
  DrainOptions options;
  options.redis.deadline_ms = 100;
  options.socket_path = "sim.sock";
  return options;
}

/// A whole deployment: clients, sidecar, Redis, drain.
class Deployment {
 public:
  Deployment(uint64_t seed, size_t events, Faults faults) : world(seed), sidecar(&world, &clients) {
    world.faults = faults;
    for (size_t i = 0; i < events; ++i) {
      ClientEvent event;
      event.stream = world.Chance(700) ? "s" : "t";
      if (world.Chance(700)) event.id = "E" + std::to_string(i);
      event.payload = "p" + std::to_string(i);
      clients.push_back(event);
    }
    world.seal = [this] {
      Status sealed = Error{ErrorCode::kUnreachable, "no sidecar"};
      Elsewhere([&] { SidecarStep([&] { sealed = sidecar.SealNow(); }); });
      return sealed;
    };
  }

  /// Runs `action` as a process that may be killed. False: it was.
  bool Alive(const std::function<void()>& action) {
    world.in_process = true;
    try {
      action();
      world.in_process = false;
      return true;
    } catch (const Killed&) {
      world.in_process = false;
      return false;
    }
  }

  /// Something that another process does while this one runs.
  void Elsewhere(const std::function<void()>& action) {
    const bool was_in_process = std::exchange(world.in_process, false);
    action();
    world.in_process = was_in_process;
  }

  void SidecarStep(const std::function<void()>& action) {
    if (!sidecar.running()) return;
    if (!Alive(action)) sidecar.Die();
  }

  void StartSidecar() {
    if (sidecar.running()) return;
    if (!Alive([this] { started_ = sidecar.Start(); })) sidecar.Die();
  }

  /// Every client that waits for nothing sends what it may send.
  void ClientStep() {
    const size_t i = world.random() % clients.size();
    using Fate = ClientEvent::Fate;
    ClientEvent& event = clients[i];
    if (event.fate == Fate::kWaiting || (event.id.empty() && event.fate != Fate::kUnsent && event.fate != Fate::kRetry))
      return;
    if (event.fate == Fate::kAcknowledged && !world.Chance(100)) return;  // a client that is not sure sends again
    SidecarStep([&] { sidecar.SendEvent(i); });
  }

  void RedisStep() {
    Redis& redis = world.redis;
    if (!redis.up || redis.stopped) return;
    std::vector<int64_t> busy;
    for (const auto& [id, peer] : redis.peers) {
      if (!peer.sent.empty()) busy.push_back(id);
    }
    if (busy.empty()) return;
    redis.ApplyOne(busy[world.random() % busy.size()]);
    redis.now_ms += static_cast<int64_t>(world.random() % 2);
  }

  void Nemesis() {
    Redis& redis = world.redis;
    switch (world.random() % 10) {
      case 0:
        if (redis.up) redis.Crash();
        redis.up = !redis.up;
        world.Trace("redis up or down");
        break;
      case 1:
        redis.stopped = !redis.stopped;
        break;
      case 2:
        redis.refusal = redis.refusal.empty() ? kRefusals[world.random() % kRefusals.size()] : "";
        break;
      case 3:
        redis.bad_stream = redis.bad_stream.empty() ? "t" : "";
        break;
      case 4:
        SidecarStep([this] { sidecar.LoseConnection(); });
        break;
      case 5:
        if (sidecar.running() && sidecar_may_die) sidecar.Die();
        break;
      case 6:
        SidecarStep([this] { (void)sidecar.SealNow(); });
        break;
      case 7:
        redis.now_ms += 1000;
        break;
      case 8:
        if (world.Chance(world.faults.redis_forgets)) redis.CrashAndForget();
        break;
      case 9:
        if (sidecar_may_die) SidecarStep([this] { sidecar.Stop(); });
        break;
      default:
        break;
    }
  }

  /// One small thing happens. The drain is not among them: it calls this in between.
  void AnyStep(int nemesis_in_thousand) {
    if (world.Chance(nemesis_in_thousand)) Nemesis();
    switch (world.random() % 8) {
      case 0:
        ClientStep();
        break;
      case 1:
        StartSidecar();
        break;
      case 2:
        SidecarStep([this] { sidecar.Connect(); });
        break;
      case 3:
      case 4:
        SidecarStep([this] { sidecar.TakeReply(); });
        break;
      case 5:
        SidecarStep([this] { sidecar.RunDisk(); });
        break;
      case 6:
        SidecarStep([this] { sidecar.Probe(); });
        break;
      default:
        RedisStep();
        break;
    }
  }

  /// One run of `sprockets-replayer drain`. The sidecar and Redis go on meanwhile.
  void Drain() {
    const DrainOptions options = OptionsOfDrain();
    DrainReport report(ProgressStyle::kNone);
    world.elsewhere = [this] {
      if (during_drain) during_drain();
      if (world.Chance(world.faults.background)) Elsewhere([this] { AnyStep(50); });
    };
    Alive([&] {
      const SimulatedFolder folder(&world);
      const auto lock = folder.LockForDraining(0);
      if (!lock.ok()) return;
      DrainPass pass(options, folder, report, DialInWorld);
      if (pass.SealActive().ok()) (void)pass.DrainAll();
    });
    world.elsewhere = nullptr;
    unproven += report.counts.unproven;
    world.Trace("drained");
  }

  /// Everything works again; every client gets its answers; everything is drained.
  void Heal() {
    world.faults = {};
    during_drain = nullptr;
    world.kill_at_step = -1;
    world.redis.up = true;
    world.redis.stopped = false;
    world.redis.refusal.clear();
    world.redis.bad_stream.clear();
    for (int round = 0; round < 4000 && !Healed(); ++round) {
      AnyStep(0);
      if (round % 100 == 99) Drain();
    }
    for (int i = 0; i < 3; ++i) Drain();
  }

  bool Healed() const {
    using Fate = ClientEvent::Fate;
    return sidecar.running() && std::all_of(clients.begin(), clients.end(), [](const ClientEvent& event) {
             return event.fate == Fate::kAcknowledged || (event.fate == Fate::kClosed && event.id.empty());
           });
  }

  size_t RowsLeft() const {
    size_t left = 0;
    for (const auto& [number, file] : world.disk.files) {
      if (file.info.state == SpillFileInfo::State::kDrained) continue;
      for (const DiskStream& stream : file.streams) left += stream.rows.size();
    }
    return left;
  }

  /// Redis had it and came back without it: its loss is not ours, and nobody sends it again.
  bool IsForgotten(const ClientEvent& event) const {
    const std::string key = event.stream + "|data|" + event.payload + "|";
    return std::any_of(world.redis.forgotten.begin(), world.redis.forgotten.end(),
                       [&](const std::string& forgotten) { return forgotten.starts_with(key); });
  }

  /// How often this event was ever applied: by its payload, whoever made the id.
  int Applied(const ClientEvent& event) const {
    int times = 0;
    for (const auto& [key, count] : world.redis.applied) {
      if (key.starts_with(event.stream + "|data|" + event.payload + "|")) times += count;
    }
    return times;
  }

  /// Empty: the promise held.
  std::string BrokenPromise() const {
    if (!Healed()) return "a client was never answered";
    if (RowsLeft() > 0) return std::to_string(RowsLeft()) + " rows were left";
    // Connections break all the time, but over no event more often than over others.
    for (const auto& [number, file] : world.disk.files) {
      if (!file.rejected.empty()) return "an innocent event was rejected";
    }
    uint64_t again = 0;
    std::set<std::string> tickets;
    for (const ClientEvent& event : clients) {
      const int times = Applied(event);
      if (event.was_acknowledged && times == 0 && !IsForgotten(event))
        return event.payload + " was acknowledged and lost";
      if (!event.ticket.empty() && !tickets.insert(event.ticket).second)
        return event.payload + " has the ticket of another event";
      if (times > 1) again += static_cast<uint64_t>(times - 1);
    }
    // A second copy is never silent: it was sent as unproven, and counted.
    if (again > unproven) return std::to_string(again) + " copies too many, " + std::to_string(unproven) + " unproven";
    return "";
  }

  World world;
  std::vector<ClientEvent> clients;
  Sidecar sidecar;
  uint64_t unproven = 0;
  bool sidecar_may_die = true;
  std::function<void()> during_drain;  // called between its steps

 private:
  bool started_ = false;
};

Faults ManyFaults() {
  Faults faults;
  faults.commit_fails = 50;
  faults.commit_fails_but_appears = 50;
  faults.append_fails = 5;
  faults.marker_fails = 100;
  faults.record_fails = 50;
  faults.handshake_pauses = 100;
  faults.drain_connection_breaks = 20;
  faults.kill = 5;
  faults.background = 300;
  return faults;
}

struct Run {
  std::string broken_promise;
  uint64_t trace = 0;
};

Run RunSeed(uint64_t seed, const Faults& faults = ManyFaults()) {
  Deployment deployment(seed, 3 + seed % 10, faults);
  for (int step = 0; step < 250; ++step) {
    deployment.AnyStep(60);
    if (deployment.world.Chance(15)) deployment.Drain();
  }
  deployment.Heal();
  return {deployment.BrokenPromise(), deployment.world.trace};
}

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoll(value);
}

/// So many seeds, unless the environment says otherwise.
void RequireOverSeeds(int64_t seeds, const Faults& faults) {
  const int64_t first = FromEnvironment("SPROCKETS_SEED", 1);
  const int64_t count = FromEnvironment("SPROCKETS_SEEDS", seeds);
  for (int64_t seed = first; seed < first + count; ++seed) {
    INFO("SPROCKETS_SEED=" << seed << " SPROCKETS_SEEDS=1");
    REQUIRE(RunSeed(static_cast<uint64_t>(seed), faults).broken_promise == "");
  }
}

TEST_CASE("no fault loses or doubles an acknowledged event, over many seeds") {
  RequireOverSeeds(3000, ManyFaults());
}

TEST_CASE("a disk that fails time and again loses and doubles nothing") {
  Faults faults = ManyFaults();
  faults.commit_fails = faults.commit_fails_but_appears = 200;
  faults.marker_fails = 500;
  RequireOverSeeds(1000, faults);
}

TEST_CASE("connections that often cannot be written down lose and double nothing") {
  Faults faults = ManyFaults();
  faults.record_fails = 400;
  RequireOverSeeds(1000, faults);
}

TEST_CASE("a Redis that comes back with older data and lower ids costs and doubles nothing but what it forgot") {
  Faults faults = ManyFaults();
  faults.redis_forgets = 500;
  RequireOverSeeds(2000, faults);
}

TEST_CASE("the same seed is the same run, to the last step") {
  for (uint64_t seed = 1; seed <= 50; ++seed) REQUIRE(RunSeed(seed).trace == RunSeed(seed).trace);
}

/// Three events, an outage in the middle of them, a drain; killed before the n-th step of any process, and before the
/// m-th after that.
int64_t RunSmall(int64_t kill_at, uint64_t variant, std::string* broken) {
  Deployment deployment(variant, 3, Faults{});
  World& world = deployment.world;
  deployment.clients[0].id = "A";
  deployment.clients[1].id = variant % 2 == 0 ? "B" : "";
  deployment.clients[2].id = "C";
  for (ClientEvent& event : deployment.clients) event.stream = "s";
  world.kill_at_step = kill_at;
  const auto all_of_it = [&] {
    for (int i = 0; i < 6; ++i) {
      deployment.StartSidecar();
      deployment.SidecarStep([&] { deployment.sidecar.Connect(); });
      deployment.RedisStep();
      deployment.SidecarStep([&] { deployment.sidecar.TakeReply(); });
      deployment.SidecarStep([&] { deployment.sidecar.RunDisk(); });
    }
  };
  deployment.StartSidecar();
  deployment.SidecarStep([&] { deployment.sidecar.SendEvent(0); });
  all_of_it();
  deployment.SidecarStep([&] { deployment.sidecar.SendEvent(1); });
  if (variant % 3 != 0) deployment.RedisStep();  // applied or not
  if (variant % 5 == 0) world.redis.stopped = true;
  deployment.SidecarStep([&] { deployment.sidecar.LoseConnection(); });
  deployment.SidecarStep([&] { deployment.sidecar.RunDisk(); });
  deployment.SidecarStep([&] { deployment.sidecar.SendEvent(2); });
  deployment.SidecarStep([&] { deployment.sidecar.RunDisk(); });
  world.redis.stopped = false;
  if (variant % 7 == 0) {
    world.redis.Crash();
  }
  deployment.Drain();
  deployment.RedisStep();
  const int64_t steps = world.steps;
  deployment.Heal();
  *broken = deployment.BrokenPromise();
  return steps;
}

TEST_CASE("three events and one kill, before every step there is") {
  for (uint64_t variant = 1; variant <= 210; ++variant) {
    std::string broken;
    const int64_t steps = RunSmall(-1, variant, &broken);
    REQUIRE(broken == "");
    for (int64_t kill_at = 1; kill_at <= steps + 1; ++kill_at) {
      RunSmall(kill_at, variant, &broken);
      INFO("variant " << variant << ", killed before step " << kill_at << " of " << steps);
      REQUIRE(broken == "");
    }
  }
}

/// Somebody trims a stream, or deletes an entry of it.
void Remove(World& world) {
  if (world.Chance(500)) {
    world.redis.Trim("s", world.random() % 2);
  } else {
    world.redis.Delete("s", world.random() % 3);
  }
}

TEST_CASE("what is trimmed or deleted before it could be settled is unproven, never silently doubled") {
  uint64_t unproven = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Deployment deployment(seed, 6, Faults{});
    World& world = deployment.world;
    deployment.sidecar_may_die = false;  // what was trimmed before a restart is in no window
    deployment.during_drain = [&world] {
      if (world.Chance(20)) Remove(world);
    };
    for (int step = 0; step < 120; ++step) {
      deployment.AnyStep(60);
      if (world.Chance(50)) Remove(world);
      if (world.Chance(20)) deployment.Drain();
    }
    deployment.Heal();
    INFO("seed " << seed);
    REQUIRE(deployment.BrokenPromise() == "");
    unproven += deployment.unproven;
  }
  CHECK(unproven > 0);
}

/// One event is there for an anchor, and one whose answer was lost. All is removed before the n-th step of the drain
/// that settles it. Returns how many steps the drain took.
int DrainWithRemoval(int remove_at, bool trims, Deployment& deployment) {
  for (ClientEvent& event : deployment.clients) event.stream = "s";
  deployment.clients[0].id = "A";
  deployment.clients[1].id = "B";
  deployment.StartSidecar();
  deployment.SidecarStep([&] { deployment.sidecar.Connect(); });
  deployment.SidecarStep([&] { deployment.sidecar.SendEvent(0); });
  for (int i = 0; i < 6; ++i) {
    deployment.RedisStep();
    deployment.SidecarStep([&] { deployment.sidecar.TakeReply(); });
  }
  deployment.SidecarStep([&] { deployment.sidecar.SendEvent(1); });
  deployment.RedisStep();
  deployment.SidecarStep([&] { deployment.sidecar.LoseConnection(); });
  deployment.SidecarStep([&] { deployment.sidecar.RunDisk(); });
  int steps = 0;
  deployment.during_drain = [&] {
    if (++steps != remove_at) return;
    if (trims) {
      deployment.world.redis.Trim("s", 0);
    } else {
      deployment.world.redis.Delete("s", 1);
    }
  };
  deployment.Drain();
  return steps;
}

TEST_CASE("what is removed while the drain searches for it is unproven, at whatever step") {
  for (const bool trims : {true, false}) {
    uint64_t unproven = 0;
    int steps = 1;
    for (int remove_at = 1; remove_at <= steps; ++remove_at) {
      Deployment deployment(1, 2, Faults{});
      steps = DrainWithRemoval(remove_at, trims, deployment);
      deployment.Heal();
      INFO((trims ? "trimmed" : "deleted") << " before step " << remove_at << " of " << steps);
      REQUIRE(deployment.BrokenPromise() == "");
      unproven += deployment.unproven;
    }
    CHECK(steps > 5);
    CHECK(unproven > 1);
  }
}

/// Two events wait, and Redis refuses writes until the drain loses its patience. In its last try it answers the first
/// of them by what may mean anything.
TEST_CASE("an event whose last answer was unclear is not passed over when the drain's patience ends") {
  constexpr int64_t kPatienceMs = 10'000;  // the drain's
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Deployment deployment(seed, 2, Faults{});
    Redis& redis = deployment.world.redis;
    for (ClientEvent& event : deployment.clients) event.stream = "s";
    redis.up = false;
    deployment.StartSidecar();
    for (const size_t event : {0, 1}) deployment.SidecarStep([&] { deployment.sidecar.SendEvent(event); });
    deployment.SidecarStep([&] { deployment.sidecar.RunDisk(); });
    redis.up = true;
    redis.refusal = "OOM command not allowed";
    const int64_t begun_ms = redis.now_ms;
    deployment.during_drain = [&] {
      const auto sends_first = [](const auto& peer) {
        return !peer.second.sent.empty() && peer.second.sent.front().find("p0") != std::string::npos;
      };
      const bool is_unclear =
          redis.now_ms - begun_ms >= kPatienceMs && std::any_of(redis.peers.begin(), redis.peers.end(), sends_first);
      redis.refusal = is_unclear ? "ERR upstream had enough" : "OOM command not allowed";
    };
    deployment.Drain();
    CHECK(redis.now_ms - begun_ms >= kPatienceMs);
    deployment.Heal();
    INFO("seed " << seed);
    REQUIRE(deployment.BrokenPromise() == "");
  }
}

}  // namespace
}  // namespace sprockets::sim
