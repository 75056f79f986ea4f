// Which way a command goes, and what it makes of its client.
#include "sidecar/door/routes.h"

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

using Args = std::vector<std::string_view>;
using Transaction = ClientInfo::Transaction;
using Way = Route::Way;

struct Door {
  explicit Door(const Routes::Options& options = {}) : routes(options) {}

  Routes routes;
  ClientInfo client;
  RelaySession session;
  bool available = true;

  Way Send(const Args& args) {
    const Route route = routes.Of(args, client, session, available);
    Routes::Follow(args, route, &client);
    return route.way;
  }
};

TEST_CASE("XADD is the door's own, unless Redis is to be given its id") {
  Door door;
  CHECK(door.Send({"xadd", "s", "*", "f", "v"}) == Way::kEvent);
  CHECK(door.Send({"XADD", "s", "NOMKSTREAM", "MAXLEN", "~", "10", "LIMIT", "5", "*", "f", "v"}) == Way::kEvent);
  CHECK(door.Send({"XADD", "s", "MINID", "1-1", "*", "f", "v"}) == Way::kEvent);
  CHECK(door.Send({"XADD", "s", "5-*", "f", "v"}) == Way::kRelay);
  CHECK(door.Send({"XADD", "s", "MAXLEN", "=", "10", "5", "f", "v"}) == Way::kRelay);
  // What is no XADD at all is told so by the door.
  CHECK(door.Send({"XADD"}) == Way::kEvent);
  CHECK(door.Send({"XADD", "s", "f", "v"}) == Way::kEvent);
  CHECK(door.Send({"XADD", "s", "MAXLEN"}) == Way::kEvent);
}

TEST_CASE("a write that PostgreSQL will restore is skipped while Redis is away, but never in a transaction") {
  Door door({.skips = {{"zincrby", "*-sset"}}});
  const Args write = {"ZINCRBY", "go-sset", "1", "m"};
  const Route sent = door.routes.Of(write, door.client, door.session, /*available=*/true);
  CHECK(sent.way == Way::kRelay);
  CHECK(sent.answer == RelaySession::Answer::kSkippable);
  REQUIRE(sent.skipped.has_value());
  CHECK(sent.skipped->answer == "$1\r\n1\r\n");
  door.available = false;
  CHECK(door.Send(write) == Way::kSkip);
  CHECK(door.Send({"ZINCRBY", "other", "1", "m"}) == Way::kRefuse);
  CHECK(door.Send({"ZADD", "go-sset", "1", "m"}) == Way::kRefuse);
  door.client.protocol = 3;
  CHECK(door.routes.Of(write, door.client, door.session, false).skipped->answer == ",1\r\n");
  door.available = true;
  CHECK(door.Send({"MULTI"}) == Way::kRelay);
  const Route queued = door.routes.Of(write, door.client, door.session, true);
  CHECK(queued.way == Way::kRelay);
  CHECK_FALSE(queued.skipped.has_value());
}

TEST_CASE("a client can start while Redis is away; other commands are told so") {
  Door door;
  door.available = false;
  for (const Args& args : std::vector<Args>{{"HELLO", "3"},
                                            {"PING"},
                                            {"CLIENT", "SETINFO", "LIB-NAME", "x"},
                                            {"INFO"},
                                            {"COMMAND", "DOCS"},
                                            {"CONFIG", "GET", "save"},
                                            {"CLUSTER", "SHARDS"},
                                            {"SELECT", "0"},
                                            {"AUTH", "x"},
                                            {"QUIT"},
                                            {"ROLE"},
                                            {"READONLY"}})
    CHECK(door.Send(args) == Way::kLocal);
  CHECK(door.Send({"GET", "k"}) == Way::kRefuse);
  CHECK(door.routes.Of(Args{"GET", "k"}, door.client, door.session, false).text.starts_with("-RETRY "));
  CHECK(door.Send({"XADD", "s", "*", "f", "v"}) == Way::kEvent);
  CHECK(door.Send({"MULTI"}) == Way::kRefuse);
  door.available = true;
  // The transaction did not begin, so nothing of it may be executed.
  CHECK(door.Send({"SET", "k", "v"}) == Way::kRefuse);
  CHECK(door.Send({"XADD", "s", "*", "f", "v"}) == Way::kRefuse);
  CHECK(door.Send({"EXEC"}) == Way::kLocal);
}

