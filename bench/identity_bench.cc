// What it costs to say who an event is and what it says: the door does it for each event that brings an id, the drain
// and the start for each event whose id the sidecar made, too.
#include <cstdint>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

#include "bench/events.h"
#include "shared/redis/event.h"

namespace sprockets::bench {
namespace {

void Identify(benchmark::State& state, std::string_view event_id) {
  const std::string payload = Payload(static_cast<size_t>(state.range(0)));
  const EventView event = ViewOf(payload, event_id);
  const IdentityHasher hasher;
  for (auto _ : state) benchmark::DoNotOptimize(hasher.Of(event));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * payload.size()));
}

void IdentifyByClientsId(benchmark::State& state) {
  Identify(state, EventId(7));
}
BENCHMARK(IdentifyByClientsId)->ArgName("payload")->Arg(64)->Arg(300)->Arg(4096)->Arg(65536);

void IdentifyByMadeId(benchmark::State& state) {
  Identify(state, "0123456789abcdef-1234567");
}
BENCHMARK(IdentifyByMadeId)->ArgName("payload")->Arg(64)->Arg(300)->Arg(4096)->Arg(65536);

/// Many small fields instead of one large one, of as many bytes in all as an event of 300 bytes.
void IdentifyFields(benchmark::State& state) {
  constexpr size_t kBytes = 300;
  const auto fields = static_cast<size_t>(state.range(0));
  const std::string value = Payload(kBytes / fields);
  const std::string event_id = EventId(7);
  EventView event;
  event.stream = kStream;
  for (size_t i = 0; i < fields; ++i) event.fields.insert(event.fields.end(), {"data", value});
  event.fields.insert(event.fields.end(), {kEventIdField, event_id});
  event.event_id_at = event.fields.size() - 1;
  const IdentityHasher hasher;
  for (auto _ : state) benchmark::DoNotOptimize(hasher.Of(event));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(IdentifyFields)->ArgName("fields")->Arg(1)->Arg(4)->Arg(16);

}  // namespace
}  // namespace sprockets::bench
