// What the door costs an event before anything is forwarded: splitting the bytes into commands, reading the XADD, and
// naming the event for the window.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <benchmark/benchmark.h>

#include "bench/events.h"
#include "shared/base/limits.h"
#include "shared/redis/event.h"
#include "shared/redis/resp.h"

namespace sprockets::bench {
namespace {

constexpr size_t kCommands = 64;  // in one read, as with a pipelining client

std::string PipelineOf(size_t payload_bytes) {
  std::string input;
  const std::string payload = Payload(payload_bytes);
  for (size_t i = 0; i < kCommands; ++i) AppendXaddCommand(input, payload, EventId(i));
  return input;
}

/// Calls `use` with the arguments of each command of `input`.
template <typename Use>
void ForEachCommand(CommandParser& parser, std::string_view input, Use use) {
  while (!input.empty()) {
    if (parser.Parse(input) != CommandParser::Outcome::kComplete) std::abort();
    use(parser.args());
    input.remove_prefix(parser.consumed());
  }
}

void CountCommands(benchmark::State& state, size_t bytes_per_iteration) {
  const int64_t iterations = static_cast<int64_t>(state.iterations());
  state.SetItemsProcessed(iterations * static_cast<int64_t>(kCommands));
  state.SetBytesProcessed(iterations * static_cast<int64_t>(bytes_per_iteration));
}

void SplitCommands(benchmark::State& state) {
  const std::string input = PipelineOf(static_cast<size_t>(state.range(0)));
  CommandParser parser(kMaxBulkBytes);
  for (auto _ : state) {
    ForEachCommand(parser, input, [](auto args) { benchmark::DoNotOptimize(args.data()); });
  }
  CountCommands(state, input.size());
}
BENCHMARK(SplitCommands)->ArgName("payload")->Arg(64)->Arg(300)->Arg(4096)->Arg(65536);

void SplitAndReadXadd(benchmark::State& state) {
  const std::string input = PipelineOf(static_cast<size_t>(state.range(0)));
  CommandParser parser(kMaxBulkBytes);
  EventView event;
  for (auto _ : state) {
    ForEachCommand(parser, input, [&](auto args) {
      if (!ParseXadd(args, kEventIdField, &event).ok()) std::abort();
      benchmark::DoNotOptimize(event.event_id_at);
    });
  }
  CountCommands(state, input.size());
}
BENCHMARK(SplitAndReadXadd)->ArgName("payload")->Arg(64)->Arg(300)->Arg(4096)->Arg(65536);

void SplitReadAndIdentify(benchmark::State& state) {
  const std::string input = PipelineOf(static_cast<size_t>(state.range(0)));
  const IdentityHasher hasher;
  CommandParser parser(kMaxBulkBytes);
  EventView event;
  for (auto _ : state) {
    ForEachCommand(parser, input, [&](auto args) {
      if (!ParseXadd(args, kEventIdField, &event).ok()) std::abort();
      benchmark::DoNotOptimize(hasher.Of(event));
    });
  }
  CountCommands(state, input.size());
}
BENCHMARK(SplitReadAndIdentify)->ArgName("payload")->Arg(64)->Arg(300)->Arg(4096)->Arg(65536);

/// One large command that arrives in reads of 64 KiB: each byte must be looked at once, not once a read.
void TrickledCommand(benchmark::State& state) {
  constexpr size_t kReadBytes = 64 * 1024;
  std::string input;
  AppendXaddCommand(input, Payload(static_cast<size_t>(state.range(0))), EventId(1));
  CommandParser parser(kMaxBulkBytes);
  for (auto _ : state) {
    size_t seen = 0;
    do {
      seen = std::min(seen + kReadBytes, input.size());
    } while (parser.Parse(std::string_view(input).substr(0, seen)) == CommandParser::Outcome::kIncomplete);
    if (parser.consumed() != input.size()) std::abort();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * input.size()));
}
BENCHMARK(TrickledCommand)->ArgName("payload")->Arg(1 << 20)->Arg(16 << 20);

}  // namespace
}  // namespace sprockets::bench