TEST_CASE("in a transaction everything goes to Redis, or the transaction is refused as a whole") {
  Door door;
  CHECK(door.Send({"MULTI"}) == Way::kRelay);
  CHECK(door.Send({"XADD", "s", "*", "f", "v"}) == Way::kRelay);
  CHECK(door.Send({"PING"}) == Way::kRelay);
  CHECK(door.Send({"HELLO", "3"}) == Way::kRelay);
  CHECK(door.client.protocol_at_exec == 3);
  CHECK(door.routes.Of(Args{"exec"}, door.client, door.session, true).answer == RelaySession::Answer::kExec);
  CHECK(door.Send({"EXEC"}) == Way::kRelay);
  CHECK(door.client.transaction == Transaction::kNone);
  for (const Args& args : std::vector<Args>{{"SHUTDOWN"},
                                            {"SELECT", "0"},
                                            {"AUTH", "x"},
                                            {"HELLO", "3", "AUTH", "u", "p"},
                                            {"SUBSCRIBE", "c"},
                                            {"SPROCKETS", "STATUS"},
                                            {"client", "reply", "off"}}) {
    Door other;
    CHECK(other.Send({"MULTI"}) == Way::kRelay);
    CHECK(other.Send(args) == Way::kAbort);
    CHECK(other.client.transaction == Transaction::kRefused);
    CHECK(other.Send({"SET", "k", "v"}) == Way::kRefuse);
    CHECK(other.Send({"DISCARD"}) == Way::kLocal);
  }
}

TEST_CASE("what must not pass does not, in any spelling, unless it is allowed; some can never be") {
  Door door;
  for (const Args& args : std::vector<Args>{{"shutDown"},
                                            {"REPLICAOF", "no", "one"},
                                            {"DEBUG", "JMAP"},
                                            {"MODULE", "LIST"},
                                            {"CONFIG", "set", "a", "b"},
                                            {"CLIENT", "KILL", "x"},
                                            {"PSYNC"},
                                            {"MONITOR"},
                                            {"CLIENT", "REPLY", "SKIP"}})
    CHECK(door.Send(args) == Way::kRefuse);
  CHECK(door.Send({"CONFIG", "GET", "save"}) == Way::kRelay);
  Door allowing({.relay = true, .allowed = {"Config SET", "debug"}});
  CHECK(allowing.Send({"CONFIG", "SET", "a", "b"}) == Way::kRelay);
  CHECK(allowing.Send({"DEBUG", "JMAP"}) == Way::kRelay);
  CHECK(allowing.Send({"CONFIG", "REWRITE"}) == Way::kRefuse);
  CHECK(Routes::CheckAllowed("config SET").ok());
  CHECK_FALSE(Routes::CheckAllowed("MONITOR").ok());
  CHECK_FALSE(Routes::CheckAllowed("GET").ok());
}

TEST_CASE("without the relay the door knows XADD alone, and a transaction is refused") {
  Door door({.relay = false, .allowed = {}});
  CHECK(door.Send({"XADD", "s", "*", "f", "v"}) == Way::kEvent);
  CHECK(door.Send({"XADD", "s", "1-1", "f", "v"}) == Way::kEvent);
  CHECK(door.Send({"GET", "k"}) == Way::kLocal);
  door.client.transaction = Transaction::kRefused;
  CHECK(door.Send({"XADD", "s", "*", "f", "v"}) == Way::kRefuse);
}

TEST_CASE("a subscriber in RESP2 may send nothing else; whether it is one is waited for") {
  Door door;
  const auto route = [&](const Args& args) { return door.routes.Of(args, door.client, door.session, true); };
  CHECK(route({"GET", "k"}).after_subscription);
  CHECK_FALSE(route({"SUBSCRIBE", "b"}).after_subscription);
  door.session.Expect(RelaySession::Answer::kSubscription, 0);
  door.session.Take(
      "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", [](std::string_view) {}, [] { return std::string(); });
  CHECK(route({"GET", "k"}).way == Way::kRefuse);
  CHECK(route({"XADD", "s", "*", "f", "v"}).way == Way::kRefuse);
  CHECK(route({"UNSUBSCRIBE"}).way == Way::kRelay);
  CHECK(route({"PING"}).way == Way::kRelay);
  CHECK(route({"QUIT"}).way == Way::kLocal);
  door.client.protocol = 3;
  CHECK(route({"XADD", "s", "*", "f", "v"}).way == Way::kEvent);
  CHECK(route({"GET", "k"}).way == Way::kRelay);
}

TEST_CASE("what WATCH watched on a lost connection lets no transaction begin, until UNWATCH or the end of it") {
  Door door;
  CHECK(door.Send({"WATCH", "k"}) == Way::kRelay);
  CHECK(door.client.watches);
  door.client.watches = false;
  door.client.watch_lost = true;
  CHECK(door.Send({"GET", "k"}) == Way::kRelay);
  CHECK(door.Send({"WATCH", "j"}) == Way::kRelay);
  CHECK(door.Send({"MULTI"}) == Way::kRefuse);
  CHECK(door.client.transaction == Transaction::kRefused);
  door.client.transaction = Transaction::kNone;
  CHECK(door.Send({"UNWATCH"}) == Way::kRelay);
  CHECK(door.Send({"MULTI"}) == Way::kRelay);
}

}  // namespace
}  // namespace sprockets
