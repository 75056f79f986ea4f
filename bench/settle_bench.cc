// What settling costs an event in doubt, Redis's own answers and its identity (identity_bench) aside: looking for it
// among the entries of its stream.
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/events.h"
#include "shared/redis/event.h"
#include "shared/redis/settle.h"

namespace sprockets::bench {
namespace {

/// Half of the wanted events landed; the stream holds as many entries of others.
void SettleRange(benchmark::State& state) {
  const auto events = static_cast<size_t>(state.range(0));
  const IdentityHasher hasher;
  const std::string payload = Payload(300);
  const auto identity_of = [&](size_t number) { return hasher.Of(ViewOf(payload, EventId(number))); };

  std::vector<EventIdentity> wanted;
  std::vector<EventIdentity> entries;
  for (size_t i = 0; i < events; ++i) {
    wanted.push_back(identity_of(i));
    entries.push_back(identity_of(i % 2 == 0 ? i : i + events));
  }

  for (auto _ : state) {
    Settlement settlement;
    for (const EventIdentity& identity : wanted) settlement.Want(identity);
    for (const EventIdentity& identity : entries) settlement.SawEntry(identity);
    size_t missing = 0;
    for (const EventIdentity& identity : wanted) {
      if (settlement.Judge(identity) == Settlement::Verdict::kMissing) ++missing;
    }
    if (missing != events / 2) state.SkipWithError("half of the events should be missing");
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * events));
}
BENCHMARK(SettleRange)->ArgName("events")->Arg(1000)->Arg(100000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sprockets::bench
