// The tests' own tools, where a test would pass for the wrong reason if they did not do what they say.
#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/process.h"
#include "tests/harness/proxy.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/sample_events.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

struct RedisAlone {
  TempDir folder;
  RedisServer redis{folder.path()};
  RedisAlone() { redis.Start(); }
};

int PortOf(const Proxy& proxy) {
  return std::stoi(proxy.Url().substr(proxy.Url().rfind(':') + 1));
}

TEST_CASE("the proxy delivers held bytes after their sender has closed", "[harness]") {
  RedisAlone alone;
  Proxy proxy(alone.redis.port());
  {
    RespClient client = RespClient::ConnectTcp(PortOf(proxy));
    CHECK(client.Call({"PING"}).text == "PONG");
    proxy.HoldRequests();
    client.Send({"SET", "late", "1"});
    CHECK_FALSE(client.TryRead(100ms).has_value());
  }
  CHECK(WaitUntil([&] { return proxy.Holds("late"); }));
  CHECK(RespClient::ConnectTcp(PortOf(proxy)).Call({"EXISTS", "late"}).integer == 0);
  proxy.ReleaseRequests();
  CHECK(WaitUntil([&] { return alone.redis.Call({"EXISTS", "late"}).integer == 1; }));
}

TEST_CASE("the proxy delivers nothing over a connection that Redis has killed", "[harness]") {
  RedisAlone alone;
  Proxy proxy(alone.redis.port());
  RespClient client = RespClient::ConnectTcp(PortOf(proxy));
  const int64_t id = client.Call({"CLIENT", "ID"}).integer;
  proxy.HoldRequests();
  client.Send({"SET", "late", "1"});
  CHECK(WaitUntil([&] { return proxy.Holds("late"); }));
  CHECK(alone.redis.Call({"CLIENT", "KILL", "ID", std::to_string(id)}).integer == 1);
  proxy.ReleaseRequests();
  CHECK_FALSE(WaitUntil([&] { return alone.redis.Call({"EXISTS", "late"}).integer == 1; }, 200ms));
}

TEST_CASE("the proxy delays, replaces and cuts", "[harness]") {
  RedisAlone alone;
  Proxy proxy(alone.redis.port());
  RespClient client = RespClient::ConnectTcp(PortOf(proxy));
  proxy.DelayReplies(200ms);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(client.Call({"PING"}).text == "PONG");
  CHECK(std::chrono::steady_clock::now() - begin >= 200ms);
  proxy.DelayReplies(0ms);
  proxy.ReplaceNextReply("$1", "-ERR replaced\r\n");
  CHECK(client.Call({"PING"}).text == "PONG");
  CHECK(client.Call({"XADD", "s", "*", "a", "b"}).IsError("ERR"));
  CHECK(alone.redis.Call({"XLEN", "s"}).integer == 1);
  proxy.CutClients();
  CHECK(client.WaitClosed(5s));
  proxy.RefuseConnections(true);
  CHECK_THROWS_AS(RespClient::ConnectTcp(PortOf(proxy)).Call({"PING"}), ConnectionClosed);
}

TEST_CASE("the ledger sees what is missing, doubled, altered, and what nobody sent", "[harness]") {
  RedisAlone alone;
  RespClient redis = alone.redis.Connect();
  Ledger ledger;
  const Event acknowledged = SampleEvent(1);
  const Event unknown = SampleEvent(8);
  ledger.Intend(acknowledged);
  ledger.Intend(unknown);
  redis.Call(XaddOf(acknowledged));
  ledger.Acknowledge(acknowledged);
  CHECK(ledger.Compare(redis).ExactlyOnce());

  redis.Call(XaddOf(unknown));
  CHECK(ledger.Compare(redis).difference_count == 0);  // stored and not acknowledged: allowed
  redis.Call(XaddOf(unknown));
  CHECK(ledger.Compare(redis).difference_count == 1);  // but not twice

  redis.Call({"DEL", unknown.stream});
  CHECK(ledger.Compare(redis).difference_count == 1);  // it was the other one's stream, too
  redis.Call(XaddOf(acknowledged));
  CHECK(ledger.Compare(redis).ExactlyOnce());
  Event altered = acknowledged;
  altered.fields.back() += " ";
  redis.Call(XaddOf(altered));
  CHECK(ledger.Compare(redis).difference_count == 1);
  CHECK_THROWS_AS(ledger.Intend(acknowledged), std::invalid_argument);
}

