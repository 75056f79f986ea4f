// Redis clients as published, unmodified, against the socket: one command at a time and in pipelines, Redis up and
// Redis down.
#include <filesystem>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

constexpr size_t kSingle = 20;
constexpr size_t kPipelined = 200;

/// A script connects to the socket and sends kSingle events one by one and kPipelined in a pipeline, to the given
/// stream; it prints the ids that it got, a line each. Then it sends commands of other kinds, and looks at each answer.
struct Client {
  std::string name;  // and that of its stream
  std::vector<std::string> command;
  std::vector<std::string> last_words = {};
};

std::vector<Client> Clients() {
  const std::string scripts = CLIENT_SCRIPTS;
  std::vector<Client> clients = {{"redis-py", {"/usr/bin/python3", scripts + "/redis_py_client.py"}}};
  for (const char* package : {"ioredis-5", "ioredis-6"})
    clients.push_back({package, {"node", scripts + "/ioredis_client.mjs", package}});
  for (const char* package : {"redis-4", "redis-5", "redis-6"})
    clients.push_back({package, {"node", scripts + "/node_redis_client.mjs", package}});
  for (const char* package : {"redis-5", "redis-6"})
    clients.push_back({package + std::string("-resp3"), {"node", scripts + "/node_redis_client.mjs", package}, {"3"}});
  // An optional package: it is a program, and not made for every machine.
  if (std::filesystem::exists(scripts + "/node_modules/@valkey/valkey-glide")) {
    clients.push_back({"valkey-glide", {"node", scripts + "/glide_client.mjs"}});
  } else {
    WARN("Valkey GLIDE is not installed, so it is not tested");
  }
  return clients;
}

size_t LinesBeginning(const std::string& text, const std::string& prefix) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    if (text.compare(at, prefix.size(), prefix) == 0) ++count;
    if (text.find('\n', at) == std::string::npos) break;
  }
  return count;
}

void CheckClient(Stack& stack, const Client& client, bool redis_up) {
  std::vector<std::string> command = client.command;
  command.insert(command.end(), {stack.sidecar.socket_path(), client.name, std::to_string(kSingle),
                                 std::to_string(kPipelined), redis_up ? "up" : "down"});
  command.insert(command.end(), client.last_words.begin(), client.last_words.end());
  const RunResult run = Run(std::move(command), stack.folder.path());
  INFO(client.name << ": " << run.out << run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(LinesBeginning(run.out, "") == kSingle + kPipelined);
  CHECK(LinesBeginning(run.out, "0-") == (redis_up ? 0 : kSingle + kPipelined));
}

void CheckAllClients(bool redis_up) {
  Stack stack({.redis_up = redis_up});
  for (const Client& client : Clients()) CheckClient(stack, client, redis_up);
  if (!redis_up) stack.RestartRedis();
  CHECK(stack.Drain().exit_code == 0);
  for (const Client& client : Clients()) {
    INFO(client.name);
    CHECK(stack.Length(client.name) == kSingle + kPipelined);
  }
}

TEST_CASE("redis-py, ioredis, node-redis and Valkey GLIDE work unmodified with Redis up", "[clients]") {
  CheckAllClients(true);
}
TEST_CASE("redis-py, ioredis, node-redis and Valkey GLIDE work unmodified with Redis down", "[clients]") {
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

TEST_CASE("Redis's own tools run through the socket: all of redis-benchmark, --bigkeys, --stat", "[clients]") {
  Stack stack;
  const std::string socket = stack.sidecar.socket_path().string();
  const RunResult benchmark =
      Run({"redis-benchmark", "-s", socket, "-n", "2000", "-c", "20", "-P", "4", "-r", "100", "--csv"},
          stack.folder.path());
  INFO(benchmark.out << benchmark.err);
  CHECK(benchmark.exit_code == 0);
  for (const char* test : {"PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPOP", "SADD", "HSET", "SPOP", "ZADD",
                           "ZPOPMIN", "LRANGE_600 (first 600 elements)", "MSET (10 keys)"})
    CHECK(benchmark.out.find("\"" + std::string(test) + "\",\"") != std::string::npos);
  CHECK((benchmark.out + benchmark.err).find("rror") == std::string::npos);
  const RunResult big = Run({"redis-cli", "-s", socket, "--bigkeys"}, stack.folder.path());
  INFO(big.out << big.err);
  CHECK(big.exit_code == 0);
  CHECK(big.out.find("Biggest   list found") != std::string::npos);
  const RunResult stat =
      Run({"timeout", "-s", "INT", "2", "stdbuf", "-oL", "redis-cli", "-s", socket, "-i", "0.2", "--stat"},
          stack.folder.path());
  INFO(stat.out << stat.err);
  CHECK(LinesBeginning(stat.out, "") > 3);
  CHECK(stat.out.find("rror") == std::string::npos);
  const RunResult transaction =
      Run({"sh", "-c", "printf 'MULTI\\nSET k 1\\nINCR k\\nEXEC\\n' | redis-cli -s " + socket}, stack.folder.path());
  INFO(transaction.out << transaction.err);
  CHECK(transaction.out == "OK\nQUEUED\nQUEUED\nOK\n2\n");
}

TEST_CASE("redis-cli works unmodified with Redis up, --pipe included", "[clients]") {
  CheckRedisCli(true);
}
TEST_CASE("redis-cli works unmodified with Redis down, --pipe included", "[clients]") {
  CheckRedisCli(false);
}

}  // namespace
}  // namespace sprockets::harness
