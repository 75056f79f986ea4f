#include "tests/faults/simulation/world.h"

#include <cstdio>
#include <cstdlib>

#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

namespace sprockets {

namespace sim {

namespace {
World* the_world = nullptr;
}

World& TheWorld() {
  SPROCKETS_ASSERT(the_world != nullptr);
  return *the_world;
}

World::World(uint64_t seed) : random(seed), redis(&random), prints(std::getenv("SPROCKETS_PRINT") != nullptr) {
  SPROCKETS_ASSERT(the_world == nullptr);
  the_world = this;
}

World::~World() {
  the_world = nullptr;
}

void World::Trace(std::string_view what) {
  if (prints)
    std::printf("%lld  %.*s\n", static_cast<long long>(redis.now_ms), static_cast<int>(what.size()), what.data());
  for (const char c : what) trace = (trace ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  trace = (trace ^ static_cast<uint64_t>(redis.now_ms)) * 1099511628211ull;
}

void World::Step(std::string_view what) {
  Trace(what);
  if (!in_process) return;
  ++steps;
  if (steps == kill_at_step || Chance(faults.kill)) {
    Trace("killed");
    throw Killed{};
  }
}

}  // namespace sim

// ---- The product's surroundings

int64_t WallClockMs() {
  return sim::TheWorld().redis.now_ms;
}
int64_t SteadyClockMs() {
  return sim::TheWorld().redis.now_ms;
}

void InitLog(LogFormat, LogLevel) {}
void Log(LogLevel, std::string_view, std::initializer_list<LogField>) {}

void CatchStopSignals() {}
bool StopRequested() {
  return false;
}
void ClearStopRequest() {}
// However long: the drain's jitter is truly random, and a run must be repeatable.
bool SleepUnlessStopped(int64_t) {
  sim::World& world = sim::TheWorld();
  world.redis.now_ms += 100;
  if (world.elsewhere) world.elsewhere();
  world.Step("sleep");
  return true;
}

}  // namespace sprockets
