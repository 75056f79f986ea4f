// The relay: commands that are not events go to Redis over a connection of the client's own, mean there what they
// always mean, and never hang or harm anybody else when Redis goes.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

using Type = Reply::Type;

const Reply kOk{Type::kSimple, "OK", 0, {}};
const Reply kQueued{Type::kSimple, "QUEUED", 0, {}};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kMostMoreKib = 512 * 1024;  // what is freed is kept for a while
#else
constexpr size_t kMostMoreKib = 32 * 1024;
#endif

void Expect(RespClient& client, std::string_view raw) {
  CHECK(client.ReadRaw(raw.size()) == raw);
}

// ---- What Redis means

TEST_CASE("events and relayed commands of one pipeline are answered in their order", "[relay]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  std::vector<Command> commands;
  for (int i = 0; i < 200; ++i) {
    commands.push_back({"INCR", "n"});
    commands.push_back({"XADD", "s", "*", "i", std::to_string(i)});
    commands.push_back({"PING", std::to_string(i)});
    commands.push_back({"XLEN", "s"});
  }
  const std::vector<Reply> replies = client.Pipeline(commands);
  for (int i = 0; i < 200; ++i) {
    INFO(i);
    const auto at = static_cast<size_t>(i) * 4;
    CHECK(replies[at].integer == i + 1);
    CHECK(replies[at + 1].Landed());
    CHECK(replies[at + 2].text == std::to_string(i));
    // What was sent before has been executed.
    CHECK(replies[at + 3].integer == i + 1);
  }
  CHECK(stack.sidecar.Status()["counters"]["accepted"] == 200);
  CHECK(stack.sidecar.Status()["relay"]["commands"] == 400);
}

TEST_CASE("an event's promises are the door's; in a transaction or under its own id an XADD is Redis's", "[relay]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"MULTI"}) == kOk);
  CHECK(client.Call({"XADD", "s", "*", "a", "b"}) == kQueued);
  CHECK(client.Call({"INCR", "n"}) == kQueued);
  CHECK(client.Call({"PING"}) == kQueued);
  const Reply done = client.Call({"EXEC"});
  REQUIRE(done.elements.size() == 3);
  CHECK(done.elements[0].Landed());
  CHECK(done.elements[1].integer == 1);
  CHECK(client.Call({"XADD", "s", "9999999999999-1", "a", "b"}).text == "9999999999999-1");
  CHECK(client.Call({"XADD", "s", "MAXLEN", "~", "100", "9999999999999-*", "a", "b"}).text == "9999999999999-2");
  CHECK(client.Call({"XADD", "t", "MAXLEN", "~", "100", "*", "a", "b"}).Landed());
  CHECK(client.Call({"EVAL", "return redis.call('XADD', 'u', '*', 'a', 'b')", "0"}).Landed());
  CHECK(stack.sidecar.Status()["counters"]["accepted"] == 1);
}

TEST_CASE("WATCH, blocking reads and scripts are each client's own", "[relay]") {
  Stack stack;
  RespClient watcher = stack.sidecar.Connect();
  RespClient other = stack.sidecar.Connect();
  RespClient blocked = stack.sidecar.Connect();
  blocked.Send({"BLPOP", "queue", "0"});
  CHECK(watcher.Call({"WATCH", "k"}) == kOk);
  CHECK(other.Call({"SET", "k", "1"}) == kOk);
  CHECK(watcher.Call({"MULTI"}) == kOk);
  CHECK(watcher.Call({"SET", "k", "2"}) == kQueued);
  CHECK(watcher.Call({"EXEC"}).type == Type::kNull);
  CHECK_FALSE(blocked.TryRead(50ms));
  CHECK(other.Call({"RPUSH", "queue", "x"}).integer == 1);
  CHECK(blocked.Read().elements.at(1).text == "x");
  // An event behind a blocking read waits for it, as Redis has it.
  blocked.Send({"BLPOP", "queue", "0"});
  blocked.Send({"XADD", "s", "*", "a", "b"});
  CHECK_FALSE(blocked.TryRead(50ms));
  CHECK(stack.Length("s") == 0);
  CHECK(other.Call({"RPUSH", "queue", "y"}).integer == 1);
  CHECK(blocked.Read().elements.at(1).text == "y");
  CHECK(blocked.Read().Landed());
}

