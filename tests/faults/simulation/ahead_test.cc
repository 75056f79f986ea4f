// `--ack disk` over seeds: what a Redis has lost comes back under the same ids and in order, and nothing is there
// twice.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <catch2/catch.hpp>

#include "tests/faults/simulation/ahead_world.h"

namespace sprockets::sim {
namespace {

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoll(value);
}

/// What the seeds have shown together, so that a run in which nothing happens is noticed.
ForwarderCounters RequireOverSeeds(int64_t seeds, const AheadFaults& faults) {
  const int64_t first = FromEnvironment("SPROCKETS_SEED", 1);
  const int64_t count = FromEnvironment("SPROCKETS_SEEDS", seeds);
  ForwarderCounters all;
  for (int64_t seed = first; seed < first + count; ++seed) {
    AheadWorld world(static_cast<uint64_t>(seed), 4 + static_cast<size_t>(seed) % 9, faults);
    for (int step = 0; step < 400; ++step) world.Step();
    const bool settled = world.Settle();
    INFO("SPROCKETS_SEED=" << seed << " SPROCKETS_SEEDS=1");
    REQUIRE(settled);
    REQUIRE(world.BrokenPromise() == "");
    all.overtaken += world.counters().overtaken;
    all.refills += world.counters().refills;
  }
  return all;
}

TEST_CASE("ahead: a Redis that forgets gets back what it lost, under the same ids and in order", "[ahead]") {
  const ForwarderCounters all = RequireOverSeeds(4000, {});
  CHECK(all.refills > 0);
}

TEST_CASE("ahead: streams that are trimmed with every XADD are refilled and never doubled", "[ahead]") {
  RequireOverSeeds(3000, {.trims = 4, .deletes = 4, .most = 2});
}

TEST_CASE("ahead: failovers with lag, there and back again, cost and double nothing", "[ahead]") {
  RequireOverSeeds(4000, {.redis_kills = 2, .fail_overs = 4});
}

TEST_CASE("ahead: other writers overtake, and nothing is lost or doubled that was not counted", "[ahead]") {
  const ForwarderCounters all = RequireOverSeeds(4000, {.foreign_adds = 6, .foreign_sidecar_adds = 2, .holds = 4});
  CHECK(all.overtaken > 0);
}

TEST_CASE("ahead: rows of a damaged journal that are salvaged later are neither lost nor doubled", "[ahead]") {
  const ForwarderCounters all = RequireOverSeeds(2000, {.sidecar_kills = 4, .quarantines = 3});
  CHECK(all.overtaken > 0);
}

TEST_CASE("ahead: journals that have landed and are old go, and nothing is lost or doubled by it", "[ahead]") {
  RequireOverSeeds(1000, {.redis_kills = 0,
                          .trims = 4,
                          .sidecar_kills = 6,
                          .commit_failures = 4,
                          .append_failures = 4,
                          .holds = 0,
                          .refills = 0,
                          .retain_ms = 3});
}

TEST_CASE("ahead: a kill before every step of the disk", "[ahead]") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    int64_t steps = 1;
    for (int64_t kill_at = 0; kill_at <= steps; ++kill_at) {
      AheadFaults faults{.redis_kills = 1, .sidecar_kills = 0, .commit_failures = 1, .kill_at_step = kill_at};
      AheadWorld world(seed, 3, faults);
      for (int step = 0; step < 120; ++step) world.Step();
      steps = std::max(steps, world.steps());
      INFO("seed " << seed << ", killed before step " << kill_at << " of " << steps);
      REQUIRE(world.Settle());
      REQUIRE(world.BrokenPromise() == "");
    }
  }
}

TEST_CASE("ahead: a row over which connections break holds up nobody", "[ahead]") {
  RequireOverSeeds(500, {.poison = true});
}

}  // namespace
}  // namespace sprockets::sim
