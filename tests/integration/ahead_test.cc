// --ack disk: the sidecar names the entries, and Redis may forget everything and gets it back unchanged.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/stack.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

Stack::Options AheadOptions(std::vector<std::string> more = {}) {
  Stack::Options options;
  options.redis_options = {"--appendonly", "no"};
  options.sidecar_options = {"--ack", "disk"};
  options.sidecar_options.insert(options.sidecar_options.end(), more.begin(), more.end());
  return options;
}

/// Until everything that the journal holds is in Redis.
void AwaitLanded(const Stack& stack) {
  Await("the journal to land", [&] {
    const auto status = stack.sidecar.Status();
    return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
  });
}

std::vector<std::string> IdsIn(const Stack& stack, const std::string& stream) {
  RespClient redis = stack.redis.Connect();
  std::vector<std::string> ids;
  for (const StreamEntry& entry : ReadEntries(redis, stream)) ids.push_back(entry.id);
  return ids;
}

TEST_CASE("ahead: an event is answered with the id under which it is in its stream", "[ahead]") {
  const Stack stack(AheadOptions());
  std::vector<std::string> told;
  for (int i = 0; i < 20; ++i) {
    const Reply reply = stack.Xadd("s", {"n", std::to_string(i), "event_id", "e" + std::to_string(i)});
    REQUIRE(reply.Landed());
    told.push_back(reply.text);
  }
  AwaitLanded(stack);
  CHECK(IdsIn(stack, "s") == told);
  // A second copy gets the first one's id.
  CHECK(stack.Xadd("s", {"n", "3", "event_id", "e3"}).text == told[3]);
  CHECK(stack.Length("s") == 20);
}

TEST_CASE("ahead: a Redis without persistence that is killed comes back complete, without a command", "[ahead]") {
  Stack stack(AheadOptions());
  std::vector<std::string> told;
  for (int i = 0; i < 300; ++i) told.push_back(stack.Xadd("s", {"n", std::to_string(i)}).text);
  AwaitLanded(stack);
  stack.redis.Kill9();
  for (int i = 300; i < 400; ++i) told.push_back(stack.Xadd("s", {"n", std::to_string(i)}).text);
  stack.redis.Start();
  Await("the stream to be complete", [&] { return stack.Length("s") == told.size(); });
  CHECK(IdsIn(stack, "s") == told);
  CHECK(stack.sidecar.Status().at("counters").at("refills") == 1);
}

TEST_CASE("ahead: what was acknowledged without Redis outlives the sidecar, and a retry gets its id", "[ahead]") {
  Stack::Options options = AheadOptions();
  options.redis_up = false;
  Stack stack(options);
  std::vector<std::string> told;
  for (int i = 0; i < 50; ++i) {
    const std::string name = R"(a "stream"; with 'quotes')";
    const Reply reply = stack.Xadd(name, {"n", std::to_string(i), "event_id", "e" + std::to_string(i)});
    REQUIRE(reply.Landed());
    told.push_back(reply.text);
    if (i % 20 == 19) {
      stack.sidecar.Kill9();
      stack.sidecar.Start();
    }
    CHECK(stack.Xadd(name, {"n", std::to_string(i / 2), "event_id", "e" + std::to_string(i / 2)}).text == told[i / 2]);
  }
  stack.redis.Start();
  AwaitLanded(stack);
  CHECK(IdsIn(stack, R"(a "stream"; with 'quotes')") == told);
}