TEST_CASE("a subscriber gets its messages; in RESP2 it may send nothing else, as in Redis", "[relay]") {
  Stack stack;
  RespClient subscriber = stack.sidecar.Connect();
  RespClient publisher = stack.sidecar.Connect();
  subscriber.SendRaw("SUBSCRIBE a b\r\nXADD s * f v\r\nPING x\r\n");
  CHECK(subscriber.Read().elements.at(1).text == "a");
  CHECK(subscriber.Read().elements.at(2).integer == 2);
  CHECK(subscriber.Read().text.starts_with("ERR Can't execute 'xadd'"));
  CHECK(subscriber.Read().elements.at(1).text == "x");
  CHECK(publisher.Call({"PUBLISH", "b", "hello"}).integer == 1);
  CHECK(subscriber.Read().elements.at(2).text == "hello");
  subscriber.Send({"UNSUBSCRIBE"});
  CHECK(subscriber.Read().elements.at(2).integer == 1);
  CHECK(subscriber.Read().elements.at(2).integer == 0);
  CHECK(subscriber.Call({"XADD", "s", "*", "f", "v"}).Landed());
  CHECK(subscriber.Call({"GET", "none"}).type == Type::kNull);
}

TEST_CASE("RESP3: HELLO 3 to 2 and back, nulls, maps, and messages between the answers of events", "[relay]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  client.SendRaw("HELLO 3\r\n");
  Expect(client,
         "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:");
  while (client.ReadRaw(1) != "\n") continue;
  Expect(client, "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
  client.SendRaw("CLIENT GETNAME\r\nXADD none NOMKSTREAM * f v\r\nGET none\r\nHSET h f v\r\nHGETALL h\r\n");
  Expect(client, "_\r\n_\r\n_\r\n:1\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
  client.SendRaw("SUBSCRIBE c\r\n");
  Expect(client, ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
  CHECK(stack.redis.Call({"PUBLISH", "c", "m"}).integer == 1);
  Expect(client, ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
  client.SendRaw("XADD s * f v\r\nGET none\r\nUNSUBSCRIBE c\r\n");
  CHECK(client.ReadRaw(5) == "$15\r\n");
  client.ReadRaw(17);
  Expect(client, "_\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
  client.SendRaw("HELLO 2\r\n");
  Expect(client, "*14\r\n");
  std::string rest;
  while (!rest.ends_with("*0\r\n")) rest += client.ReadRaw(1);
  client.SendRaw("GET none\r\n");
  Expect(client, "$-1\r\n");
}

TEST_CASE("HELLO between two halves of a transaction changes the protocol with EXEC", "[relay]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  client.SendRaw("MULTI\r\nHELLO 3\r\nGET none\r\nEXEC\r\nGET none\r\nCLIENT GETNAME\r\n");
  Expect(client, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n%7\r\n");
  std::string rest;
  while (!rest.ends_with("_\r\n_\r\n_\r\n")) rest += client.ReadRaw(1);
  client.SendRaw("RESET\r\nGET none\r\nCLIENT GETNAME\r\n");
  Expect(client, "+RESET\r\n$-1\r\n$-1\r\n");
}

// ---- What does not pass

TEST_CASE("what would end or change Redis does not pass, and takes its transaction along", "[relay]") {
  Stack stack({.sidecar_options = {"--relay-allow", "config set"}});
  RespClient client = stack.sidecar.Connect();
  for (const Command& command : std::vector<Command>{{"SHUTDOWN"},
                                                     {"replicaof", "no", "one"},
                                                     {"DEBUG", "SLEEP", "1"},
                                                     {"PSYNC", "?", "-1"},
                                                     {"MONITOR"},
                                                     {"CONFIG", "REWRITE"},
                                                     {"CLIENT", "REPLY", "OFF"},
                                                     {"SELECT", "1"}}) {
    INFO(command[0]);
    CHECK(client.Call(command).IsError("ERR"));
  }
  CHECK(client.Call({"CONFIG", "SET", "maxmemory-samples", "6"}) == kOk);
  CHECK(client.Call({"MULTI"}) == kOk);
  CHECK(client.Call({"SET", "k", "1"}) == kQueued);
  CHECK(client.Call({"SHUTDOWN"}).IsError("ERR"));
  CHECK(client.Call({"XADD", "s", "*", "f", "v"}).IsError("ERR"));
  CHECK(client.Call({"EXEC"}).IsError("EXECABORT"));
  CHECK(client.Call({"GET", "k"}).type == Type::kNull);
  CHECK(stack.Length("s") == 0);
  CHECK(client.Call({"SET", "k", "2"}) == kOk);
}

TEST_CASE("the streams that are accepted are the same for relayed XADDs", "[relay]") {
  Stack stack({.sidecar_options = {"--streams", "s*"}});
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"XADD", "s", "1-1", "f", "v"}).text == "1-1");
  CHECK(client.Call({"XADD", "t", "1-1", "f", "v"}).IsError("INVALID"));
  CHECK(client.Call({"MULTI"}) == kOk);
  CHECK(client.Call({"XADD", "s", "*", "f", "v"}) == kQueued);
  CHECK(client.Call({"XADD", "t", "*", "f", "v"}).IsError("INVALID"));
  CHECK(client.Call({"EXEC"}).IsError("EXECABORT"));
  CHECK(stack.Length("s") == 1);
}

TEST_CASE("a command that is too large is answered in its turn, and takes its transaction along", "[relay]") {
  Stack stack({.sidecar_options = {"--max-event-bytes", "64KiB"}});
  const std::string large = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000000\r\n" + std::string(5'000'000, 'x') + "\r\n";
  RespClient client = stack.sidecar.Connect();
  client.SendRaw("BLPOP queue 0\r\n" + large + "PING\r\n");
  CHECK_FALSE(client.TryRead(200ms));
  CHECK(stack.redis.Call({"RPUSH", "queue", "x"}).integer == 1);
  CHECK(client.Read().elements.at(1).text == "x");
  CHECK(client.Read().IsError("INVALID"));
  CHECK(client.Read().text == "PONG");
  client.SendRaw("MULTI\r\nSET half 1\r\n" + large + "EXEC\r\nEXISTS half\r\n");
  CHECK(client.Read() == kOk);
  CHECK(client.Read() == kQueued);
  CHECK(client.Read().IsError("INVALID"));
  CHECK(client.Read().IsError("EXECABORT"));
  CHECK(client.Read().integer == 0);
}

TEST_CASE("with --relay off the error says what this is, and nothing reaches Redis", "[relay]") {
  Stack stack({.sidecar_options = {"--relay", "off"}});
  const Reply reply = stack.sidecar.Call({"GET", "k"});
  CHECK(reply.IsError("ERR"));
  CHECK(reply.text.find("the Sprockets sidecar takes XADD only") != std::string::npos);
  CHECK(stack.sidecar.Call({"XADD", "s", "1-1", "f", "v"}).IsError("INVALID"));
  CHECK(stack.sidecar.Call({"XADD", "s", "*", "f", "v"}).Landed());
}

TEST_CASE("a relayed command is the sidecar's user's, whoever the client says it is", "[relay]") {
  Stack stack(
      {.redis_user = "sidecar", .redis_options = {"--user", "sidecar", "on", "nopass", "~*", "&*", "+@all", "-acl"}});
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"ACL", "WHOAMI"}).IsError("NOPERM"));
  CHECK(client.Call({"AUTH", "default", "whatever"}) == kOk);
  CHECK(client.Call({"ACL", "WHOAMI"}).IsError("NOPERM"));
}

