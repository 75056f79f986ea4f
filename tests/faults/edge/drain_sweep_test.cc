// SIGKILL at the n-th call of the drain, as in kill_sweep_test.cc; then another drain goes on.
#include <functional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/faults/edge/sweep.h"

namespace sprockets::harness {
namespace {

void DrainKilled(Trial& trial, const Words& prefix) {
  trial.Drain(prefix);
}

TEST_CASE("the drain may be killed at any call while it sends, moves and tidies up", "[drain_sweep]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) {
    trial.Intend(12);
    trial.Offer();
    trial.sidecar.Call({"SPROCKETS", "SEAL"});
    trial.Intend(5);
    trial.Offer();
    trial.EndSidecar();
  });
  sweep.KillAtEach(scene.Options(), Armed::kFromTheStart, DrainKilled);
}

TEST_CASE("the drain may be killed at any call while it recovers what a killed sidecar left", "[drain_sweep]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) {
    trial.Intend(6);
    trial.Offer();
    trial.sidecar.Kill9();
  });
  sweep.KillAtEach(scene.Options(), Armed::kFromTheStart, DrainKilled);
}

TEST_CASE("the drain may be killed at any call while it settles a file that is in doubt as a whole", "[drain_sweep]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) {
    trial.Intend(6);
    trial.Offer();
    trial.sidecar.Kill9();
    trial.MarkSuspect(1);
  });
  sweep.KillAtEach(scene.Options(), Armed::kFromTheStart, [](Trial& trial, const Words& prefix) {
    // Half of them landed before the sidecar died.
    for (size_t i = 0; i < trial.books.acknowledged.size(); i += 2)
      trial.redis.Call(XaddOf(trial.books.acknowledged[i]));
    trial.Drain(prefix);
  });
}

}  // namespace
}  // namespace sprockets::harness
