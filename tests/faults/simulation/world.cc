#include "tests/faults/simulation/world.h"

#include <cstdio>
#include <cstdlib>

#include "shared/base/log.h"

namespace sprockets::sim {

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
  InitLog(LogFormat::kText, prints ? LogLevel::kInfo : LogLevel::kNone);
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

int64_t WorldClock::WallMs() {
  return world_->redis.now_ms;
}

void WorldClock::Sleep(int64_t, const std::function<bool()>& is_over) {
  if (is_over && is_over()) return;
  world_->redis.now_ms += 100;
  if (world_->elsewhere) world_->elsewhere();
  world_->Step("sleep");
}

}  // namespace sprockets::sim
