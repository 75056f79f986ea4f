#include "tests/faults/soak/blows.h"

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace sprockets::soak {
namespace {

using namespace std::chrono_literals;
using namespace sprockets::harness;
using soak::Event;

void RunBusyScript(const RedisServer& redis, int lasts_ms) {
  RespClient connection = redis.Connect();
  connection.Send({"EVAL", "while true do end", "0"});
  std::this_thread::sleep_for(std::chrono::milliseconds(lasts_ms + 100));
  redis.Call({"SCRIPT", "KILL"});
}

}  // namespace

std::filesystem::path PasswordFile(const TempDir& folder) {
  std::filesystem::path path = folder / "password";
  std::ofstream(path) << kSecret << "\n";
  return path;
}

bool StrikeRedisOrNetwork(Stack& stack, const Event& event) {
  const auto last = [&] { std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms)); };
  RedisServer& redis = stack.redis;
  Proxy& proxy = *stack.proxy;
  switch (event.blow) {
    case Blow::kHangRedis:
      redis.Stop();
      last();
      redis.Continue();
      return true;
    case Blow::kOutOfMemory:
      redis.Set("maxmemory", "100kb");
      last();
      redis.Set("maxmemory", "0");
      return true;
    case Blow::kNotEnoughReplicas:
      redis.Set("min-replicas-to-write", "3");
      last();
      redis.Set("min-replicas-to-write", "0");
      return true;
    case Blow::kBusyScript:
      RunBusyScript(redis, event.lasts_ms);
      return true;
    case Blow::kPauseWrites:
      redis.Call({"CLIENT", "PAUSE", std::to_string(event.lasts_ms), "WRITE"});
      last();
      return true;
    case Blow::kDropClients:
      redis.Call({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
      return true;
    case Blow::kCutNetwork:
      proxy.CutClients();
      return true;
    case Blow::kCutAtByte:
      proxy.CutAfter(event.bytes % 2 == 1 ? Proxy::Direction::kToClient : Proxy::Direction::kToRedis,
                     static_cast<size_t>(event.bytes));
      last();
      proxy.TakeCut();
      return true;
    case Blow::kHoldBytes:
      proxy.HoldRequests();
      last();
      proxy.CutClients();
      last();
      proxy.ReleaseRequests();
      return true;
    case Blow::kRefuseConnections:
      proxy.RefuseConnections(true);
      proxy.CutClients();
      last();
      proxy.RefuseConnections(false);
      return true;
    case Blow::kDelayReplies:
      proxy.DelayReplies(std::chrono::milliseconds(event.lasts_ms / 2));
      last();
      proxy.DelayReplies(0ms);
      return true;
    case Blow::kRotatePassword:
      redis.Call({"ACL", "SETUSER", kSoaker, "resetpass", ">another"});
      redis.Call({"CLIENT", "KILL", "USER", kSoaker});
      last();
      redis.Call({"ACL", "SETUSER", kSoaker, "resetpass", std::string(">") + kSecret});
      return true;
    default:
      return false;
  }
}

}  // namespace sprockets::soak
