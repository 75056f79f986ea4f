// Which event breaks a connection, and which was only on it: the network may cut as often as it likes, and no event is
// set aside for it.
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/proxy.h"
#include "tests/harness/stack.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

/// Events of stream s, each with its number, spilled while Redis is down; then Redis is up.
struct Spilled : Stack {
  explicit Spilled(const std::vector<size_t>& sizes)
      : Stack({.redis_up = false, .sidecar_options = {"--max-event-bytes", "4MiB"}}), network(redis.port()) {
    RespClient client = sidecar.Connect();
    std::vector<Command> commands;
    for (size_t n = 0; n < sizes.size(); ++n) {
      commands.push_back({"XADD", "s", "*", "n", std::to_string(n), "data", std::string(sizes[n], 'x')});
    }
    for (const Reply& reply : client.Pipeline(commands)) {
      if (!reply.Spilled()) throw std::runtime_error("not spilled: " + reply.text);
    }
    RestartRedis();
  }

  DrainResult DrainOverNetwork(const std::vector<std::string>& more = {}) const {
    return harness::Drain(folder.path(), sidecar.spill_dir(), network.Url(), sidecar.socket_path(), more);
  }
  /// The numbers of the entries, in the order of the stream.
  std::vector<size_t> Numbers() const {
    std::vector<size_t> numbers;
    for (const Reply& entry : redis.Call({"XRANGE", "s", "-", "+"}).elements) {
      numbers.push_back(std::stoul(entry.elements.at(1).elements.at(1).text));
    }
    return numbers;
  }

  Proxy network;  // between the drain and Redis
};

std::vector<size_t> UpTo(size_t count) {
  std::vector<size_t> numbers(count);
  for (size_t n = 0; n < count; ++n) numbers[n] = n;
  return numbers;
}

/// Does something to the network again and again until it is told to stop.
class Saboteur {
 public:
  explicit Saboteur(std::function<void()> act)
      : thread_([this, act = std::move(act)] {
          while (!done_) act();
        }) {}
  ~Saboteur() { Stop(); }
  void Stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

void Pause(std::chrono::microseconds time) {
  std::this_thread::sleep_for(time);
}

TEST_CASE("a network that cuts the drain's connection again and again in one batch gets no event rejected",
          "[poison]") {
  const size_t kEvents = 20'000;
  Spilled stack(std::vector<size_t>(kEvents, 200));
  const int most_cuts = GENERATE(4, 8, 60);
  INFO("at most " << most_cuts << " cuts");
  std::mt19937 random(static_cast<unsigned>(most_cuts));
  int cuts = 0;
  Saboteur saboteur([&] {
    Pause(std::chrono::microseconds(random() % 40'000));
    // Where not even the first connection comes about, Redis counts as not reachable.
    if (cuts == 0 && stack.Length("s") == 0) return;
    if (++cuts <= most_cuts) stack.network.CutClients();
  });
  const DrainResult drained = stack.DrainOverNetwork();
  saboteur.Stop();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("rejected") == 0);
  CHECK(drained.Count("unproven") == 0);
  CHECK(drained.err.find("connection-lost") != std::string::npos);
  CHECK(stack.Numbers() == UpTo(kEvents));
}

TEST_CASE("a network that lets small things pass and cuts every large event rejects none, and all land later",
          "[poison]") {
  Spilled stack({10, 100'000, 10, 100'000, 10});
  Saboteur saboteur([&] {
    stack.network.CutAfter(Proxy::Direction::kToRedis, 20'000);
    Pause(std::chrono::milliseconds(1));
    stack.network.TakeCut();
  });
  const DrainResult cut = stack.DrainOverNetwork();
  saboteur.Stop();
  INFO(cut.err << cut.summary);
  CHECK(cut.exit_code != 0);
  CHECK(cut.Count("rejected") == 0);
  CHECK(cut.Count("left") > 0);
  const DrainResult drained = stack.DrainOverNetwork();
  CHECK(drained.exit_code == 0);
  CHECK(drained.summary.at("result") == "verified");
  CHECK(stack.Numbers() == UpTo(5));
}

TEST_CASE(
    "an event too large for Redis is rejected alone, over a network that cuts, too, and told by every later drain",
    "[poison]") {
  const size_t kEvents = 3000;
  std::vector<size_t> sizes(kEvents, 200);
  sizes[1000] = 2 * 1024 * 1024;
  Spilled stack(sizes);
  stack.redis.Call({"CONFIG", "SET", "proto-max-bulk-len", "1mb"});
  int cuts = 0;
  Saboteur saboteur([&] {
    Pause(std::chrono::milliseconds(25));
    if (cuts == 0 && stack.Length("s") == 0) return;
    if (++cuts <= 4) stack.network.CutClients();
  });
  const DrainResult drained = stack.DrainOverNetwork();
  saboteur.Stop();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 1);
  CHECK(drained.Count("rejected") == 1);
  std::vector<size_t> others = UpTo(kEvents);
  others.erase(others.begin() + 1000);
  CHECK(stack.Numbers() == others);

  const DrainResult next = stack.DrainOverNetwork();
  CHECK(next.exit_code == 1);
  CHECK(next.summary.at("result") == "rejected");
  CHECK(next.Count("rejected") == 1);

  stack.redis.Call({"CONFIG", "SET", "proto-max-bulk-len", "512mb"});
  const DrainResult offered = stack.DrainOverNetwork({"--file", stack.SpillFiles("drained").at(0)});
  INFO(offered.err << offered.summary);
  CHECK(offered.exit_code == 0);
  CHECK(offered.Count("landed") == 1);
  CHECK(stack.DrainOverNetwork().summary.at("result") == "verified");
}

}  // namespace
}  // namespace sprockets::harness
