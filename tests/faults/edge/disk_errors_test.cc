// EIO and ENOSPC from every call by which the programs change their files: once, and from then on for ever. Nothing
// that was acknowledged is lost, RETRY means "not stored", and what is healed goes on without help.
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/faults/edge/sweep.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr char kFileCalls[] = "write,sync,create,rename,unlink,truncate";
constexpr char kCallsThatTakeSpace[] = "write,create";

bool IsMarked(const Trial& trial, const char* how) {
  const auto files = trial.SpillFiles();
  return std::any_of(files.begin(), files.end(), [&](const std::string& file) { return file.ends_with(how); });
}

bool WasStruck(const Trial& trial) {
  return !ReadReport(trial.report()).empty();
}

// Events without an id of the client's: only a commit that failed makes them UNKNOWN, and then the file is marked
// before they are answered.
size_t SpillSealSpill(Trial& trial, const Words& prefix) {
  trial.Intend(3, Ids::kOfTheSidecar);
  REQUIRE(trial.StartSidecar(prefix));
  trial.Arm();
  const Answers first = trial.Offer();
  trial.sidecar.Call({"SPROCKETS", "SEAL"});
  trial.Intend(3, Ids::kOfTheSidecar);
  const Answers second = trial.Offer();
  INFO(ReadReport(trial.report()) << trial.sidecar.process().Stderr());
  REQUIRE(first.complete);
  REQUIRE(second.complete);
  return first.unknown + second.unknown;
}

TEST_CASE("an error of the disk while the sidecar spills and seals passes without loss and without a restart",
          "[disk_errors]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) { trial.EndSidecar(); });
  bool give_up = false;
  size_t most_unknown = 0;
  const auto story = [&](Trial& trial, const Words& prefix) {
    trial.give_up_refused = give_up = !give_up;
    const size_t unknown = SpillSealSpill(trial, prefix);
    INFO(ReadReport(trial.report()));
    if (unknown > 0) CHECK(IsMarked(trial, ".suspect"));
    most_unknown = std::max(most_unknown, unknown);
    trial.OfferUntilAcknowledged();
  };
  const auto conclude = [](Trial& trial) { trial.Conclude(); };
  sweep.AtEach(scene.Options(), {.calls = kFileCalls, .deed = "EIO"}, Armed::kByTheStory, story, conclude);
  sweep.AtEach(scene.Options(), {.calls = kCallsThatTakeSpace, .deed = "ENOSPC"}, Armed::kByTheStory, story, conclude);
  CHECK(most_unknown > 0);
}

// While every call fails nothing is acknowledged, but everybody is answered.
void SpillUntilItFails(Trial& trial, const Words& prefix) {
  SpillSealSpill(trial, prefix);
  if (WasStruck(trial)) {
    trial.Intend(2, Ids::kOfTheSidecar);
    const Answers answers = trial.Offer();
    CHECK(answers.complete);
    CHECK(answers.spilled == 0);
  }
  CHECK(trial.sidecar.Call({"PING"}).text == "PONG");
  trial.EndSidecar();
}

TEST_CASE("a disk that fails for ever while the sidecar spills takes no acknowledgement with it", "[disk_errors]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) { trial.EndSidecar(); });
  const auto conclude = [](Trial& trial) { trial.Conclude(); };
  sweep.AtEach(scene.Options(), {.calls = "sync", .deed = "EIO", .times = 0}, Armed::kByTheStory, SpillUntilItFails,
               conclude);
  sweep.AtEach(scene.Options(), {.calls = kCallsThatTakeSpace, .deed = "ENOSPC", .times = 0}, Armed::kByTheStory,
               SpillUntilItFails, conclude);
}

// A file that recovery could not write or sync may be set aside; then salvage takes all of it, since nothing is
// damaged.
void ConcludeWithSalvage(Trial& trial) {
  if (!IsMarked(trial, ".quarantined")) return trial.Conclude();
  const DrainResult drained = trial.Drain({}, {"--salvage", "spill-000001.active.sqlite"});
  INFO(drained.err << drained.summary);
  trial.Compare();
}

TEST_CASE("an error of the disk while the sidecar starts over what a killed one left loses nothing", "[disk_errors]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) {
    trial.Intend(4);
    trial.Offer();
    trial.sidecar.Kill9();
  });
  const std::string deed = GENERATE("EIO", "ENOSPC");
  sweep.AtEach(
      scene.Options(), {.calls = kFileCalls, .deed = deed}, Armed::kFromTheStart,
      [](Trial& trial, const Words& prefix) {
        trial.StartSidecar(prefix);
        trial.EndSidecar();
      },
      ConcludeWithSalvage);
}

TEST_CASE("an error of the disk while the drain works loses and doubles nothing", "[disk_errors]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) {
    trial.Intend(6);
    trial.Offer();
    trial.sidecar.Call({"SPROCKETS", "SEAL"});
    trial.Intend(3, Ids::kOfTheSidecar);
    trial.Offer();
    trial.EndSidecar();
  });
  const auto story = [](Trial& trial, const Words& prefix) {
    const DrainResult drained = trial.Drain(prefix);
    INFO(drained.err << drained.summary);
    REQUIRE(drained.exit_code <= 4);
  };
  const int times = GENERATE(1, 0);
  const auto conclude = [](Trial& trial) { trial.Conclude(); };
  sweep.AtEach(scene.Options(), {.calls = kFileCalls, .deed = "EIO", .times = times}, Armed::kFromTheStart, story,
               conclude);
  sweep.AtEach(scene.Options(), {.calls = kCallsThatTakeSpace, .deed = "ENOSPC", .times = times}, Armed::kFromTheStart,
               story, conclude);
}

TEST_CASE("while an fsync takes five seconds, the door is open and acknowledgements wait", "[disk_errors]") {
  Sweep sweep;
  const Scene scene(sweep, [](Trial& trial) { trial.EndSidecar(); });
  Trial trial(sweep.redis(), scene.Options());
  const InjectedFault fault = {.calls = "sync", .deed = "delay:5000", .armed = trial.trigger()};
  REQUIRE(trial.StartSidecar(fault.Prefix(trial.sidecar.spill_dir(), trial.report())));
  trial.Arm();
  trial.Intend(5);
  const auto begin = std::chrono::steady_clock::now();
  trial.Send();
  Await("the sync", [&] { return WasStruck(trial); });
  while (std::chrono::steady_clock::now() - begin < 4500ms) {
    CHECK(trial.sidecar.Connect().Call({"PING"}, 500ms).text == "PONG");
    std::this_thread::sleep_for(100ms);
  }
  const Answers answers = trial.Collect();
  CHECK(std::chrono::steady_clock::now() - begin >= 5s);
  CHECK(answers.spilled == 5);
  trial.Conclude();
}

}  // namespace
}  // namespace sprockets::harness
