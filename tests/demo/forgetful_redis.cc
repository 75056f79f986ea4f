#include "tests/demo/forgetful_redis.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>

#include "shared/base/text.h"
#include "tests/demo/story.h"
#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr size_t kEventsOfTheAct = 8'000;
constexpr size_t kSenders = 4;
// All events take some two seconds, so that Redis is away in the middle of them.
constexpr auto kPauseOfASender = 10ms;
constexpr size_t kHalfOfThem = kEventsOfTheAct / 2;
constexpr auto kShortOutage = 500ms;

void KillRedisThatHasEvents(RedisServer& redis, const Load& clients) {
  clients.AwaitAcknowledged(kHalfOfThem);
  const size_t entries = EntriesInStreams(redis);
  if (entries == 0) throw std::runtime_error("there was nothing to forget");
  redis.Kill9();
  Tell("kill -9 redis-server", FormatCount(entries) + " entries are gone");
}

/// Over a folder in which no server has ever written anything.
void StartAgainEmpty(const std::filesystem::path& folder, RedisServer& redis, const Load& clients) {
  const size_t before = clients.acknowledged();
  std::this_thread::sleep_for(kShortOutage);
  const std::string meanwhile = FormatCount(clients.acknowledged() - before);
  Tell("Redis away for half a second", meanwhile + " acknowledged meanwhile, with their ids");
  for (const char* of_redis : {"dump.rdb", "appendonlydir"}) {
    if (exists(folder / "redis" / of_redis)) throw std::runtime_error(std::string("Redis kept ") + of_redis);
  }
  redis.Start();
  Tell("Redis is started again", "it has no file, so it begins empty");
}

void AwaitEverythingLanded(const Sidecar& sidecar, const RedisServer& redis) {
  Await("everything to be in Redis", [&] {
    const auto status = sidecar.Status();
    return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
  });
  const auto refills = sidecar.Status().at("counters").at("refills").get<uint64_t>();
  Tell("nobody gives a command", FormatCount(EntriesInStreams(redis)) + " entries are there again, " +
                                     FormatCount(refills) + " streams were refilled");
}

/// Every answer named an entry, and under this id the event stands in its stream: once, and in the order of sending.
void CompareWithTheAnswers(const Ledger& ledger, const RedisServer& redis, const CarefulClient::Counts& answers) {
  RespClient connection = redis.Connect();
  const Ledger::Comparison comparison = ledger.Compare(connection);
  Tell("every answer compared with the streams",
       FormatCount(answers.landed) + " ids told, " + FormatCount(comparison.difference_count) + " differences");
  if (!comparison.ExactlyOnce() || comparison.stored != kEventsOfTheAct || answers.landed != kEventsOfTheAct)
    throw std::runtime_error("Redis did not get everything back: " + comparison.ToString());
}

}  // namespace

void TellOfAForgetfulRedis(const std::filesystem::path& folder) {
  RedisServer redis(folder, {"--appendonly", "no"});
  redis.Start();
  Sidecar sidecar({.folder = folder, .redis_url = redis.Url(), .spill_dir = {}, .arguments = {"--ack", "disk"}});
  sidecar.Start();
  Tell("Redis without any file, sidecar --ack disk", "running");

  Ledger ledger;
  Load clients(
      sidecar.socket_path(), ledger,
      {.clients = kSenders, .pipeline = 16, .pause = kPauseOfASender, .events = kEventsOfTheAct, .always_id = false});
  Tell(std::to_string(kSenders) + " clients begin to send", FormatCount(kEventsOfTheAct) + " events to 7 streams");
  KillRedisThatHasEvents(redis, clients);
  StartAgainEmpty(folder, redis, clients);
  clients.AwaitEnd();
  Tell("everything is sent", FormatCount(clients.acknowledged()) + " acknowledged, each with its id");
  AwaitEverythingLanded(sidecar, redis);
  CompareWithTheAnswers(ledger, redis, clients.counts());
  if (sidecar.Terminate() != 0) throw std::runtime_error("the sidecar ended badly: " + sidecar.process().Stderr());
}

}  // namespace sprockets::harness
