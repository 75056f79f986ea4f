// Every refusal of Redis that the sidecar knows, produced on a real server: the events spill, Redis heals, the drain
// delivers.
#include <chrono>
#include <fstream>
#include <functional>
#include <signal.h>
#include <string>

#include <catch2/catch.hpp>

#include "tests/harness/careful_client.h"
#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

Event Numbered(const std::string& stream, int n) {
  const std::string id = "delivery-" + std::to_string(n);
  return {.stream = stream, .event_id = id, .fields = {"event_id", id, "data", std::to_string(n)}};
}

// A direct XADD is refused with this word: the fault is really there.
bool Refuses(const RedisServer& redis, const std::string& word) {
  return redis.Call({"XADD", "probe", "*", "a", "b"}).IsError(word);
}

void ExpectSpilledThenDrained(Stack& stack, const std::string& word, const std::function<void()>& break_it,
                              const std::function<void()>& heal) {
  Ledger ledger;
  CarefulClient client(stack.sidecar.socket_path(), ledger);
  CHECK(client.Send(std::vector{Numbered("bounty-stream", 0)}).landed == 1);

  break_it();
  REQUIRE(WaitUntil([&] { return Refuses(stack.redis, word); }));
  for (int n = 1; n <= 40; ++n) {
    const auto counts = client.Send(std::vector{Numbered("bounty-stream", n)});
    REQUIRE(counts.spilled == 1);
  }

  heal();
  int n = 100;
  Await("events to land again", [&] { return client.Send(std::vector{Numbered("bounty-stream", n++)}).landed == 1; });
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("landed") + drained.Count("already_there") >= 40);
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

TEST_CASE("OOM spills", "[refusals]") {
  Stack stack;
  ExpectSpilledThenDrained(
      stack, "OOM", [&] { stack.redis.Set("maxmemory-policy", "noeviction"), stack.redis.Set("maxmemory", "100kb"); },
      [&] { stack.redis.Set("maxmemory", "0"); });
}

TEST_CASE("READONLY spills", "[refusals]") {
  Stack stack;
  ExpectSpilledThenDrained(
      stack, "READONLY",
      [&] {
        stack.redis.Call({"REPLICAOF", "127.0.0.1", "1"});
      },
      [&] {
        stack.redis.Call({"REPLICAOF", "NO", "ONE"});
      });
}

TEST_CASE("MASTERDOWN spills", "[refusals]") {
  Stack stack({.redis_options = {"--replica-serve-stale-data", "no", "--replica-read-only", "no"}});
  ExpectSpilledThenDrained(
      stack, "MASTERDOWN",
      [&] {
        stack.redis.Call({"REPLICAOF", "127.0.0.1", "1"});
      },
      [&] {
        stack.redis.Call({"REPLICAOF", "NO", "ONE"});
      });
}

TEST_CASE("NOREPLICAS spills", "[refusals]") {
  Stack stack;
  ExpectSpilledThenDrained(
      stack, "NOREPLICAS", [&] { stack.redis.Set("min-replicas-to-write", "3"); },
      [&] { stack.redis.Set("min-replicas-to-write", "0"); });
}

TEST_CASE("MISCONF spills", "[refusals]") {
  Stack stack({.redis_options = {"--save", "3600 1"}});
  const auto bgsave_status = [&] {
    return stack.redis.Call({"INFO", "persistence"}).text.find("rdb_last_bgsave_status:ok") != std::string::npos;
  };
  ExpectSpilledThenDrained(
      stack, "MISCONF",
      [&] {
        stack.redis.Set("rdb-key-save-delay", "10000000");
        stack.redis.Call({"BGSAVE"});
        Await("the snapshot's process to be killed", [&] {
          const std::string pid = std::to_string(stack.redis.process().pid());
          std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
          for (pid_t child = 0; children >> child;) kill(child, SIGKILL);
          return !bgsave_status();
        });
      },
      [&] {
        stack.redis.Set("rdb-key-save-delay", "0");
        stack.redis.Call({"BGSAVE"});
        Await("a good snapshot", bgsave_status);
      });
}

TEST_CASE("LOADING spills", "[refusals]") {
  Stack stack({.redis_options = {"--appendonly", "no"}});
  ExpectSpilledThenDrained(
      stack, "LOADING",
      [&] {
        RespClient redis = stack.redis.Connect();
        for (int i = 0; i < 3000; ++i) redis.Call({"SET", "key" + std::to_string(i), "value"});
        redis.Call({"SAVE"});
        stack.redis.Kill9();
        stack.redis.set_options(
            {"--appendonly", "no", "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"});
        stack.redis.StartWithoutWaiting();
        Await("Redis to load", [&] {
          try {
            return Refuses(stack.redis, "LOADING");
          } catch (const ConnectionClosed&) {
            return false;
          }
        });
      },
      [&] { Await("Redis to have loaded", [&] { return stack.redis.Answers(); }); });
}

TEST_CASE("BUSY spills", "[refusals]") {
  Stack stack({.redis_options = {"--busy-reply-threshold", "50"}});
  RespClient script = stack.redis.Connect();
  ExpectSpilledThenDrained(
      stack, "BUSY",
      [&] {
        script.Send({"EVAL", "while true do end", "0"});
      },
      [&] {
        stack.redis.Call({"SCRIPT", "KILL"});
      });
}