TEST_CASE("a command is relayed as the sidecar's user or not at all", "[relay]") {
  Stack stack({.redis_user = "sidecar", .redis_options = {"--user", "sidecar", "on", "nopass", "~*", "&*", "+@all"}});
  RespClient redis = stack.redis.Connect();
  // The sidecar's own connection stands, and a new one cannot log in; the user `default` may do everything.
  CHECK(redis.Call({"ACL", "SETUSER", "sidecar", "resetpass", ">another"}) == kOk);
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"SET", "k", "v"}).IsError("RETRY"));
  CHECK(redis.Call({"EXISTS", "k"}).integer == 0);
  CHECK(stack.Xadd("s", {"data", "1"}).Landed());
}

TEST_CASE("no more connections than allowed; an idle one is given up, one in a transaction is not", "[relay]") {
  Stack stack({.sidecar_options = {"--relay-connections", "2"}});
  RespClient a = stack.sidecar.Connect();
  RespClient b = stack.sidecar.Connect();
  RespClient c = stack.sidecar.Connect();
  CHECK(a.Call({"MULTI"}) == kOk);
  CHECK(b.Call({"SET", "k", "b"}) == kOk);
  CHECK(c.Call({"SET", "k", "c"}) == kOk);  // takes b's
  CHECK(c.Call({"WATCH", "k"}) == kOk);
  CHECK(b.Call({"GET", "k"}).IsError("RETRY"));
  CHECK(c.Call({"UNWATCH"}) == kOk);
  CHECK(b.Call({"GET", "k"}).text == "c");
  CHECK(a.Call({"EXEC"}).elements.empty());
  CHECK(stack.sidecar.Status()["relay"]["connections"] == 2);
}

