// Clients, sidecar, Redis and drain in one world, and whether they kept the promise.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/faults/simulation/sidecar_driver.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

class Deployment {
 public:
  Deployment(uint64_t seed, size_t events, Faults faults);
  /// Runs `action` as a process that may be killed. False: it was.
  bool Alive(const std::function<void()>& action);
  /// Something that another process does while this one runs.
  void Elsewhere(const std::function<void()>& action);
  void SidecarStep(const std::function<void()>& action);
  void StartSidecar();
  /// Every client that waits for nothing sends what it may send.
  void ClientStep();
  void RedisStep();
  void Nemesis();
  /// One small thing happens. The drain is not among them: it calls this in between.
  void AnyStep(int nemesis_in_thousand);
  /// One run of `sprockets-replayer drain`. The sidecar and Redis go on meanwhile.
  void Drain();
  /// Everything works again; every client gets its answers; everything is drained.
  void Heal();
  bool Healed() const;
  size_t RowsLeft() const;
  /// Redis had it and came back without it: its loss is not ours, and nobody sends it again.
  bool IsForgotten(const ClientEvent& event) const;
  /// How often this event was ever applied: by its payload, whoever made the id.
  int Applied(const ClientEvent& event) const;
  /// Empty: the promise held.
  std::string BrokenPromise() const;

  World world;
  std::vector<ClientEvent> clients;
  Sidecar sidecar;
  uint64_t unproven = 0;
  bool sidecar_may_die = true;
  std::function<void()> during_drain;  // called between its steps

 private:
  bool started_ = false;
};

}  // namespace sprockets::sim
