// The main job on real parts, told as a story: events go through the sidecar, Redis is killed in the middle,
// acknowledgements go on, Redis comes back with what it had, the spill is drained, and every acknowledgement is checked
// against the streams. Then the streams are archived and scored, Redis is emptied, and all of it comes back from
// PostgreSQL, as do the keys of another set. At last another Redis, which keeps
// nothing on disk, is killed, and gets its entries back from the sidecar.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "shared/base/text.h"
#include "tests/demo/archived_streams.h"
#include "tests/demo/forgetful_redis.h"
#include "tests/demo/story.h"
#include "tests/demo/total_loss.h"
#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/supervise.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr size_t kEvents = 20'000;
constexpr size_t kClients = 4;
constexpr size_t kPipeline = 16;
// Between a client's pipelines. All events take some seven seconds, so that the outage lies within.
constexpr auto kPause = 20ms;
constexpr size_t kEventsBeforeTheKill = kEvents / 4;
constexpr auto kRedisAway = 3s;

void KillRedisInTheMiddle(RedisServer& redis, const Load& clients) {
  clients.AwaitAcknowledged(kEventsBeforeTheKill);
  redis.Kill9();
  const CarefulClient::Counts before = clients.counts();
  Tell("kill -9 redis-server", FormatCount(before.landed) + " acknowledged so far, by Redis");
  std::this_thread::sleep_for(kRedisAway);
  Tell("Redis away for 3 seconds",
       FormatCount(clients.counts().spilled - before.spilled) + " acknowledged meanwhile, on disk");
  redis.Start();
  Tell("Redis is back with what it had", FormatCount(EntriesInStreams(redis)) + " entries");
}

void DrainAndTell(const TempDir& folder, const Sidecar& sidecar, const RedisServer& redis) {
  const DrainResult drained = Drain(folder.path(), sidecar.spill_dir(), redis.Url(), sidecar.socket_path());
  if (drained.exit_code != 0)
    throw std::runtime_error("drain: exit " + std::to_string(drained.exit_code) + ": " + drained.err);
  const auto count = [&](const char* name) { return FormatCount(static_cast<uint64_t>(drained.Count(name))); };
  Tell("sprockets-replayer drain",
       count("read") + " read, " + count("landed") + " landed, " + count("already_there") + " were already there");
}

Ledger::Comparison CompareAndTell(const Ledger& ledger, const RedisServer& redis) {
  RespClient connection = redis.Connect();
  Ledger::Comparison comparison = ledger.Compare(connection);
  Tell("compared, event by event, all bytes", FormatCount(comparison.difference_count) + " differences");
  return comparison;
}

bool IsExactlyOnce(const Ledger::Comparison& comparison) {
  return comparison.ExactlyOnce() && comparison.acknowledged == kEvents;
}

int Conclude(const Ledger::Comparison& comparison) {
  if (!IsExactlyOnce(comparison)) {
    std::printf("\n%s %s\n", Coloured("1;31", "NOT exactly once:").c_str(), comparison.ToString().c_str());
    return 1;
  }
  std::printf("\n%s %zu acknowledged, %zu in the streams\n", Coloured("1;32", "exactly once:").c_str(),
              comparison.acknowledged, comparison.stored);
  return 0;
}

int TellTheStory() {
  const TempDir folder;
  RedisServer redis(folder.path());
  redis.Start();
  Sidecar sidecar({.folder = folder.path(), .redis_url = redis.Url(), .spill_dir = {}, .arguments = {}});
  sidecar.Start();
  Tell("Redis (append-only file, always), sidecar", "running");

  Ledger ledger;
  Load clients(sidecar.socket_path(), ledger,
               {.clients = kClients, .pipeline = kPipeline, .pause = kPause, .events = kEvents, .always_id = false});
  Tell(std::to_string(kClients) + " clients begin to send", FormatCount(kEvents) + " events to 7 streams");
  KillRedisInTheMiddle(redis, clients);
  clients.AwaitEnd();
  const CarefulClient::Counts counts = clients.counts();
  Tell("everything is sent", FormatCount(clients.acknowledged()) + " acknowledged: " + FormatCount(counts.landed) +
                                 " by Redis, " + FormatCount(counts.spilled) + " on disk");
  DrainAndTell(folder, sidecar, redis);
  const Ledger::Comparison comparison = CompareAndTell(ledger, redis);
  if (sidecar.Terminate() != 0) throw std::runtime_error("the sidecar ended badly: " + sidecar.process().Stderr());
  if (IsExactlyOnce(comparison)) {
    TellOfArchivedStreams(folder, redis);
    std::printf("\n");
    TellTitle("What lives in PostgreSQL survives a Redis that lost everything");
    TellTheTotalLoss(folder, redis);
    std::printf("\n");
    TellTitle("With --ack disk, a Redis that keeps nothing on disk gets everything back");
    TellOfAForgetfulRedis(folder.path() / "forgetful");
  }
  return Conclude(comparison);
}

int Main() {
  try {
    TellTitle("Sprockets: webhook events survive a Redis that is killed");
    return TellTheStory();
  } catch (const std::exception& problem) {
    std::printf("\n%s %s\n", Coloured("1;31", "failed:").c_str(), problem.what());
    return 1;
  }
}

}  // namespace
}  // namespace sprockets::harness

int main() {
  return sprockets::harness::RunSupervised(sprockets::harness::Main);
}