// ---- Redis goes

TEST_CASE("while Redis is away relayed commands get RETRY at once, and events wait on disk", "[relay]") {
  Stack stack({.redis_up = false});
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"SET", "k", "v"}).IsError("RETRY"));
  CHECK(client.Call({"XADD", "s", "*", "f", "v"}).Spilled());
  CHECK(client.Call({"MULTI"}).IsError("RETRY"));
  CHECK(client.Call({"XADD", "s", "*", "f", "v"}).IsError("ERR"));
  CHECK(client.Call({"EXEC"}).IsError("EXECABORT"));
  CHECK(client.Call({"INFO"}).text.find("loading:0") != std::string::npos);
  stack.RestartRedis();
  CHECK(client.Call({"SET", "k", "v"}) == kOk);
  CHECK(stack.Drain().exit_code == 0);
  CHECK(stack.Length("s") == 1);
}

TEST_CASE("Redis killed: what was in flight is UNKNOWN, a transaction fails as a whole, nobody hangs", "[relay]") {
  Stack stack;
  RespClient blocked = stack.sidecar.Connect();
  RespClient transaction = stack.sidecar.Connect();
  RespClient watcher = stack.sidecar.Connect();
  RespClient subscriber = stack.sidecar.Connect();
  blocked.Send({"BLPOP", "queue", "0"});
  CHECK(transaction.Call({"MULTI"}) == kOk);
  CHECK(transaction.Call({"SET", "half", "1"}) == kQueued);
  CHECK(watcher.Call({"WATCH", "k"}) == kOk);
  CHECK(subscriber.Call({"SUBSCRIBE", "c"}).elements.at(2).integer == 1);
  CHECK_FALSE(blocked.TryRead(50ms));
  SECTION("by a signal") {
    stack.redis.Kill9();
  }
  SECTION("by standing still") {
    stack.redis.Stop();
  }
  CHECK(blocked.Read(5s).IsError("UNKNOWN"));
  CHECK(subscriber.WaitClosed(5s));  // it would wait for messages that never come
  stack.redis.Kill9();
  stack.RestartRedis();
  CHECK(transaction.Call({"SET", "other", "2"}).IsError("ERR"));
  CHECK(transaction.Call({"XADD", "s", "*", "f", "v"}).IsError("ERR"));
  CHECK(transaction.Call({"EXEC"}).IsError("EXECABORT"));
  CHECK(transaction.Call({"EXISTS", "half", "other", "s"}).integer == 0);
  CHECK(watcher.Call({"MULTI"}).IsError("RETRY"));
  CHECK(watcher.Call({"SET", "k", "1"}).IsError("ERR"));
  CHECK(watcher.Call({"EXEC"}).IsError("EXECABORT"));
  CHECK(watcher.Call({"GET", "k"}).type == Type::kNull);
  CHECK(watcher.Call({"SET", "k", "1"}) == kOk);
  CHECK(blocked.Call({"PING"}).text == "PONG");
}

