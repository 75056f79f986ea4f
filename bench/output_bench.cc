// What it costs to queue commands for a socket that takes them in parts: in our buffer, and in hiredis's, which moves
// what is left after each part. `range(0)` commands wait at a time.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>
extern "C" {
#include <hiredis/sds.h>
}

#include "bench/events.h"
#include "sidecar/core/output_buffer.h"

namespace sprockets::bench {
namespace {

constexpr size_t kTakenAtOnce = 32 * 1024;  // by the socket

void QueueInOutputBuffer(benchmark::State& state) {
  std::string command;
  AppendXaddCommand(command, Payload(100), EventId(1));
  OutputBuffer buffer;
  for (auto _ : state) {
    for (int64_t i = 0; i < state.range(0); ++i) buffer.Append(command);
    while (!buffer.empty()) {
      benchmark::DoNotOptimize(buffer.front().data());
      buffer.Take(std::min(buffer.size(), kTakenAtOnce));
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(QueueInOutputBuffer)->Arg(16)->Arg(256)->Arg(4096);

void QueueInSds(benchmark::State& state) {
  std::string command;
  AppendXaddCommand(command, Payload(100), EventId(1));
  sds buffer = sdsempty();
  for (auto _ : state) {
    for (int64_t i = 0; i < state.range(0); ++i) buffer = sdscatlen(buffer, command.data(), command.size());
    while (sdslen(buffer) > 0) {
      benchmark::DoNotOptimize(buffer);
      if (sdslen(buffer) <= kTakenAtOnce) {
        sdsfree(buffer);
        buffer = sdsempty();
      } else {
        sdsrange(buffer, kTakenAtOnce, -1);
      }
    }
  }
  sdsfree(buffer);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(QueueInSds)->Arg(16)->Arg(256)->Arg(4096);

}  // namespace
}  // namespace sprockets::bench
