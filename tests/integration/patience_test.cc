// The sidecar under strain: logs that nobody reads, clients that trickle, leave or half leave, a Redis that lets idle
// connections go or listens on one of its addresses, transactions that cannot be.
#include <chrono>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

TEST_CASE("between a refused MULTI and what ends it no XADD is taken", "[patience]") {
  Stack stack({.sidecar_options = {"--relay", "off"}});
  RespClient client = stack.sidecar.Connect();
  const Command xadd = {"XADD", "s", "*", "data", "1"};
  SECTION("EXEC") {
    const std::vector<Command> pipeline = {{"MULTI"}, xadd, xadd, {"EXEC"}};
    const std::vector<Reply> replies = client.Pipeline(pipeline);
    CHECK(replies[0].IsError("ERR"));
    CHECK(replies[1].IsError("ERR"));
    CHECK(replies[2].IsError("ERR"));
    CHECK(replies[3].IsError("EXECABORT"));
  }
  SECTION("DISCARD") {
    CHECK(client.Call({"MULTI"}).IsError("ERR"));
    CHECK(client.Call(xadd).IsError("ERR"));
    CHECK(client.Call({"DISCARD"}).text == "OK");
  }
  SECTION("RESET") {
    CHECK(client.Call({"multi"}).IsError("ERR"));
    CHECK(client.Call({"RESET"}).text == "RESET");
  }
  CHECK(stack.Length("s") == 0);
  CHECK(client.Call(xadd).Landed());
  CHECK(client.Call({"EXEC"}).IsError("ERR"));
}

TEST_CASE("a client that has only finished sending gets the answers to all that it sent", "[patience]") {
  Stack stack({.through_proxy = true});
  stack.proxy->DelayReplies(100ms);
  RespClient client = stack.sidecar.Connect();
  for (int i = 0; i < 200; ++i) client.Send({"XADD", "s", "*", "data", std::to_string(i)});
  client.FinishSending();
  for (int i = 0; i < 200; ++i) CHECK(client.Read().Landed());
  CHECK(client.WaitClosed());
}

TEST_CASE("replies that wait behind an unanswered event count against the client that asked for them", "[patience]") {
  Stack stack({.sidecar_options = {"--redis-timeout", "20s"}});
  REQUIRE(stack.Xadd("s", {"data", "1"}).Landed());
  stack.redis.Stop();
  RespClient client = stack.sidecar.Connect();
  client.Send({"XADD", "s", "*", "data", "2"});
  const std::string word(1 << 20, 'x');
  std::string echo = "*2\r\n$4\r\nECHO\r\n$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  std::string many;
  for (int i = 0; i < 30; ++i) many += echo;
  CHECK(client.SendUntilBlocked(many, 500ms) < 8 << 20);
  stack.redis.Continue();
  CHECK(client.Read().Landed());
}

