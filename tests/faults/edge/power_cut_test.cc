// The power fails at random moments, under load and under drains: what was not synced is gone, what was acknowledged is
// not. To see that this test would notice: with synchronous=NORMAL in shared/spill/sqlite.cc it must fail.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/faults/edge/mounted_disk.h"
#include "tests/faults/edge/sweep.h"
#include "tests/harness/load.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

uint64_t Seed() {
  if (const char* given = std::getenv("SPROCKETS_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device()();
}

int Rounds() {
  return std::getenv("SPROCKETS_LONG_TESTS") == nullptr ? 10 : 200;
}

TEST_CASE("what was acknowledged survives the power cut", "[power_cut]") {
  const uint64_t seed = Seed();
  WARN("SPROCKETS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  Sweep sweep;
  TempDir folder;
  const auto disk = MountedDisk::WithPower(folder.path());
  if (!disk) {
    WARN("skipped: a loop mount is not permitted here");
    return;
  }
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis(), .spill_dir = disk->path() / "spill"});
  REQUIRE(trial.StartSidecar());
  Ledger ledger;
  Load load(trial.sidecar.socket_path(), ledger, {.clients = 3, .pause = 1ms, .limit = 120s});

  for (int round = 0; round < Rounds(); ++round) {
    load.AwaitAcknowledged(load.acknowledged() + 20);
    std::unique_ptr<Process> drain;
    if (round % 2 == 1) {
      trial.sidecar.Call({"SPROCKETS", "SEAL"});
      drain = std::make_unique<Process>(Process::Options{
          .command = ReplayerCommand({"drain", "--redis", trial.redis.Url(), "--spill-dir", trial.sidecar.spill_dir()}),
          .output = trial.folder / "drain",
          .environment = {}});
    }
    std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<int>(0, 150'000)(random)));
    // The power takes the processes first: a sync that is under way while the file system is shut down reports success
    // for what is lost, and the acknowledgement that follows could not leave a machine without power.
    trial.sidecar.Kill9();
    drain.reset();
    disk->CutPower();
    disk->PowerOn();
    REQUIRE(trial.StartSidecar());
  }
  load.Stop();
  trial.EndSidecar();
  const DrainResult drained = trial.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  RespClient redis = trial.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  WARN(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

// The journal alone can give back what was acknowledged: Redis keeps nothing on disk, and loses its power, too.
TEST_CASE("with --ack disk what was acknowledged survives the power cut, and lands under its id", "[power_cut]") {
  const uint64_t seed = Seed();
  WARN("SPROCKETS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  Sweep sweep;
  TempDir folder;
  const auto disk = MountedDisk::WithPower(folder.path());
  if (!disk) {
    WARN("skipped: a loop mount is not permitted here");
    return;
  }
  Trial trial(sweep.redis(), {.spill_dir = disk->path() / "spill", .ahead = true});
  REQUIRE(trial.StartSidecar());
  Ledger ledger;
  Load load(trial.sidecar.socket_path(), ledger, {.clients = 3, .pause = 1ms, .limit = 120s});

  for (int round = 0; round < Rounds(); ++round) {
    load.AwaitAcknowledged(load.acknowledged() + 20);
    std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<int>(0, 150'000)(random)));
    trial.sidecar.Kill9();
    trial.redis.Kill9();
    disk->CutPower();
    disk->PowerOn();
    trial.redis.Start();
    REQUIRE(trial.StartSidecar());
  }
  load.Stop();
  trial.AwaitLanded();
  RespClient redis = trial.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  WARN(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

}  // namespace
}  // namespace sprockets::harness
