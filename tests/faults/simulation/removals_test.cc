// What somebody takes out of a stream while events in doubt are looked for in it.
#include <cstdint>
#include <utility>

#include <catch2/catch.hpp>

#include "tests/faults/simulation/deployment.h"

namespace sprockets::sim {
namespace {

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

}  // namespace
}  // namespace sprockets::sim
