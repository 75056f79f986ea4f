// The whole promise at once: Redis, the sidecar and the replayer are killed again and again over the same files, Redis
// hangs in between, clients go on sending and try again under their event ids; at the end every acknowledged event is
// there exactly once.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr int kKillsOfEach = 18;
constexpr int kHangs = 8;

enum class Blow { kKillRedis, kKillSidecar, kKillReplayer, kHangRedis };

uint64_t Seed() {
  if (const char* given = std::getenv("SPROCKETS_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device()();
}

class Chaos {
 public:
  Chaos(Stack& stack, uint64_t seed) : stack_(stack), random_(seed) {}

  void Run() {
    std::vector<Blow> blows(kKillsOfEach, Blow::kKillRedis);
    blows.insert(blows.end(), kKillsOfEach, Blow::kKillSidecar);
    blows.insert(blows.end(), kKillsOfEach, Blow::kKillReplayer);
    blows.insert(blows.end(), kHangs, Blow::kHangRedis);
    std::shuffle(blows.begin(), blows.end(), random_);
    for (const Blow blow : blows) {
      Sleep(0ms, 150ms);
      if (Chance(2)) EnsureReplayerRuns();
      Sleep(0ms, 50ms);
      Strike(blow);
    }
  }

  /// What is left is drained by a replayer that nobody kills.
  DrainResult DrainInPeace() {
    if (replayer_) replayer_->Kill9();
    stack_.sidecar.AwaitBreaker("closed");
    return stack_.Drain();
  }

  int kills() const { return kills_; }

 private:
  void Strike(Blow blow) {
    switch (blow) {
      case Blow::kKillRedis:
        stack_.redis.Kill9();
        ++kills_;
        Sleep(0ms, 400ms);
        return stack_.redis.Start();
      case Blow::kKillSidecar:
        stack_.sidecar.Kill9();
        ++kills_;
        Sleep(0ms, 50ms);
        return stack_.sidecar.Start();
      case Blow::kKillReplayer:
        return KillReplayer();
      case Blow::kHangRedis:
        stack_.redis.Stop();
        Sleep(300ms, 700ms);  // the sidecar's deadline is 250 ms
        return stack_.redis.Continue();
    }
  }

  void EnsureReplayerRuns() {
    if (replayer_ && replayer_->Running()) return;
    replayer_.reset();
    replayer_ = std::make_unique<Process>(Process::Options{
        .command = ReplayerCommand({"drain", "--redis", stack_.redis.Url(), "--spill-dir", stack_.sidecar.spill_dir(),
                                    "--socket", stack_.sidecar.socket_path()}),
        .output = stack_.folder / "replayer",
        .environment = {}});
  }

  // One that has ended by itself is no victim.
  void KillReplayer() {
    for (;;) {
      EnsureReplayerRuns();
      Sleep(1ms, 60ms);
      if (!replayer_->Running()) continue;
      replayer_->Kill9();
      ++kills_;
      return;
    }
  }

  void Sleep(std::chrono::microseconds least, std::chrono::microseconds most) {
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::uniform_int_distribution<int64_t>(least.count(), most.count())(random_)));
  }
  bool Chance(int one_in) { return std::uniform_int_distribution<int>(1, one_in)(random_) == 1; }

  Stack& stack_;
  std::mt19937_64 random_;
  std::unique_ptr<Process> replayer_;
  int kills_ = 0;
};