TEST_CASE("a first command that takes some seconds to come in is taken", "[patience]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  const std::string value(300'000, 'x');
  const std::string command = "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$4\r\ndata\r\n$" +
                              std::to_string(value.size()) + "\r\n" + value + "\r\n";
  client.SendRaw(std::string_view(command).substr(0, 100'000));
  std::this_thread::sleep_for(2500ms);  // two looks at who stalls
  client.SendRaw(std::string_view(command).substr(100'000));
  CHECK(client.Read().Landed());
}

TEST_CASE("a command that trickles in is cut off, though a byte comes now and then", "[patience]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  client.SendRaw("*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$4\r\ndata\r\n$300000\r\n");
  bool cut = false;
  for (int i = 0; i < 9 && !cut; ++i) {
    std::this_thread::sleep_for(4s);
    try {
      client.SendRaw("x");
    } catch (const std::exception&) {
      cut = true;
    }
  }
  CHECK(cut);
  CHECK(stack.Xadd("s", {"data", "1"}).Landed());
}

TEST_CASE("who leaves while it is not read frees its place", "[patience]") {
  Stack stack({.sidecar_options = {"--redis-timeout", "30s", "--max-inflight-bytes", "4194304"}});
  REQUIRE(stack.Xadd("s", {"data", "1"}).Landed());
  const auto open_files = [&] {
    const std::filesystem::path fds = "/proc/" + std::to_string(stack.sidecar.process().pid()) + "/fd";
    return std::distance(std::filesystem::directory_iterator(fds), std::filesystem::directory_iterator());
  };
  stack.redis.Stop();
  const auto before = open_files();
  {
    const std::string value(100'000, 'x');
    const std::string event = "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$4\r\ndata\r\n$100000\r\n" + value + "\r\n";
    std::string many;
    for (int i = 0; i < 100; ++i) many += event;
    std::vector<RespClient> leaving;
    for (int i = 0; i < 5; ++i) {
      leaving.push_back(stack.sidecar.Connect());
      leaving.back().SendUntilBlocked(many, 200ms);
    }
    CHECK(open_files() > before);
  }
  Await("their places", [&] { return open_files() <= before; });
  stack.redis.Continue();
}

TEST_CASE("an idle connection outlives Redis's timeout, and costs no event the direct way", "[patience]") {
  Stack stack({.redis_options = {"--timeout", "1"}});
  REQUIRE(stack.Xadd("s", {"data", "1"}).Landed());
  std::this_thread::sleep_for(3s);
  CHECK(stack.Xadd("s", {"data", "2"}).Landed());
  CHECK(stack.sidecar.Status().at("counters").at("spilled") == 0);
}

TEST_CASE("every address of a host is tried", "[patience]") {
  // "localhost" is ::1 first where there is IPv6; Redis listens on 127.0.0.1 only.
  TempDir folder;
  RedisServer redis(folder / "redis");
  redis.Start();
  const std::string url = "redis://localhost:" + std::to_string(redis.port());
  Sidecar sidecar({.folder = folder.path(), .redis_url = url, .spill_dir = {}, .arguments = {}});
  sidecar.Start();
  sidecar.AwaitBreaker("closed");
  CHECK(sidecar.Call({"XADD", "s", "*", "data", "1"}).Landed());
}

TEST_CASE("a sidecar whose socket was replaced leaves its successor's alone", "[patience]") {
  Stack stack;
  const std::filesystem::path path = stack.sidecar.socket_path();
  std::filesystem::remove(path);
  std::ofstream(path) << "a successor's";
  CHECK(stack.sidecar.Terminate() == 0);
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("STATUS is answered however many ask, and tells how long an event has waited", "[patience]") {
  Stack stack({.sidecar_options = {"--redis-timeout", "20s"}});
  REQUIRE(stack.Xadd("s", {"data", "1"}).Landed());
  RespClient many = stack.sidecar.Connect();
  std::string asks;
  for (int i = 0; i < 5000; ++i) asks += "*2\r\n$9\r\nSPROCKETS\r\n$6\r\nSTATUS\r\n";
  many.SendUntilBlocked(asks, 200ms);
  CHECK(stack.Xadd("s", {"data", "2"}).Landed());
  stack.redis.Stop();
  RespClient waits = stack.sidecar.Connect();
  waits.Send({"XADD", "s", "*", "data", "3"});
  Await("an event that waits", [&] { return stack.sidecar.Status().at("in_flight").at("oldest_age_ms") > 300; });
  stack.redis.Continue();
  CHECK(waits.Read().Landed());
  const nlohmann::json redis = stack.sidecar.Status().at("redis");
  CHECK(redis.at("db") == 0);
  CHECK(redis.at("replid").get<std::string>().size() == 40);
}

// ---- Logs

TEST_CASE("a log that nobody reads keeps nobody waiting", "[patience]") {
  Stack stack({.redis_up = false});
  CHECK(stack.sidecar.Terminate() == 0);
  // A pipe that is full and that nobody reads, in place of stderr.
  int pipe_fds[2];
  REQUIRE(pipe2(pipe_fds, O_CLOEXEC) == 0);
  fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
  while (write(pipe_fds[1], "x", 1) == 1) {
  }
  fcntl(pipe_fds[1], F_SETFL, 0);
  const std::string stderr_path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(pipe_fds[1]);
  stack.sidecar.set_prefix({"sh", "-c", "exec \"$@\" 2>" + stderr_path, "sh"});
  stack.sidecar.Start();
  CHECK(stack.Xadd("s", {"data", "1"}).Spilled());
  CHECK(stack.sidecar.Terminate() == 0);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

TEST_CASE("closed standard streams are nobody's socket", "[patience]") {
  Stack stack({.redis_up = false});
  CHECK(stack.sidecar.Terminate() == 0);
  stack.sidecar.set_prefix({"sh", "-c", "exec \"$@\" >&- 2>&-", "sh"});
  stack.sidecar.Start();
  CHECK(stack.Xadd("s", {"data", "1"}).Spilled());
  stack.RestartRedis();
  CHECK(stack.Xadd("s", {"data", "2"}).Acknowledged());
  CHECK(stack.sidecar.Terminate() == 0);
  std::vector<std::string> drain = ReplayerCommand(
      {"drain", "--redis", stack.redis.Url(), "--spill-dir", stack.sidecar.spill_dir().string(), "--rate", "100"});
  drain.insert(drain.begin(), {"sh", "-c", "exec \"$@\" >&- 2>&-", "sh"});
  const RunResult drained = Run(drain, stack.folder.path());
  CHECK(drained.exit_code == 0);
  CHECK(stack.Length("s") == 2);
}

TEST_CASE("a large answer over a slow network is waited for as long as it goes on coming", "[patience]") {
  Stack stack({.through_proxy = true, .sidecar_options = {"--redis-timeout", "1s"}});
  RespClient redis = stack.redis.Connect();
  std::vector<Command> entries;
  for (int i = 0; i < 4'000; ++i)
    entries.push_back({"XADD", "s", "*", "data", std::string(250, 'x'), "event_id", "e" + std::to_string(i)});
  for (const Reply& reply : redis.Pipeline(entries)) REQUIRE(reply.Landed());
  CHECK(stack.sidecar.Terminate() == 0);
  stack.sidecar.Start();
  stack.sidecar.AwaitBreaker("closed");
  // A page of the stream's end takes twice as long as --redis-timeout.
  stack.proxy->LimitReplies(150'000);
  CHECK(stack.Xadd("s", {"data", std::string(250, 'x'), "event_id", "new"}).Landed());
  CHECK(stack.sidecar.process().Stderr().find("redis-lost") == std::string::npos);
}

}  // namespace
}  // namespace sprockets::harness