TEST_CASE("the ledger sees what was refused and is stored, another id, and another order", "[harness]") {
  RedisAlone alone;
  RespClient redis = alone.redis.Connect();
  Ledger ledger;
  // Of one client and one stream.
  const std::vector<Event> events = {SampleEvent(0), SampleEvent(7), SampleEvent(14), SampleEvent(21), SampleEvent(28)};
  for (const Event& event : events) ledger.Intend(event);
  ledger.Refuse(events[0]);
  CHECK(ledger.Compare(redis).refused == 1);
  const std::string second = redis.Call(XaddOf(events[2])).text;
  const std::string first = redis.Call(XaddOf(events[1])).text;
  ledger.Acknowledge(events[1], first, true);
  CHECK(ledger.Compare(redis).difference_count == 0);
  ledger.Acknowledge(events[2], second, true);
  CHECK(ledger.Compare(redis).difference_count == 1);  // the second stands before the first
  ledger.Acknowledge(events[2], second, false);
  CHECK(ledger.Compare(redis).difference_count == 0);  // at another offer it may
  ledger.Acknowledge(events[2], first, false);
  CHECK(ledger.Compare(redis).difference_count == 1);
  ledger.Acknowledge(events[2], second, false);

  redis.Call(XaddOf(events[4]));
  redis.Call(XaddOf(events[3]));
  ledger.Acknowledge(events[3], "0-9", true);
  ledger.Acknowledge(events[4], "0-10", true);
  CHECK(ledger.Compare(redis).difference_count == 0);  // one of them may have been on its way before
  CHECK(ledger.Compare(redis, {"0-9", "0-10"}).difference_count == 1);

  redis.Call(XaddOf(events[0]));
  CHECK(ledger.Compare(redis).difference_count == 1);
}

TEST_CASE("the proxy cuts at the byte", "[harness]") {
  RedisAlone alone;
  Proxy proxy(alone.redis.port());
  const std::string command = "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$1\r\nv\r\n";
  for (size_t bytes = 0; bytes <= command.size(); ++bytes) {
    RespClient client = RespClient::ConnectTcp(PortOf(proxy));
    proxy.CutAfter(Proxy::Direction::kToRedis, bytes);
    client.SendRaw(command);
    const bool whole = bytes == command.size();
    CHECK(client.WaitClosed(whole ? 100ms : 5s) != whole);
    CHECK(proxy.TakeCut() != whole);
  }
  CHECK(alone.redis.Call({"GET", "k"}).text == "v");
  RespClient client = RespClient::ConnectTcp(PortOf(proxy));
  proxy.CutAfter(Proxy::Direction::kToClient, 7);
  CHECK(client.Call({"PING"}).text == "PONG");
  client.SendRaw("PING\r\n");
  CHECK(client.WaitClosed(5s));
  CHECK(proxy.TakeCut());
}

TEST_CASE("no two sample events have the same payload", "[harness]") {
  Ledger ledger;
  for (uint64_t n = 0; n < 5000; ++n) ledger.Intend(SampleEvent(n, n % 2 == 0));
}

TEST_CASE("a process that is killed takes its own children along", "[harness]") {
  TempDir folder;
  Process shell({.command = {"sh", "-c", "sleep 600 & echo $!; wait"}, .output = folder / "sh", .environment = {}});
  Await("the child's pid", [&] { return shell.Stdout().find('\n') != std::string::npos; });
  const std::filesystem::path child = "/proc/" + shell.Stdout().substr(0, shell.Stdout().find('\n'));
  CHECK(std::filesystem::exists(child));
  shell.Kill9();
  CHECK(WaitUntil([&] {
    return !std::filesystem::exists(child) || ReadWholeFile(child / "stat").find(") Z") != std::string::npos;
  }));
}

}  // namespace
}  // namespace sprockets::harness