/// Clients that send events and relayed commands on the same connection, and keep books of both: what was answered was
/// done, what was answered RETRY was not, and a transaction is done whole or not at all.
class RelayedTraffic {
 public:
  RelayedTraffic(const std::filesystem::path& socket_path, Ledger& ledger) {
    for (size_t i = 0; i < kClients; ++i)
      threads_.emplace_back([this, i, &ledger, socket_path](const std::stop_token& stop) {
        while (!stop.stop_requested() || books_[i].offered) Talk(i, ledger, socket_path, stop);
      });
  }
  void Stop() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
  }
  uint64_t commands() const { return commands_; }

  /// Against Redis, once nobody sends any more.
  void Compare(RespClient& redis) const {
    for (size_t i = 0; i < kClients; ++i) {
      INFO("client " << i << ": " << books_[i].done << " done, " << books_[i].unclear << " unclear");
      const auto value = [&](const std::string& key) {
        const Reply reply = redis.Call({"GET", key});
        return reply.type == Reply::Type::kNull ? 0 : std::stoll(reply.text);
      };
      CHECK(value(KeyOf("n", i)) >= books_[i].done);
      CHECK(value(KeyOf("n", i)) <= books_[i].done + books_[i].unclear);
      CHECK(value(KeyOf("a", i)) == value(KeyOf("b", i)));
      CHECK(value(KeyOf("a", i)) >= books_[i].transactions);
    }
  }

 private:
  static constexpr size_t kClients = 3;
  static constexpr size_t kFirstClient = 1000;  // in the books, behind those of a Load
  struct Books {
    int64_t done = 0;
    int64_t unclear = 0;  // UNKNOWN, or the connection was lost
    int64_t transactions = 0;
    int events = 0;
    std::optional<Event> offered = {};  // and not acknowledged: it is sent again under its id
  };
  static std::string KeyOf(const std::string& name, size_t client) { return name + std::to_string(client); }

  /// Until the connection is lost, or nobody wants any more.
  void Talk(size_t client, Ledger& ledger, const std::filesystem::path& socket_path, const std::stop_token& stop) {
    Books& books = books_[client];
    try {
      RespClient door = RespClient::ConnectUnix(socket_path);
      while (!stop.stop_requested() || books.offered) {
        if (books.offered) {
          const Reply again = door.Call(XaddOf(*books.offered));
          if (!again.Acknowledged()) continue;
          ledger.Acknowledge(*books.offered, again.text, /*at_once=*/false);
          books.offered.reset();
          continue;
        }
        const std::string id = "relayed-" + std::to_string(client) + "-" + std::to_string(++books.events);
        const Event event{"relayed-stream", id, {"n", id, "event_id", id}, false};
        ledger.Intend(event, kFirstClient + client);
        books.offered = event;
        ++books.unclear;
        const std::vector<Reply> replies = door.Pipeline(std::vector<Command>{XaddOf(event),
                                                                              {"INCR", KeyOf("n", client)},
                                                                              {"MULTI"},
                                                                              {"INCR", KeyOf("a", client)},
                                                                              {"INCR", KeyOf("b", client)},
                                                                              {"EXEC"},
                                                                              {"BLPOP", "nothing", "0.005"},
                                                                              {"PING", id}});
        if (replies[0].Acknowledged()) {
          ledger.Acknowledge(event, replies[0].text, /*at_once=*/true);
          books.offered.reset();
        }
        if (!replies[1].IsError("UNKNOWN")) --books.unclear;
        if (replies[1].type == Reply::Type::kInteger) ++books.done;
        if (replies[5].type == Reply::Type::kArray) ++books.transactions;
        if (replies.back().text != id) throw std::runtime_error("an answer is not in its place");
        commands_ += replies.size();
      }
    } catch (const ConnectionClosed&) {
      std::this_thread::sleep_for(10ms);  // the sidecar was killed
    }
  }

  std::array<Books, kClients> books_;
  std::atomic<uint64_t> commands_ = 0;
  std::vector<std::jthread> threads_;
};

TEST_CASE(
    "after more than fifty kills of Redis, sidecar and replayer, every acknowledged event is in its stream exactly "
    "once",
    "[kill]") {
  const uint64_t seed = Seed();
  WARN("SPROCKETS_TEST_SEED=" << seed);
  Stack stack;
  Ledger ledger;
  Load load(stack.sidecar.socket_path(), ledger, {.clients = 3, .pause = 5ms, .limit = 60s});
  RelayedTraffic relayed(stack.sidecar.socket_path(), ledger);
  load.AwaitAcknowledged(100);

  Chaos chaos(stack, seed);
  chaos.Run();
  CHECK(chaos.kills() >= 50);
  relayed.Stop();
  load.Stop();

  const DrainResult drained = chaos.DrainInPeace();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  WARN(comparison.ToString() << ", " << chaos.kills() << " kills, " << load.counts().spilled << " spilled, "
                             << load.counts().retried << " tried again");
  CHECK(comparison.ExactlyOnce());
  WARN(relayed.commands() << " commands of the clients that mix events and relayed commands");
  CHECK(relayed.commands() > 1'000);
  relayed.Compare(redis);
}

}  // namespace
}  // namespace sprockets::harness
