#include "tests/faults/edge/sweep.h"

#include <chrono>
#include <cstdlib>
#include <random>

#include <catch2/catch.hpp>

namespace sprockets::harness {
namespace {

constexpr int kFewestCalls = 10;
constexpr int kBurst = 4;
constexpr int kStride = 3;

bool IsShort() {
  return std::getenv("SPROCKETS_LONG_TESTS") == nullptr;
}

}  // namespace

Sweep::Sweep() : redis_(folder_.path(), {"--appendonly", "no"}) {
  redis_.Start();
}

void Sweep::AtEach(const Trial::Options& options, InjectedFault fault, Armed armed, const Story& story,
                   const std::function<void(Trial&)>& conclude) {
  const auto begin = std::chrono::steady_clock::now();
  fault.burst = IsShort() ? kBurst : 0;
  const int stride = IsShort() ? kStride : 1;
  for (fault.at = 1 + static_cast<int>(std::random_device()() % static_cast<unsigned>(stride));; fault.at += stride) {
    Trial trial(redis_, options);
    if (armed == Armed::kByTheStory) fault.armed = trial.trigger();
    story(trial, fault.Prefix(trial.sidecar.spill_dir(), trial.report()));
    const std::string struck = ReadReport(trial.report());
    INFO(fault.deed << " at call " << struck);
    conclude(trial);
    if (struck.empty()) break;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  WARN(fault.deed << " at " << fault.at / stride << " of " << fault.at - 1 << " calls, " << seconds.count() << " s");
  CHECK(fault.at > kFewestCalls);
}

void Sweep::KillAtEach(const Trial::Options& options, Armed armed, const Story& story) {
  const auto conclude = [](Trial& trial) { trial.Conclude(); };
  AtEach(options, {.deed = "kill"}, armed, story, conclude);
  AtEach(options, {.calls = "write,send", .deed = "tear"}, armed, story, conclude);
}

Scene::Scene(Sweep& sweep, const std::function<void(Trial&)>& prepare)
    : trial_(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis()}), redis_url_(sweep.NoRedis()) {
  trial_.sidecar.Start();
  prepare(trial_);
}

Trial::Options Scene::Options() const {
  return {.sidecar_redis_url = redis_url_, .spill_source = trial_.sidecar.spill_dir(), .books = trial_.books};
}

}  // namespace sprockets::harness
