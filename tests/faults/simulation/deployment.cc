#include "tests/faults/simulation/deployment.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "replayer/drain/options.h"
#include "replayer/drain/pass.h"
#include "tests/faults/simulation/disk.h"

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

/// Batches of one row, of a few, and of all that wait.
constexpr std::array kRowsABatch = {size_t{1}, size_t{2}, size_t{3}, Batch::kMostRows};

DrainOptions OptionsOfDrain(World& world) {
  DrainOptions options;
  options.rows_a_batch = kRowsABatch[world.random() % kRowsABatch.size()];
  options.redis.deadline_ms = 100;
  options.socket_path = "sim.sock";
  return options;
}

}  // namespace

Deployment::Deployment(uint64_t seed, size_t events, Faults faults) : world(seed), sidecar(&world, &clients) {
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

bool Deployment::Alive(const std::function<void()>& action) {
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

void Deployment::Elsewhere(const std::function<void()>& action) {
  const bool was_in_process = std::exchange(world.in_process, false);
  action();
  world.in_process = was_in_process;
}

void Deployment::SidecarStep(const std::function<void()>& action) {
  if (!sidecar.running()) return;
  if (!Alive(action)) sidecar.Die();
}

void Deployment::StartSidecar() {
  if (sidecar.running()) return;
  if (!Alive([this] { started_ = sidecar.Start(); })) sidecar.Die();
}

void Deployment::ClientStep() {
  const size_t i = world.random() % clients.size();
  using Fate = ClientEvent::Fate;
  ClientEvent& event = clients[i];
  if (event.fate == Fate::kWaiting || (event.id.empty() && event.fate != Fate::kUnsent && event.fate != Fate::kRetry))
    return;
  if (event.fate == Fate::kAcknowledged && !world.Chance(100)) return;  // a client that is not sure sends again
  SidecarStep([&] { sidecar.SendEvent(i); });
}

void Deployment::RedisStep() {
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

void Deployment::Nemesis() {
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

void Deployment::AnyStep(int nemesis_in_thousand) {
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

void Deployment::Drain() {
  const DrainOptions options = OptionsOfDrain(world);
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

void Deployment::Heal() {
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

bool Deployment::Healed() const {
  using Fate = ClientEvent::Fate;
  return sidecar.running() && std::all_of(clients.begin(), clients.end(), [](const ClientEvent& event) {
           return event.fate == Fate::kAcknowledged || (event.fate == Fate::kClosed && event.id.empty());
         });
}

size_t Deployment::RowsLeft() const {
  size_t left = 0;
  for (const auto& [number, file] : world.disk.files) {
    if (file.info.state == SpillFileInfo::State::kDrained) continue;
    for (const DiskStream& stream : file.streams) left += stream.rows.size();
  }
  return left;
}

bool Deployment::IsForgotten(const ClientEvent& event) const {
  const std::string key = event.stream + "|data|" + event.payload + "|";
  return std::any_of(world.redis.forgotten.begin(), world.redis.forgotten.end(),
                     [&](const std::string& forgotten) { return forgotten.starts_with(key); });
}

int Deployment::Applied(const ClientEvent& event) const {
  int times = 0;
  for (const auto& [key, count] : world.redis.applied) {
    if (key.starts_with(event.stream + "|data|" + event.payload + "|")) times += count;
  }
  return times;
}

std::string Deployment::BrokenPromise() const {
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

}  // namespace sprockets::sim
