// An exhaustive search of small runs: a kill before every step.
#include <cstdint>
#include <string>

#include <catch2/catch.hpp>

#include "tests/faults/simulation/deployment.h"

namespace sprockets::sim {
namespace {

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

}  // namespace
}  // namespace sprockets::sim
