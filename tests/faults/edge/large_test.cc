// Backlogs of a size that nobody tests by hand: a spill file of more than 1 GiB, ten million rows. Minutes and
// gigabytes, so only where SPROCKETS_LONG_TESTS is set; what they took is printed.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "tests/faults/edge/sweep.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr char kStream[] = "large-stream";
constexpr int64_t kMostSidecarKib = 128 << 10;
constexpr int64_t kMostDrainKib = 256 << 10;

bool Wanted() {
  if (std::getenv("SPROCKETS_LONG_TESTS") != nullptr) return true;
  WARN("skipped: SPROCKETS_LONG_TESTS is not set");
  return false;
}

/// The most memory that the process ever had; 0 if it is gone.
int64_t PeakKib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  const std::string key = "VmHWM:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoll(line.substr(key.size()));
  }
  return 0;
}

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Numbered events, `pipeline` at a time; every one must be spilled.
void SpillNumbered(Trial& trial, int64_t events, int64_t pipeline, size_t padding) {
  RespClient client = trial.sidecar.Connect();
  const std::string pad(padding, 'x');
  std::vector<Command> commands;
  for (int64_t n = 0; n < events;) {
    commands.clear();
    for (int64_t i = 0; i < pipeline && n < events; ++i, ++n)
      commands.push_back({"XADD", kStream, "*", "n", std::to_string(n), "pad", pad});
    const auto replies = client.Pipeline(commands, 10min);
    if (!std::all_of(replies.begin(), replies.end(), [](const Reply& reply) { return reply.Spilled(); }))
      FAIL("not spilled: " << replies.back());
  }
}

/// The drain as a process of its own, so that its memory can be watched.
int64_t DrainWatched(Trial& trial) {
  Process drain({.command = ReplayerCommand({"drain", "--progress", "none", "--redis", trial.redis.Url(), "--spill-dir",
                                             trial.sidecar.spill_dir()}),
                 .output = trial.folder / "drain",
                 .environment = {}});
  int64_t peak_kib = 0;
  Await(
      "the drain",
      [&] {
        peak_kib = std::max(peak_kib, PeakKib(drain.pid()));
        return !drain.Running();
      },
      60min);
  INFO(drain.Stderr());
  REQUIRE(drain.Wait() == 0);
  return peak_kib;
}

/// Each number once, in order.
void CheckNumbered(Trial& trial, int64_t events, const char* page) {
  RespClient redis = trial.redis.Connect();
  std::string from = "-";
  int64_t next = 0;
  for (;;) {
    const Reply entries = redis.Call({"XRANGE", kStream, from, "+", "COUNT", page}, 10min);
    if (entries.elements.empty()) break;
    for (const Reply& entry : entries.elements) {
      if (entry.elements.at(1).elements.at(1).text != std::to_string(next++)) FAIL("not in its place: " << next - 1);
    }
    from = "(" + entries.elements.back().elements.at(0).text;
  }
  CHECK(next == events);
}

void SpillAndDrain(Trial& trial, int64_t events, int64_t pipeline, size_t padding, const char* page) {
  REQUIRE(trial.StartSidecar());
  auto begin = Clock::now();
  SpillNumbered(trial, events, pipeline, padding);
  WARN(events << " events spilled in " << SecondsSince(begin) << " s, the sidecar's peak "
              << PeakKib(trial.sidecar.process().pid()) << " KiB");
  CHECK(PeakKib(trial.sidecar.process().pid()) < kMostSidecarKib);

  trial.sidecar.Kill9();
  begin = Clock::now();
  REQUIRE(trial.StartSidecar());
  WARN("a killed sidecar started again in " << SecondsSince(begin) << " s, its peak "
                                            << PeakKib(trial.sidecar.process().pid()) << " KiB");
  trial.EndSidecar();

  begin = Clock::now();
  const int64_t drain_kib = DrainWatched(trial);
  WARN("drained in " << SecondsSince(begin) << " s, the drain's peak " << drain_kib << " KiB");
  CHECK(drain_kib < kMostDrainKib);
  CheckNumbered(trial, events, page);
}

TEST_CASE("a spill file of more than 1 GiB is spilled, recovered and drained", "[large]") {
  if (!Wanted()) return;
  Sweep sweep;
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis(),
                              .sidecar_arguments = {"--spill-file-bytes", "4GiB", "--spill-max-bytes", "8GiB"}});
  SpillAndDrain(trial, 1'200, 4, 1'000'000, "50");
}

TEST_CASE("ten million spilled rows are spilled, recovered and drained", "[large]") {
  if (!Wanted()) return;
  Sweep sweep;
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis()});
  SpillAndDrain(trial, 10'000'000, 5'000, 20, "10000");
}

}  // namespace
}  // namespace sprockets::harness
