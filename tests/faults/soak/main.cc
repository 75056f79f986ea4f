// The soak: real programs under a plan of faults that a seed draws, round after round. What a run is about, and for how
// long, stands on the command line.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "tests/faults/soak/ahead_soak.h"
#include "tests/faults/soak/event_soak.h"
#include "tests/faults/soak/plan.h"
#include "tests/faults/soak/set_soak.h"
#include "tests/harness/supervise.h"

namespace sprockets::soak {
namespace {

struct Settings {
  uint64_t seed = 1;
  double minutes = 0;
  int rounds = 1;                 // at least so many
  std::string_view of = "redis";  // events with this --ack, or "disk"; or "sets": schema sets
};

void PrintPlan(uint64_t seed, int rounds, std::span<const BlowName> blows, bool with_drains) {
  std::printf("seed %llu; its plan begins:\n", static_cast<unsigned long long>(seed));
  Planner planner(seed, blows);
  for (int i = 0; i < rounds; ++i) {
    std::printf("round %d:", i + 1);
    for (const soak::Event& event : planner.Next()) {
      const auto named =
          std::find_if(blows.begin(), blows.end(), [&](const BlowName& blow) { return blow.blow == event.blow; });
      std::printf(" +%dms %s (%dms)%s;", event.wait_ms, std::string(named->name).c_str(), event.lasts_ms,
                  event.drains && with_drains ? " during a drain" : "");
    }
    std::printf("\n");
  }
}

template <typename Soak>
int Run(const Settings& settings) {
  Soak soak(settings.seed);
  const auto enough =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(settings.minutes * 60'000));
  int rounds = 0;
  int exit_code = 0;
  try {
    while (rounds < settings.rounds || std::chrono::steady_clock::now() < enough) {
      soak.RunRound();
      std::printf("round %d: %s\n", ++rounds, soak.Progress().c_str());
      std::fflush(stdout);
    }
  } catch (const std::exception& problem) {
    std::printf("FAILED: %s\n%s", problem.what(), soak.LastWords().c_str());
    exit_code = 1;
  }
  std::printf("\n| what | times |\n| --- | ---: |\n| rounds | %d |\n%s", rounds, soak.Table().c_str());
  return exit_code;
}

int Main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--seed") settings.seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--minutes") settings.minutes = std::strtod(argv[i + 1], nullptr);
    if (name == "--rounds") settings.rounds = std::max(std::atoi(argv[i + 1]), 1);
    if (name == "--of") settings.of = argv[i + 1];
  }
  if (settings.of == "sets") return Run<SetSoak>(settings);
  if (settings.of == "disk") {
    PrintPlan(settings.seed, 2, kAheadBlows, /*with_drains=*/false);
    return Run<AheadSoak>(settings);
  }
  PrintPlan(settings.seed, 2, kBlows, /*with_drains=*/true);
  return Run<EventSoak>(settings);
}

}  // namespace
}  // namespace sprockets::soak

int main(int argc, char** argv) {
  return sprockets::harness::RunSupervised([&] {
    try {
      return sprockets::soak::Main(argc, argv);
    } catch (const std::exception& problem) {
      std::printf("FAILED: %s\n", problem.what());
      return 1;
    }
  });
}
