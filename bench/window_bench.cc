// What the window costs an event with a client's id, when it is as full as it is by default. Ids come in random order,
// so nearly every look goes to memory that no cache holds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <benchmark/benchmark.h>

#include "shared/redis/event.h"
#include "sidecar/core/window.h"

namespace sprockets::bench {
namespace {

constexpr size_t kEntries = 100'000;
constexpr StreamId kLanded{1'700'000'000'000, 0};

/// splitmix64 (https://prng.di.unimi.it/splitmix64.c): digests are as random.
uint64_t Mix(uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

EventIdentity IdentityOf(uint64_t number) {
  const uint64_t base = 4 * number;
  return {{Mix(base), Mix(base + 1)}, {Mix(base + 2), Mix(base + 3)}};
}

void Land(Window& window, uint64_t number) {
  window.SetLanded(window.AddPending(IdentityOf(number)), kLanded);
}

/// Holds the events 0 to kEntries - 1.
Window FullWindow() {
  Window window(kEntries);
  for (uint64_t number = 0; number < kEntries; ++number) Land(window, number);
  return window;
}

void FindSecondCopy(benchmark::State& state) {
  Window window = FullWindow();
  uint64_t turn = 0;
  for (auto _ : state) {
    if (window.Find(IdentityOf(Mix(++turn) % kEntries)) == nullptr) std::abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(FindSecondCopy);

/// Both questions that the router asks of an event that it does not know.
void FindNothing(benchmark::State& state) {
  Window window = FullWindow();
  uint64_t number = kEntries;
  for (auto _ : state) {
    const EventIdentity identity = IdentityOf(++number);
    if (window.Find(identity) != nullptr || window.HasOtherPayload(identity)) std::abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(FindNothing);

void InsertAndEvict(benchmark::State& state) {
  Window window = FullWindow();
  uint64_t number = kEntries;
  for (auto _ : state) Land(window, ++number);
  if (window.size() != kEntries) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(InsertAndEvict);

}  // namespace
}  // namespace sprockets::bench