TEST_CASE("NOAUTH spills", "[refusals]") {
  Stack stack;
  RespClient admin = stack.redis.Connect();  // stays logged in
  ExpectSpilledThenDrained(
      stack, "NOAUTH",
      [&] {
        admin.Call({"CONFIG", "SET", "requirepass", "secret"});
        admin.Call({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
      },
      [&] {
        admin.Call({"CONFIG", "SET", "requirepass", ""});
      });
}

TEST_CASE("a wrong password spills, and neither log nor status shows it", "[refusals]") {
  const TempDir folder;
  RedisServer redis(folder.path());
  redis.Start();
  RespClient admin = redis.Connect();
  admin.Call({"ACL", "SETUSER", "alfred", "on", ">right", "~*", "+@all"});
  const std::string url = "redis://alfred:wr0ng-one@127.0.0.1:" + std::to_string(redis.port());
  Sidecar sidecar({.folder = folder.path(), .redis_url = url, .spill_dir = {}, .arguments = {}});
  sidecar.Start();
  CHECK(sidecar.Call({"XADD", "issue-stream", "*", "data", "1"}).Spilled());
  admin.Call({"ACL", "SETUSER", "alfred", ">wr0ng-one"});
  sidecar.AwaitBreaker("closed");
  CHECK(sidecar.Call({"XADD", "issue-stream", "*", "data", "2"}).Landed());
  CHECK(sidecar.Status().dump().find("wr0ng-one") == std::string::npos);
  CHECK(sidecar.process().Stderr().find("wr0ng-one") == std::string::npos);
  CHECK(Drain(folder.path(), sidecar.spill_dir(), redis.Url(), sidecar.socket_path()).exit_code == 0);
  CHECK(redis.Call({"XLEN", "issue-stream"}).integer == 2);
}

TEST_CASE("WRONGTYPE on one stream spills that stream alone", "[refusals]") {
  Stack stack;
  stack.redis.Call({"SET", "bounty-stream", "not a stream"});
  for (int n = 0; n < 30; ++n) {
    REQUIRE(stack.Xadd("bounty-stream", {"data", std::to_string(n)}).Spilled());
    REQUIRE(stack.Xadd("issue-stream", {"data", std::to_string(n)}).Landed());
  }
  CHECK(stack.sidecar.Status().at("redis").at("breaker") == "closed");

  const DrainResult refused = stack.Drain();
  CHECK(refused.exit_code == 1);
  CHECK(refused.Count("left") == 30);
  CHECK(stack.redis.Call({"GET", "bounty-stream"}).text == "not a stream");

  stack.redis.Call({"DEL", "bounty-stream"});
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(stack.Length("bounty-stream") == 30);
  CHECK(stack.Length("issue-stream") == 30);
  CHECK(WaitUntil([&] { return stack.Xadd("bounty-stream", {"data", "again"}).Landed(); }));
}

TEST_CASE("what Redis refused for its stream can be led to another one, after a drain that tried, too", "[refusals]") {
  Stack stack({.redis_up = false});
  for (int n = 0; n < 30; ++n) REQUIRE(stack.Xadd("forbidden", {"data", std::to_string(n)}).Spilled());
  stack.RestartRedis();
  CHECK(stack.sidecar.Call({"SPROCKETS", "SEAL"}).text.ends_with(".sealed.sqlite"));
  stack.redis.Call({"ACL", "SETUSER", "drainer", "on", ">secret", "~open", "~sprockets:*", "+@all"});
  const std::string url = "redis://drainer:secret@127.0.0.1:" + std::to_string(stack.redis.port());
  const auto drain = [&](const std::vector<std::string>& more) {
    return Drain(stack.folder.path(), stack.sidecar.spill_dir(), url, stack.sidecar.socket_path(), more);
  };
  CHECK(drain({}).exit_code == 1);
  SECTION("led elsewhere") {
    const DrainResult led = drain({"--rename", "forbidden=open"});
    INFO(led.err << led.summary);
    CHECK(led.exit_code == 0);
    CHECK(stack.Length("open") == 30);
  }
  SECTION("allowed by now, after one that is forbidden, too") {
    CHECK(drain({"--rename", "forbidden=closed"}).exit_code == 1);
    stack.redis.Call({"ACL", "SETUSER", "drainer", "~*"});
    CHECK(drain({}).exit_code == 0);
    CHECK(stack.Length("forbidden") == 30);
    CHECK(stack.Length("closed") == 0);
  }
}

TEST_CASE("NOPERM on one stream spills that stream alone", "[refusals]") {
  const TempDir folder;
  RedisServer redis(folder.path());
  redis.Start();
  redis.Call({"ACL", "SETUSER", "alfred", "on", ">secret", "~issue-stream", "+@all"});
  const std::string url = "redis://alfred:secret@127.0.0.1:" + std::to_string(redis.port());
  Sidecar sidecar({.folder = folder.path(), .redis_url = url, .spill_dir = {}, .arguments = {}});
  sidecar.Start();
  sidecar.AwaitBreaker("closed");
  for (int n = 0; n < 30; ++n) {
    REQUIRE(sidecar.Call({"XADD", "bounty-stream", "*", "data", std::to_string(n)}).Spilled());
    REQUIRE(sidecar.Call({"XADD", "issue-stream", "*", "data", std::to_string(n)}).Landed());
  }
  CHECK(sidecar.Status().at("redis").at("breaker") == "closed");
  redis.Call({"ACL", "SETUSER", "alfred", "~*"});
  const DrainResult drained = Drain(folder.path(), sidecar.spill_dir(), url, sidecar.socket_path());
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(redis.Call({"XLEN", "bounty-stream"}).integer == 30);
  CHECK(redis.Call({"XLEN", "issue-stream"}).integer == 30);
}

}  // namespace
}  // namespace sprockets::harness
