// The whole promise at once: Redis, the sidecar and the replayer are killed again and again over the same files, Redis
// hangs in between, clients go on sending and try again under their event ids; at the end every acknowledged event is
// there exactly once.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr int kKillsOfEach = 18;
constexpr int kHangs = 8;

enum class Blow { kKillRedis, kKillSidecar, kKillReplayer, kHangRedis };

uint64_t Seed() {
  if (const char* given = std::getenv("SPROCKETS_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device()();
}

class Chaos {
 public:
  Chaos(Stack& stack, uint64_t seed) : stack_(stack), random_(seed) {}

  void Run() {
    std::vector<Blow> blows(kKillsOfEach, Blow::kKillRedis);
    blows.insert(blows.end(), kKillsOfEach, Blow::kKillSidecar);
    blows.insert(blows.end(), kKillsOfEach, Blow::kKillReplayer);
    blows.insert(blows.end(), kHangs, Blow::kHangRedis);
    std::shuffle(blows.begin(), blows.end(), random_);
    for (const Blow blow : blows) {
      Sleep(0ms, 150ms);
      if (Chance(2)) EnsureReplayerRuns();
      Sleep(0ms, 50ms);
      Strike(blow);
    }
  }

  /// What is left is drained by a replayer that nobody kills.
  DrainResult DrainInPeace() {
    if (replayer_) replayer_->Kill9();
    stack_.sidecar.AwaitBreaker("closed");
    return stack_.Drain();
  }

  int kills() const { return kills_; }

 private:
  void Strike(Blow blow) {
    switch (blow) {
      case Blow::kKillRedis:
        stack_.redis.Kill9();
        ++kills_;
        Sleep(0ms, 400ms);
        return stack_.redis.Start();
      case Blow::kKillSidecar:
        stack_.sidecar.Kill9();
        ++kills_;
        Sleep(0ms, 50ms);
        return stack_.sidecar.Start();
      case Blow::kKillReplayer:
        return KillReplayer();
      case Blow::kHangRedis:
        stack_.redis.Stop();
        Sleep(300ms, 700ms);  // the sidecar's deadline is 250 ms
        return stack_.redis.Continue();
    }
  }

  void EnsureReplayerRuns() {
    if (replayer_ && replayer_->Running()) return;
    replayer_.reset();
    replayer_ = std::make_unique<Process>(Process::Options{
        .command = ReplayerCommand({"drain", "--redis", stack_.redis.Url(), "--spill-dir", stack_.sidecar.spill_dir(),
                                    "--socket", stack_.sidecar.socket_path()}),
        .output = stack_.folder / "replayer",
        .environment = {}});
  }

  // One that has ended by itself is no victim.
  void KillReplayer() {
    for (;;) {
      EnsureReplayerRuns();
      Sleep(1ms, 60ms);
      if (!replayer_->Running()) continue;
      replayer_->Kill9();
      ++kills_;
      return;
    }
  }

  void Sleep(std::chrono::microseconds least, std::chrono::microseconds most) {
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::uniform_int_distribution<int64_t>(least.count(), most.count())(random_)));
  }
  bool Chance(int one_in) { return std::uniform_int_distribution<int>(1, one_in)(random_) == 1; }

  Stack& stack_;
  std::mt19937_64 random_;
  std::unique_ptr<Process> replayer_;
  int kills_ = 0;
};

TEST_CASE(
    "after more than fifty kills of Redis, sidecar and replayer, every acknowledged event is in its stream exactly "
    "once",
    "[kill]") {
  const uint64_t seed = Seed();
  WARN("SPROCKETS_TEST_SEED=" << seed);
  Stack stack;
  Ledger ledger;
  Load load(stack.sidecar.socket_path(), ledger, {.clients = 3, .pause = 5ms, .limit = 60s});
  load.AwaitAcknowledged(100);

  Chaos chaos(stack, seed);
  chaos.Run();
  CHECK(chaos.kills() >= 50);
  load.Stop();

  const DrainResult drained = chaos.DrainInPeace();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  WARN(comparison.ToString() << ", " << chaos.kills() << " kills, " << load.counts().spilled << " spilled, "
                             << load.counts().retried << " tried again");
  CHECK(comparison.ExactlyOnce());
}

}  // namespace
}  // namespace sprockets::harness
