// Seeded runs: everything goes wrong, and what it is drawn from can be named.
#include <cstdint>
#include <cstdlib>
#include <string>

#include <catch2/catch.hpp>

#include "tests/faults/simulation/deployment.h"

namespace sprockets::sim {
namespace {

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

}  // namespace
}  // namespace sprockets::sim
