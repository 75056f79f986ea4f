// SIGKILL at the n-th system call by which a program changes its files or speaks to others, for every n of a small run:
// of the sidecar while it spills, seals, ends, starts over what a killed one left, and talks to Redis; of the drain
// while it recovers, settles, sends and tidies up. Each time a successor goes on, and the books must agree.
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/faults/edge/sweep.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

void Seal(Trial& trial) {
  try {
    trial.sidecar.Call({"SPROCKETS", "SEAL"});
  } catch (const ConnectionClosed&) {  // that is when it was killed
  }
}

void SpillSealSpillAndEnd(Trial& trial, const Words& prefix) {
  trial.Intend(4);
  REQUIRE(trial.StartSidecar(prefix));
  trial.Arm();
  trial.Offer();
  Seal(trial);
  trial.Intend(2);
  trial.Offer();
  trial.EndSidecar();
}

TEST_CASE("the sidecar may be killed at any call while it spills, seals and ends", "[kill_sweep]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) { trial.EndSidecar(); });
  sweep.KillAtEach(scene.Options(), Armed::kByTheStory, SpillSealSpillAndEnd);
}

TEST_CASE("the sidecar may be killed at any call of its first start", "[kill_sweep]") {
  Sweep sweep;
  sweep.KillAtEach({.sidecar_redis_url = sweep.NoRedis()}, Armed::kFromTheStart, [](Trial& trial, const Words& prefix) {
    trial.Intend(2);
    if (trial.StartSidecar(prefix)) trial.Offer();
    trial.sidecar.Kill9();
  });
}

TEST_CASE("the sidecar may be killed at any call of its start over what a killed one left", "[kill_sweep]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) {
    trial.Intend(4);
    trial.Offer();
    trial.sidecar.Kill9();
  });
  sweep.KillAtEach(scene.Options(), Armed::kFromTheStart, [](Trial& trial, const Words& prefix) {
    trial.StartSidecar(prefix);
    trial.sidecar.Kill9();
  });
}

TEST_CASE("the sidecar may be killed at any call while it forwards, comes into doubt and spills", "[kill_sweep]") {
  Sweep sweep;
  Proxy proxy(sweep.redis().port());
  const Scene scene(sweep, [](Trial& trial) { trial.EndSidecar(); });
  Trial::Options options = scene.Options();
  options.sidecar_redis_url = proxy.Url();
  bool lands_late = false;
  sweep.KillAtEach(options, Armed::kByTheStory, [&](Trial& trial, const Words& prefix) {
    proxy.RefuseConnections(false);
    trial.Intend(kTrialStreams);  // from then on the tails are known, and events go straight
    REQUIRE(trial.StartSidecar(prefix));
    trial.sidecar.AwaitBreaker("closed");
    trial.Arm();
    if (trial.Offer().complete) {
      proxy.HoldRequests();
      proxy.RefuseConnections(true);
      trial.Intend(2);
      trial.Send();
      const std::string last = trial.books.waiting.back().event_id;
      Await("the events to be on their way", [&] { return proxy.Holds(last) || !trial.sidecar.Running(); });
      proxy.CutClients();
      trial.Collect();
    }
    trial.EndSidecar();
    // What nobody waits for any more reaches Redis before the drain looks, or never.
    lands_late = !lands_late;
    if (lands_late) proxy.ReleaseRequests();
    proxy.RefuseConnections(true);
  });
}

TEST_CASE("with --ack disk the sidecar may be killed at any call, and Redis loses everything then", "[kill_sweep]") {
  Sweep sweep;
  const Trial::Options options = {.sidecar_redis_url = sweep.redis().Url(), .ahead = true};
  const auto story = [](Trial& trial, const Words& prefix) {
    REQUIRE(trial.StartSidecar(prefix));
    trial.sidecar.AwaitBreaker("closed");
    trial.Arm();
    trial.Intend(kTrialStreams);
    trial.Offer();
    trial.EndSidecar();
  };
  sweep.AtEach(options, {.deed = "kill"}, Armed::kByTheStory, story, [](Trial& trial) { trial.Conclude(); });
}

}  // namespace
}  // namespace sprockets::harness
