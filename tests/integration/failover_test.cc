// --ack disk before two servers, one of which replicates the other: what a promoted replica never had, and what a
// server forgets that becomes a replica for a while, comes back under the same ids.
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/proxy.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/temp_dir.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr char kStream[] = "s";

/// Neither keeps anything on disk. The sidecar reaches one of them through `road`.
struct TwoServers {
  const std::vector<std::string> options = {"--appendonly", "no", "--repl-diskless-sync-delay", "0"};
  TempDir one_folder;
  TempDir other_folder;
  RedisServer one{one_folder.path(), options};
  RedisServer other{other_folder.path(), options};
  Proxy road{one.port()};
  Proxy replication{one.port(), Proxy::Carries::kBytes};  // from `one` to `other`
  Sidecar sidecar{
      {.folder = one_folder.path(), .redis_url = road.Url(), .spill_dir = {}, .arguments = {"--ack", "disk"}}};

  TwoServers() {
    one.Start();
    other.Start();
    sidecar.Start();
    sidecar.AwaitBreaker("closed");
  }

  void AwaitLanded() const {
    Await("the journal to land", [this] {
      const auto status = sidecar.Status();
      return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
    });
  }

  /// The id that it was answered with.
  std::string Add(const std::string& event_id) const {
    const Reply reply = sidecar.Call({"XADD", kStream, "*", "event_id", event_id});
    REQUIRE(reply.Landed());
    return reply.text;
  }
};

void Follow(const RedisServer& replica, int port) {
  replica.Call({"REPLICAOF", "127.0.0.1", std::to_string(port)});
  Await("the replica", [&] {
    return replica.Call({"INFO", "replication"}).text.find("master_link_status:up") != std::string::npos;
  });
}

void Promote(const RedisServer& replica) {
  REQUIRE(replica.Call({"REPLICAOF", "NO", "ONE"}).text == "OK");
}

size_t EntriesOf(const RedisServer& redis, const std::string& stream) {
  return static_cast<size_t>(redis.Call({"XLEN", stream}).integer);
}

std::vector<std::string> IdsOf(const RedisServer& redis) {
  RespClient client = redis.Connect();
  std::vector<std::string> ids;
  for (const StreamEntry& entry : ReadEntries(client, kStream)) ids.push_back(entry.id);
  return ids;
}

void CheckNobodyWasOvertaken(const Sidecar& sidecar) {
  const auto counters = sidecar.Status().at("counters");
  CHECK(counters.at("overtaken") == 0);
  CHECK(counters.at("unproven") == 0);
  CHECK(counters.at("reported") == 0);
  CHECK(counters.at("rejected") == 0);
}

