// What it costs to find where Redis's replies end, an answer or an element at a time.
#include <cstdint>
#include <cstdlib>
#include <string>

#include <benchmark/benchmark.h>

#include "bench/events.h"
#include "shared/redis/reply_framer.h"
#include "shared/redis/resp.h"

namespace sprockets::bench {
namespace {

constexpr size_t kReplies = 64;  // in one read

void Frame(benchmark::State& state, const std::string& reply) {
  std::string input;
  for (size_t i = 0; i < kReplies; ++i) input += reply;
  ReplyFramer framer;
  for (auto _ : state) {
    std::string_view rest = input;
    while (!rest.empty()) {
      size_t taken = 0;
      if (framer.Take(rest, &taken) != ReplyFramer::Outcome::kWhole) std::abort();
      rest.remove_prefix(taken);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kReplies));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * input.size()));
}

void FrameEntryIds(benchmark::State& state) {
  std::string reply;
  AppendBulk(reply, "1700000000000-0");
  Frame(state, reply);
}
BENCHMARK(FrameEntryIds);

/// As GET gives them.
void FrameValues(benchmark::State& state) {
  std::string reply;
  AppendBulk(reply, Payload(static_cast<size_t>(state.range(0))));
  Frame(state, reply);
}
BENCHMARK(FrameValues)->ArgName("payload")->Arg(64)->Arg(300)->Arg(65536);

/// As XRANGE gives them: entries with an id and two fields.
void FrameEntries(benchmark::State& state) {
  std::string reply;
  AppendArrayHeader(reply, static_cast<size_t>(state.range(0)));
  for (int64_t i = 0; i < state.range(0); ++i) {
    AppendArrayHeader(reply, 2);
    AppendBulk(reply, "1700000000000-0");
    AppendArrayHeader(reply, 4);
    for (const std::string& word : {std::string("data"), Payload(300), std::string(kEventIdField), EventId(7)}) {
      AppendBulk(reply, word);
    }
  }
  Frame(state, reply);
}
BENCHMARK(FrameEntries)->ArgName("entries")->Arg(1)->Arg(100);

}  // namespace
}  // namespace sprockets::bench
