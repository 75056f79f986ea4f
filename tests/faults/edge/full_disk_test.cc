// No space left: by what was spilled, by other people's files, by --spill-max-bytes. What was acknowledged stays, what
// cannot be stored is told so, recovery and drain work on the full disk, and with space it goes on.
#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "tests/faults/edge/mounted_disk.h"
#include "tests/faults/edge/sweep.h"

namespace sprockets::harness {
namespace {

constexpr int kMostRounds = 400;
constexpr size_t kEventsOfARound = 400;

/// Until a whole round is refused. Those that are refused are given up.
size_t SpillUntilRefused(Trial& trial) {
  trial.give_up_refused = true;
  size_t spilled = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    trial.Intend(kEventsOfARound, Ids::kOfTheSidecar);
    const Answers answers = trial.Offer();
    REQUIRE(answers.complete);
    spilled += answers.spilled;
    if (answers.retry == kEventsOfARound) return spilled;
  }
  FAIL("never refused");
  return spilled;
}

void GoesOn(Trial& trial) {
  trial.Intend(10, Ids::kOfTheSidecar);
  CHECK(trial.Offer().spilled == 10);
}

void FillUp(const std::filesystem::path& disk) {
  std::ofstream file(disk / "somebody-elses", std::ios::binary);
  const std::string block(4096, 'x');
  while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
  }
}

TEST_CASE("on a disk that its own events filled, the sidecar refuses, starts again and is drained", "[full_disk]") {
  Sweep sweep;
  TempDir folder;
  const auto disk = MountedDisk::InMemory(folder.path(), "8m");
  if (!disk) {
    WARN("skipped: mounting is not permitted here");
    return;
  }
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis(), .spill_dir = disk->path() / "spill"});
  REQUIRE(trial.StartSidecar());
  CHECK(SpillUntilRefused(trial) > kEventsOfARound);
  CHECK(trial.sidecar.Call({"PING"}).text == "PONG");

  trial.sidecar.Kill9();
  REQUIRE(trial.StartSidecar());
  trial.sidecar.Kill9();
  const DrainResult drained = trial.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);

  disk->Remount("size=64m");
  REQUIRE(trial.StartSidecar());
  GoesOn(trial);
  trial.Conclude();
}

TEST_CASE("on a disk that others filled, the sidecar refuses, is drained, and goes on when there is space",
          "[full_disk]") {
  Sweep sweep;
  TempDir folder;
  const auto disk = MountedDisk::InMemory(folder.path(), "16m");
  if (!disk) {
    WARN("skipped: mounting is not permitted here");
    return;
  }
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis(), .spill_dir = disk->path() / "spill"});
  REQUIRE(trial.StartSidecar());
  GoesOn(trial);
  FillUp(disk->path());
  trial.give_up_refused = true;
  trial.Intend(10, Ids::kOfTheSidecar);
  CHECK(trial.Offer().retry == 10);
  const bool killed = GENERATE(false, true);
  if (killed) trial.sidecar.Kill9();
  const DrainResult drained = trial.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);

  std::filesystem::remove(disk->path() / "somebody-elses");
  if (killed) REQUIRE(trial.StartSidecar());
  GoesOn(trial);
  trial.Conclude();
}

TEST_CASE("beyond --spill-max-bytes events are refused, until a drain has made room", "[full_disk]") {
  Sweep sweep;
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis(),
                              .sidecar_arguments = {"--spill-max-bytes", "6MiB", "--spill-file-bytes", "1MiB"}});
  REQUIRE(trial.StartSidecar());
  CHECK(SpillUntilRefused(trial) > kEventsOfARound);
  const DrainResult drained = trial.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  GoesOn(trial);
  trial.Conclude();
}

TEST_CASE("a folder that becomes read-only refuses events, keeps what it has, and is used again", "[full_disk]") {
  Sweep sweep;
  TempDir folder;
  const auto disk = MountedDisk::InMemory(folder.path(), "16m");
  if (!disk) {
    WARN("skipped: mounting is not permitted here");
    return;
  }
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis(), .spill_dir = disk->path() / "spill"});
  REQUIRE(trial.StartSidecar());
  GoesOn(trial);
  trial.EndSidecar();
  disk->Remount("ro");
  CHECK_FALSE(trial.StartSidecar());
  CHECK(trial.sidecar.process().Wait() == 3);
  CHECK_THAT(trial.sidecar.process().Stderr(), Catch::Contains("Read-only"));
  CHECK(trial.Drain().exit_code != 0);
  disk->Remount("rw");
  trial.Conclude();
}

}  // namespace
}  // namespace sprockets::harness
