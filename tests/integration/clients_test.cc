// Redis clients as published, unmodified, against the socket: one command at a time and in pipelines, Redis up and
// Redis down.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

constexpr size_t kSingle = 20;
constexpr size_t kPipelined = 200;

// Each script connects to the socket, sends kSingle events one by one and kPipelined in a pipeline, to the given
// stream, and prints the ids that it got, a line each.
std::vector<std::vector<std::string>> Scripts() {
  const std::string scripts = CLIENT_SCRIPTS;
  return {{"/usr/bin/python3", scripts + "/redis_py_client.py"},
          {"node", scripts + "/ioredis_client.mjs"},
          {"node", scripts + "/node_redis_client.mjs"}};
}

size_t LinesBeginning(const std::string& text, const std::string& prefix) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    if (text.compare(at, prefix.size(), prefix) == 0) ++count;
    if (text.find('\n', at) == std::string::npos) break;
  }
  return count;
}

void CheckClient(Stack& stack, std::vector<std::string> command, bool redis_up) {
  const std::string stream = std::filesystem::path(command.back()).stem();
  command.insert(command.end(),
                 {stack.sidecar.socket_path(), stream, std::to_string(kSingle), std::to_string(kPipelined)});
  const RunResult run = Run(std::move(command), stack.folder.path());
  INFO(stream << ": " << run.out << run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(LinesBeginning(run.out, "") == kSingle + kPipelined);
  CHECK(LinesBeginning(run.out, "0-") == (redis_up ? 0 : kSingle + kPipelined));
}

void CheckAllClients(bool redis_up) {
  Stack stack({.redis_up = redis_up});
  for (const std::vector<std::string>& script : Scripts()) CheckClient(stack, script, redis_up);
  if (!redis_up) stack.RestartRedis();
  CHECK(stack.Drain().exit_code == 0);
  for (const std::vector<std::string>& script : Scripts()) {
    const std::string stream = std::filesystem::path(script.back()).stem();
    INFO(stream);
    CHECK(stack.Length(stream) == kSingle + kPipelined);
  }
}

TEST_CASE("redis-py, ioredis and node-redis work unmodified with Redis up", "[clients]") {
  CheckAllClients(true);
}
TEST_CASE("redis-py, ioredis and node-redis work unmodified with Redis down", "[clients]") {
  CheckAllClients(false);
}

void CheckRedisBenchmark(bool redis_up) {
  Stack stack({.redis_up = redis_up});
  const RunResult run = Run({"redis-benchmark", "-s", stack.sidecar.socket_path(), "-q", "-n", "4000", "-c", "16", "-P",
                             "16", "XADD", "bench", "*", "data", "__rand_int__"},
                            stack.folder.path());
  INFO(run.out << run.err);
  CHECK(run.exit_code == 0);
  CHECK(run.out.find("requests per second") != std::string::npos);
  CHECK(run.out.find("rror") == std::string::npos);
  if (!redis_up) stack.RestartRedis();
  CHECK(stack.Drain().exit_code == 0);
  CHECK(stack.Length("bench") == 4000);
}

TEST_CASE("redis-benchmark works unmodified with Redis up", "[clients]") {
  CheckRedisBenchmark(true);
}
TEST_CASE("redis-benchmark works unmodified with Redis down", "[clients]") {
  CheckRedisBenchmark(false);
}

void CheckRedisCli(bool redis_up) {
  Stack stack({.redis_up = redis_up});
  const std::string cli = "redis-cli -s " + stack.sidecar.socket_path().string();
  const RunResult one = Run({"sh", "-c", cli + " XADD bounty-stream '*' data '{\"amount\": 10}'"}, stack.folder.path());
  INFO(one.out << one.err);
  CHECK(one.exit_code == 0);
  CHECK(one.out.starts_with("0-") == !redis_up);
  const RunResult pipe =
      Run({"sh", "-c", "for n in $(seq 500); do echo \"XADD bounty-stream * n $n\"; done | " + cli + " --pipe"},
          stack.folder.path());
  INFO(pipe.out << pipe.err);
  CHECK(pipe.exit_code == 0);
  CHECK(pipe.out.find("errors: 0, replies: 500") != std::string::npos);
  if (!redis_up) stack.RestartRedis();
  CHECK(stack.Drain().exit_code == 0);
  CHECK(stack.Length("bounty-stream") == 501);
}

TEST_CASE("redis-cli works unmodified with Redis up, --pipe included", "[clients]") {
  CheckRedisCli(true);
}
TEST_CASE("redis-cli works unmodified with Redis down, --pipe included", "[clients]") {
  CheckRedisCli(false);
}

}  // namespace
}  // namespace sprockets::harness