void CheckBooks(const Ledger& ledger, const RedisServer& redis) {
  RespClient client = redis.Connect();
  const Ledger::Comparison comparison = ledger.Compare(client);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

TEST_CASE("failover: what the promoted replica never had is sent again, under the same ids", "[failover]") {
  TwoServers servers;
  Follow(servers.other, servers.replication.port());
  Ledger ledger;
  const std::string stream = "bounty-stream";
  {
    Load load(servers.sidecar.socket_path(), ledger, {.events = 2'000});
    load.AwaitEnd();
  }
  servers.AwaitLanded();
  Await("the replica to have it all",
        [&] { return EntriesOf(servers.other, stream) == EntriesOf(servers.one, stream); });

  servers.replication.DelayReplies(1h);
  {
    Load load(servers.sidecar.socket_path(), ledger, {.first_event = 100'000, .events = 2'000});
    load.AwaitEnd();
  }
  servers.AwaitLanded();
  REQUIRE(EntriesOf(servers.one, stream) > EntriesOf(servers.other, stream) + 200);

  Load load(servers.sidecar.socket_path(), ledger, {.first_event = 200'000});
  load.AwaitAcknowledged(100);
  servers.one.Kill9();
  servers.replication.CutClients();
  servers.replication.RefuseConnections(true);
  load.AwaitAcknowledged(load.acknowledged() + 100);  // while there is no server
  Promote(servers.other);
  servers.road.LeadTo(servers.other.port());
  servers.road.CutClients();
  load.AwaitAcknowledged(load.acknowledged() + 500);
  load.Stop();

  servers.AwaitLanded();
  CheckBooks(ledger, servers.other);
  CHECK(servers.sidecar.Status().at("counters").at("refills") > 0);
  CheckNobodyWasOvertaken(servers.sidecar);
}

TEST_CASE("failover: back to the old server, which has come back with less", "[failover]") {
  TwoServers servers;
  Ledger ledger;
  Load load(servers.sidecar.socket_path(), ledger, {});
  RedisServer* serving = &servers.one;
  RedisServer* waiting = &servers.other;
  for (int i = 0; i < 4; ++i) {
    // The one that waits is a copy of now; what follows, it never hears of.
    Follow(*waiting, serving->port());
    load.AwaitAcknowledged(load.acknowledged() + 100);
    Promote(*waiting);
    load.AwaitAcknowledged(load.acknowledged() + 200);
    if (i % 2 == 0) {
      serving->Kill9();
      serving->Start();
    }
    servers.road.LeadTo(waiting->port());
    servers.road.CutClients();
    load.AwaitAcknowledged(load.acknowledged() + 200);
    std::swap(serving, waiting);
  }
  load.Stop();
  servers.AwaitLanded();
  CheckBooks(ledger, *serving);
  CheckNobodyWasOvertaken(servers.sidecar);
}

TEST_CASE("failover: a server that was a replica for a moment has another dataset on the same connection",
          "[failover]") {
  const TwoServers servers;
  std::vector<std::string> told;
  int made = 0;
  const auto add = [&](int events) {
    for (int i = 0; i < events; ++i) told.push_back(servers.Add("e" + std::to_string(made++)));
  };
  add(20);
  servers.AwaitLanded();
  Follow(servers.other, servers.one.port());
  Await("the copy", [&] { return IdsOf(servers.other) == told; });
  Promote(servers.other);
  for (int i = 0; i < 6; ++i) {
    add(10);
    servers.AwaitLanded();
    // Within the second after which the sidecar would ask an idle server who it is.
    Follow(servers.one, servers.other.port());
    Promote(servers.one);
    CHECK(IdsOf(servers.one).size() == 20);
    add(1);
    servers.AwaitLanded();
    CHECK(IdsOf(servers.one) == told);
  }
  CheckNobodyWasOvertaken(servers.sidecar);
}

TEST_CASE("failover: replicas for a while under load, with connections that stay open", "[failover]") {
  const TwoServers servers;
  Ledger ledger;
  Load load(servers.sidecar.socket_path(), ledger, {});
  load.AwaitAcknowledged(200);
  Follow(servers.other, servers.one.port());
  Promote(servers.other);
  for (int i = 0; i < 4; ++i) {
    load.AwaitAcknowledged(load.acknowledged() + 200);
    Follow(servers.one, servers.other.port());
    load.AwaitAcknowledged(load.acknowledged() + 50);
    Promote(servers.one);
  }
  load.Stop();
  servers.AwaitLanded();
  CheckBooks(ledger, servers.one);
  CheckNobodyWasOvertaken(servers.sidecar);
}

// What had landed is its owner's business; but nothing that was acknowledged afterwards may be lost with it.
TEST_CASE("failover: FLUSHALL on a live connection takes nothing that comes after it", "[failover]") {
  const TwoServers servers;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 30; ++i) servers.Add("before" + std::to_string(100 * round + i));
    servers.AwaitLanded();
    REQUIRE(servers.one.Call({"FLUSHALL"}).text == "OK");
    std::vector<std::string> told;
    for (int i = 0; i < 30; ++i) told.push_back(servers.Add("after" + std::to_string(100 * round + i)));
    servers.AwaitLanded();
    CHECK(IdsOf(servers.one) == told);
    servers.one.Call({"DEL", kStream});
  }
}

}  // namespace
}  // namespace sprockets::harness