TEST_CASE("ahead: a backlog that memory does not hold is read from the journal, beside new events", "[ahead]") {
  Stack stack(AheadOptions({"--max-inflight-bytes", "64KiB", "--spill-file-bytes", "1MiB"}));
  Ledger ledger;
  stack.redis.Kill9();
  {
    Load load(stack.sidecar.socket_path(), ledger, {.clients = 4, .pipeline = 64, .pause = 0ms, .events = 12'000});
    load.AwaitEnd();
  }
  stack.redis.Start();
  Load load(stack.sidecar.socket_path(), ledger, {.first_event = 100'000, .events = 2'000});
  load.AwaitEnd();
  AwaitLanded(stack);
  RespClient redis = stack.redis.Connect();
  const Ledger::Comparison comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

TEST_CASE("ahead: REFILL brings back a stream that was deleted, and HOLD keeps it still for whoever fills it",
          "[ahead]") {
  const Stack stack(AheadOptions());
  std::vector<std::string> told;
  for (int i = 0; i < 100; ++i) told.push_back(stack.Xadd("s", {"n", std::to_string(i)}).text);
  AwaitLanded(stack);
  RespClient redis = stack.redis.Connect();
  RespClient door = stack.sidecar.Connect();

  // A stream that was deleted is its owner's business, until he asks for it.
  redis.Call({"DEL", "s"});
  told.push_back(stack.Xadd("s", {"n", "100"}).text);
  AwaitLanded(stack);
  CHECK(stack.Length("s") == 1);
  redis.Call({"DEL", "s"});
  CHECK(door.Call({"SPROCKETS", "REFILL", "s"}).text == "OK");
  Await("the refill", [&] { return stack.Length("s") == told.size(); });
  CHECK(IdsIn(stack, "s") == told);

  // While it is held, somebody puts another stream in its place, which lacks the end.
  CHECK(door.Call({"SPROCKETS", "HOLD", "3600"}).text == "OK");
  CHECK(stack.sidecar.Status().at("journal").at("held_ms") > 3'000'000);
  told.push_back(stack.Xadd("s", {"n", "101"}).text);
  redis.Call({"DEL", "s"});
  for (int i = 0; i < 60; ++i) redis.Call({"XADD", "s", told[i], "n", std::to_string(i)});
  std::this_thread::sleep_for(300ms);
  CHECK(stack.Length("s") == 60);
  CHECK(door.Call({"SPROCKETS", "HOLD", "0"}).text == "OK");
  Await("the refill", [&] { return stack.Length("s") == told.size(); });
  CHECK(IdsIn(stack, "s") == told);

  CHECK(door.Call({"SPROCKETS", "REFILL", "unknown"}).IsError("ERR"));
  CHECK(door.Call({"SPROCKETS", "HOLD", "-1"}).IsError("ERR"));
  CHECK(door.Call({"SPROCKETS", "HOLD"}).IsError("ERR"));
}

TEST_CASE("ahead: a hold outlives kills in so far as nothing is believed of streams that others may have filled",
          "[ahead]") {
  Stack stack(AheadOptions());
  std::vector<std::string> told;
  for (int i = 0; i < 100; ++i) told.push_back(stack.Xadd("s", {"n", std::to_string(i)}).text);
  AwaitLanded(stack);
  RespClient redis = stack.redis.Connect();
  CHECK(stack.sidecar.Connect().Call({"SPROCKETS", "HOLD", "3600"}).text == "OK");
  std::this_thread::sleep_for(300ms);  // so long a mark may lag
  redis.Call({"DEL", "s"});
  for (int i = 0; i < 60; ++i) redis.Call({"XADD", "s", told[i], "n", std::to_string(i)});
  stack.sidecar.Kill9();
  stack.sidecar.Start();
  Await("the refill", [&] { return stack.Length("s") == told.size(); });
  CHECK(IdsIn(stack, "s") == told);
}

TEST_CASE("ahead: the rows of a damaged journal are sent once they are salvaged, although later ones went past them",
          "[ahead]") {
  Stack::Options options = AheadOptions();
  options.redis_up = false;
  Stack stack(options);
  const std::string filler(200, 'x');
  const auto send = [&](int from, int to) {
    for (int i = from; i < to; ++i) REQUIRE(stack.Xadd("s", {"n", std::to_string(i), "f", filler}).Landed());
  };
  send(0, 1'000);
  const std::string file = stack.sidecar.Call({"SPROCKETS", "SEAL"}).text;
  REQUIRE(std::filesystem::file_size(stack.sidecar.spill_dir() / file) > 200'000);
  REQUIRE(stack.sidecar.Terminate() == 0);
  {
    std::fstream damaged(stack.sidecar.spill_dir() / file, std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(20 * 16 * 1024);
    damaged << std::string(16 * 1024, '?');
  }
  stack.redis.Start();
  stack.sidecar.Start();
  send(1'000, 1'050);
  Await("the later ones",
        [&] { return stack.Length("s") >= 50 && stack.sidecar.Status().at("journal").at("behind").empty(); });
  CHECK(stack.Length("s") < 1'000);
  REQUIRE(stack.sidecar.Terminate() == 0);
  const DrainResult salvaged = stack.Drain({"--salvage", file});
  INFO(salvaged.summary.dump() << salvaged.err);

  stack.sidecar.Start();
  AwaitLanded(stack);
  // One page of rows was lost to the damage; everything else is there, and once.
  RespClient redis = stack.redis.Connect();
  std::map<std::string, int> times;
  for (const StreamEntry& entry : ReadEntries(redis, "s")) ++times[entry.fields[1]];
  for (const auto& [n, count] : times) CHECK(count == 1);
  CHECK(times.size() > 900);
}

TEST_CASE("ahead: with --fsync-interval a kill of the sidecar still loses nothing", "[ahead]") {
  Stack::Options options = AheadOptions({"--fsync-interval", "20ms"});
  options.redis_up = false;
  Stack stack(options);
  std::vector<std::string> told;
  for (int i = 0; i < 600; ++i) {
    told.push_back(stack.Xadd("s", {"n", std::to_string(i)}).text);
    if (i % 200 == 199) {
      stack.sidecar.Kill9();
      stack.sidecar.Start();
    }
  }
  stack.redis.Start();
  AwaitLanded(stack);
  CHECK(IdsIn(stack, "s") == told);
}

TEST_CASE("ahead: a right that is taken for a while ends nobody who has had it, and events are taken meanwhile",
          "[ahead]") {
  Stack::Options options = AheadOptions();
  options.redis_options.insert(options.redis_options.end(), {"--user", "writer", "on", "nopass", "~*", "&*", "+@all"});
  options.redis_user = "writer";
  Stack stack(options);
  std::vector<std::string> told = {stack.Xadd("s", {"n", "0"}).text};
  AwaitLanded(stack);
  for (const std::string right : {"info", "multi", "exec"}) {
    stack.redis.Call({"ACL", "SETUSER", "writer", "-" + right});
    stack.redis.Call({"CLIENT", "KILL", "USER", "writer"});
    Await("the sidecar to be refused", [&] { return stack.sidecar.Status().at("redis").at("state") != "connected"; });
    told.push_back(stack.Xadd("s", {"right", right}).text);
    std::this_thread::sleep_for(500ms);
    stack.redis.Call({"ACL", "SETUSER", "writer", "+@all"});
    AwaitLanded(stack);
  }
  CHECK(IdsIn(stack, "s") == told);
}

TEST_CASE("ahead: an event that is too large for Redis is kept aside, and does not stop the others", "[ahead]") {
  Stack::Options options = AheadOptions({"--max-event-bytes", "2MiB"});
  options.redis_options.insert(options.redis_options.end(), {"--proto-max-bulk-len", "1mb"});
  Stack stack(options);
  std::vector<std::string> told;
  told.push_back(stack.Xadd("s", {"n", "1"}).text);
  const Reply large = stack.Xadd("s", {"n", std::string(1'200'000, 'x')});
  REQUIRE(large.Landed());
  told.push_back(stack.Xadd("s", {"n", "3"}).text);
  told.push_back(stack.Xadd("s", {"n", "4"}).text);
  AwaitLanded(stack);
  CHECK(IdsIn(stack, "s") == told);
  CHECK(stack.sidecar.Status().at("counters").at("rejected") == 1);
  // It stays where it is, also when everything else may go.
  REQUIRE(stack.sidecar.Terminate() == 0);
  Sidecar forgetful({.folder = stack.sidecar.socket_path().parent_path(),
                     .redis_url = stack.redis.Url(),
                     .spill_dir = stack.sidecar.spill_dir(),
                     .arguments = {"--ack", "disk", "--retain", "1ms"}});
  forgetful.Start();
  CHECK(forgetful.Call({"XADD", "t", "*", "n", "5"}).Landed());
  std::this_thread::sleep_for(2'500ms);
  REQUIRE(forgetful.Terminate() == 0);
  const RunResult shown = RunReplayer(stack.folder.path(), {"status", "--spill-dir", stack.sidecar.spill_dir()});
  INFO(shown.out << shown.err);
  CHECK_THAT(shown.out, Catch::Contains("1 rejected"));
}

uint64_t Seed() {
  if (const char* given = std::getenv("SPROCKETS_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device()();
}

TEST_CASE("ahead: kills of Redis without persistence and of the sidecar cost and double nothing", "[ahead]") {
  const uint64_t seed = Seed();
  INFO("SPROCKETS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  Stack stack(AheadOptions());
  Ledger ledger;
  {
    Load load(stack.sidecar.socket_path(), ledger, {.clients = 4, .pipeline = 16, .redelivers = true});
    for (int blow = 0; blow < 24; ++blow) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 150));
      switch (random() % 3) {
        case 0:
          stack.redis.Kill9();
          std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
          stack.redis.Start();
          break;
        case 1:
          stack.sidecar.Kill9();
          stack.sidecar.Start();
          break;
        case 2:
          stack.redis.Stop();
          std::this_thread::sleep_for(std::chrono::milliseconds(300 + random() % 300));
          stack.redis.Continue();
          break;
      }
    }
    load.Stop();
  }
  AwaitLanded(stack);
  RespClient redis = stack.redis.Connect();
  const Ledger::Comparison comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

}  // namespace
}  // namespace sprockets::harness