TEST_CASE("Redis lets an idle connection go: the next command finds another", "[relay]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  CHECK(client.Call({"CLIENT", "TRACKING", "off"}) == kOk);
  CHECK(stack.redis.Call({"CLIENT", "KILL", "TYPE", "normal"}).integer >= 1);
  Await("the relay's connections", [&] { return stack.sidecar.Status()["relay"]["connections"] == 0; });
  stack.sidecar.AwaitBreaker("closed");
  CHECK(client.Call({"SET", "k", "v"}) == kOk);
}

// ---- Who sends or reads badly

TEST_CASE("a large answer to a client that reads slowly, and a client that never reads, take no memory", "[relay]") {
  // Redis may be busy with so much for longer than by default.
  Stack stack({.sidecar_options = {"--redis-timeout", "30s"}});
  RespClient redis = stack.redis.Connect();
  CHECK(redis.Call({"SET", "large", std::string(100 << 20, 'x')}, 60s) == kOk);
  const size_t before = ResidentKib(stack.sidecar.process().pid());
  RespClient slow = stack.sidecar.Connect();
  RespClient never = stack.sidecar.Connect();
  RespClient witness = stack.sidecar.Connect();
  slow.Send({"GET", "large"});
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "GETRANGE large 0 999\r\n";
  never.SendUntilBlocked(many, 300ms);
  CHECK(slow.ReadRaw(12) == "$104857600\r\n");
  std::this_thread::sleep_for(500ms);
  CHECK(ResidentKib(stack.sidecar.process().pid()) < before + kMostMoreKib);
  CHECK(witness.Call({"XADD", "s", "*", "f", "v"}).Landed());
  CHECK(witness.Call({"GET", "none"}).type == Type::kNull);
  CHECK(slow.ReadRaw(100 << 20, 60s).size() == 100 << 20);
  CHECK(ResidentKib(stack.sidecar.process().pid()) < before + kMostMoreKib);
}

TEST_CASE("QUIT with answers outstanding gets them first; a client that leaves takes its connection along", "[relay]") {
  Stack stack;
  {
    RespClient client = stack.sidecar.Connect();
    client.SendRaw("SET k 1\r\nXADD s * f v\r\nGET k\r\nQUIT\r\n");
    CHECK(client.Read() == kOk);
    CHECK(client.Read().Landed());
    CHECK(client.Read().text == "1");
    CHECK(client.Read() == kOk);
    CHECK(client.WaitClosed());
    RespClient blocked = stack.sidecar.Connect();
    blocked.Send({"BLPOP", "queue", "0"});
    Await("the relay's connections", [&] { return stack.sidecar.Status()["relay"]["connections"] == 1; });
  }
  Await("the relay's connections", [&] { return stack.sidecar.Status()["relay"]["connections"] == 0; });
}

TEST_CASE("SIGTERM with a blocked client ends the sidecar in time", "[relay]") {
  Stack stack;
  RespClient blocked = stack.sidecar.Connect();
  blocked.Send({"BLPOP", "queue", "0"});
  CHECK_FALSE(blocked.TryRead(50ms));
  CHECK(stack.sidecar.Terminate() == 0);
}

}  // namespace
}  // namespace sprockets::harness
