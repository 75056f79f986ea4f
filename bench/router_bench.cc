// What the sidecar's decisions cost an event, from a client's bytes to its answer, without any I/O: the parser, the
// router with its window, and the framing of Redis's replies. `allocations` is how often an event asks for memory.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/count_allocations.h"
#include "bench/events.h"
#include "shared/base/limits.h"
#include "shared/redis/reply_framer.h"
#include "shared/redis/resp.h"
#include "sidecar/core/router.h"

namespace sprockets::bench {
namespace {

constexpr size_t kCommands = 64;  // in one read, as with a pipelining client
constexpr size_t kPayloadBytes = 300;
constexpr size_t kIdDigits = 12;
constexpr size_t kWarmUpEvents = 400'000;  // until the window is full and everything has the room that it needs
constexpr std::string_view kLandedId = "1700000000000-0";

RouterOptions OptionsOfBench() {
  RouterOptions options;
  options.producer = "0123456789abcdef";
  return options;
}

/// Clients, Redis and disk, which answer whatever the router asks.
class Surroundings : public ReplySink, public RedisSink, public SpillSink, public RouterNotices {
 public:
  Surroundings() : router_(OptionsOfBench(), IdentityHasher(), {this, this, this}) {
    for (size_t i = 0; i < kCommands; ++i) AppendBulk(replies_, kLandedId);
  }

  void ConnectRedis() { router_.OnConnectionReady({"run", 1}, /*earlier_fenced=*/true); }

  /// Each event of `pipeline` is accepted, then each is answered by whoever has it.
  void Take(std::string_view pipeline) {
    while (!pipeline.empty()) {
      if (parser_.Parse(pipeline) != CommandParser::Outcome::kComplete) std::abort();
      const std::string_view command = pipeline.substr(0, parser_.consumed());
      router_.Accept({this, 0}, parser_.args(), command.substr(parser_.body_offset()), {1'700'000'000'000}, {1000});
      pipeline.remove_prefix(parser_.consumed());
    }
    AnswerFromRedis();
    AnswerFromDisk();
  }
  uint64_t answered() const { return answered_; }

 private:
  void Reply(uint64_t, std::string_view) override { ++answered_; }
  void Send(const PendingEvent&) override { ++owed_; }
  void ReadTail(StreamState& stream, std::optional<StreamId>, int64_t) override {
    router_.OnTail(stream, {}, /*more=*/false, {1000});
  }
  void ProbeRedis(std::string_view) override {}
  void Spill(SpillRequest request) override { spilling_.push_back(std::move(request)); }
  void UnknownForgotten() override {}
  void StreamRefused(const StreamState&, std::string_view) override {}
  void StreamAcceptedAgain(const StreamState&) override {}

  void AnswerFromRedis() {
    std::string_view rest = replies_;
    for (; owed_ > 0; --owed_) {
      size_t taken = 0;
      if (framer_.Take(rest, &taken) != ReplyFramer::Outcome::kWhole) std::abort();
      router_.OnLanded(rest.substr(taken - kLandedId.size() - 2, kLandedId.size()));
      rest.remove_prefix(taken);
    }
  }
  void AnswerFromDisk() {
    for (SpillRequest& request : spilling_) {
      router_.OnSpillOutcome({std::move(request), SpillOutcome::Kind::kSpilled, ++ticket_, {}, {}});
    }
    spilling_.clear();
  }

  Router router_;
  CommandParser parser_{kMaxBulkBytes};
  ReplyFramer framer_;
  std::string replies_;
  size_t owed_ = 0;
  std::vector<SpillRequest> spilling_;
  int64_t ticket_ = 0;
  uint64_t answered_ = 0;
};

/// The same bytes again and again, with new ids.
class Pipeline {
 public:
  explicit Pipeline(bool with_id) {
    const std::string payload = Payload(kPayloadBytes);
    for (size_t i = 0; i < kCommands; ++i) {
      if (with_id) {
        AppendXaddCommand(bytes_, payload, EventId(0));
        digits_at_.push_back(bytes_.size() - 2 - kIdDigits);
      } else {
        bytes_ += MakeCommand({"XADD", kStream, "*", "data", payload});
      }
    }
  }
  std::string_view Next() {
    for (const size_t at : digits_at_) {
      uint64_t rest = ++number_;
      for (size_t i = kIdDigits; i-- > 0; rest /= 10) bytes_[at + i] = static_cast<char>('0' + rest % 10);
    }
    return bytes_;
  }

 private:
  std::string bytes_;
  std::vector<size_t> digits_at_;
  uint64_t number_ = 0;
};

void Drive(benchmark::State& state, bool with_id, bool with_redis) {
  Surroundings around;
  Pipeline pipeline(with_id);
  if (with_redis) around.ConnectRedis();
  while (around.answered() < kWarmUpEvents) around.Take(pipeline.Next());
  const uint64_t answered = around.answered();
  const uint64_t allocations = AllocationsSoFar();
  for (auto _ : state) around.Take(pipeline.Next());
  const auto events = static_cast<double>(around.answered() - answered);
  state.counters["allocations"] = static_cast<double>(AllocationsSoFar() - allocations) / events;
  state.SetItemsProcessed(static_cast<int64_t>(events));
}

void ForwardWithoutId(benchmark::State& state) {
  Drive(state, /*with_id=*/false, /*with_redis=*/true);
}
BENCHMARK(ForwardWithoutId);

void ForwardWithId(benchmark::State& state) {
  Drive(state, /*with_id=*/true, /*with_redis=*/true);
}
BENCHMARK(ForwardWithId);

void SpillWithoutId(benchmark::State& state) {
  Drive(state, /*with_id=*/false, /*with_redis=*/false);
}
BENCHMARK(SpillWithoutId);

void SpillWithId(benchmark::State& state) {
  Drive(state, /*with_id=*/true, /*with_redis=*/false);
}
BENCHMARK(SpillWithId);

}  // namespace
}  // namespace sprockets::bench
