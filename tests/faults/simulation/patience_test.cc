// A drain whose patience with Redis ends.
#include <algorithm>
#include <cstdint>
#include <string>

#include <catch2/catch.hpp>

#include "tests/faults/simulation/deployment.h"

namespace sprockets::sim {
namespace {

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
