// The protocol of a connection, answer by answer.
#include "sidecar/core/link_protocol.h"

#include <catch2/catch.hpp>

#include "tests/sidecar/core/handshake_answers.h"

namespace sprockets {
namespace {

using Connections = std::vector<ConnectionId>;

std::string InfoOf(const std::string& run_id, const std::string& state = "role:master\r\nloading:0\r\n") {
  return "run_id:" + run_id + "\r\n" + state;
}

/// A server that answers a handshake, and may say no.
struct Server {
  std::string run_id = "now";
  int64_t client_id = 9;
  bool may_kill = true;
  std::string info = InfoOf(run_id);

  /// Begins and answers the whole handshake; the step that follows it.
  LinkProtocol::Step Greet(LinkProtocol& protocol) const {
    const size_t commands = protocol.Begin().size();
    const Handshake::Answer answers[] = {Text("OK"),         Text(info),
                                         Integer(client_id), may_kill ? Integer(0) : Failure("NOPERM"),
                                         Text(""),           Failure("ERR no such key"),
                                         Text("always")};
    REQUIRE(commands == std::size(answers));
    LinkProtocol::Step step;
    for (const Handshake::Answer& answer : answers) {
      CHECK(std::holds_alternative<LinkProtocol::Wait>(step));
      step = protocol.TakeAnswer(answer);
    }
    return step;
  }
};

Recorded Written(Connections connections, bool lost = false) {
  return {true, "", std::move(connections), lost};
}

Recorded NotWritten() {
  return {false, "disk full", {}, false};
}

template <typename Kind>
Kind Expect(const LinkProtocol::Step& step) {
  REQUIRE(std::holds_alternative<Kind>(step));
  return std::get<Kind>(step);
}

/// A protocol that is ready, on a server of that life.
LinkProtocol ReadyOne() {
  LinkProtocol protocol(RedisUrl{}, {}, false);
  Expect<RecordJob>(Server{}.Greet(protocol));
  Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"now", 9}})));
  return protocol;
}

TEST_CASE("a connection is ready when those before it are dead and it is written down, not before") {
  LinkProtocol protocol(RedisUrl{}, {{"before", 3}, {"now", 4}, {"now", 5}}, false);
  const auto kill = Expect<LinkProtocol::Kill>(Server{}.Greet(protocol));
  CHECK(kill.commands.size() == 2);
  CHECK(kill.commands[1] == "*4\r\n$6\r\nCLIENT\r\n$4\r\nKILL\r\n$2\r\nID\r\n$1\r\n5\r\n");
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Integer(1)));
  const auto job = Expect<RecordJob>(protocol.TakeAnswer(Integer(0)));
  CHECK(job.live == ConnectionId{"now", 9});
  CHECK(job.dead == Connections{{"before", 3}, {"now", 4}, {"now", 5}});
  CHECK_FALSE(protocol.ready());
  const auto ready = Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"now", 9}})));
  CHECK(protocol.ready());
  CHECK(ready.self == ConnectionId{"now", 9});
  CHECK(ready.earlier_fenced);
  CHECK(ready.dead == 3);
}

TEST_CASE("a refused kill leaves its connection on the list, and the fence incomplete") {
  LinkProtocol protocol(RedisUrl{}, {{"now", 4}}, false);
  Expect<LinkProtocol::Kill>(Server{}.Greet(protocol));
  CHECK(Expect<RecordJob>(protocol.TakeAnswer(Failure("NOPERM"))).dead.empty());
  CHECK_FALSE(Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"now", 4}, {"now", 9}}))).earlier_fenced);
}

TEST_CASE("without the right to kill nobody is killed, and the fence is incomplete whoever is listed") {
  const Server server{.may_kill = false};
  LinkProtocol protocol(RedisUrl{}, {{"before", 3}, {"now", 4}}, false);
  CHECK(Expect<RecordJob>(server.Greet(protocol)).dead == Connections{{"before", 3}});
  CHECK_FALSE(Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"now", 9}}))).earlier_fenced);
}

TEST_CASE("earlier connections that nobody can name leave the fence incomplete until the disk says otherwise") {
  LinkProtocol protocol(RedisUrl{}, {}, true);
  Expect<RecordJob>(Server{}.Greet(protocol));
  CHECK_FALSE(Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"now", 9}}, true))).earlier_fenced);
  protocol.End();
  Expect<RecordJob>(Server{.run_id = "later"}.Greet(protocol));
  CHECK(Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"later", 9}}, false))).earlier_fenced);
}

TEST_CASE("a record that fails ends the attempt, and the next one fences as before") {
  LinkProtocol protocol(RedisUrl{}, {{"now", 4}}, false);
  Expect<LinkProtocol::Kill>(Server{}.Greet(protocol));
  Expect<RecordJob>(protocol.TakeAnswer(Integer(1)));
  const auto refused = Expect<LinkProtocol::Refused>(protocol.TakeRecorded(NotWritten()));
  CHECK(refused.why == "saving the connection's id to disk: disk full");
  CHECK_FALSE(refused.for_ever);
  protocol.End();
  CHECK(Expect<LinkProtocol::Kill>(Server{.client_id = 10}.Greet(protocol)).commands.size() == 1);
}

TEST_CASE("the record of an attempt that broke meanwhile makes no later one ready") {
  LinkProtocol protocol(RedisUrl{}, {}, false);
  Expect<RecordJob>(Server{}.Greet(protocol));
  protocol.End();
  SECTION("it comes while the later one waits for its own, which then finds a connection that it did not fence") {
    Expect<RecordJob>(Server{.client_id = 10}.Greet(protocol));
    Expect<LinkProtocol::Wait>(protocol.TakeRecorded(Written({{"now", 9}})));
    CHECK_FALSE(protocol.ready());
    const auto ready = Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"now", 9}, {"now", 10}})));
    CHECK(ready.self == ConnectionId{"now", 10});
    CHECK_FALSE(ready.earlier_fenced);
  }
  SECTION("it comes before the later one fences, and is fenced") {
    Expect<LinkProtocol::Wait>(protocol.TakeRecorded(Written({{"now", 9}})));
    CHECK(Expect<LinkProtocol::Kill>(Server{.client_id = 10}.Greet(protocol)).commands.size() == 1);
  }
  SECTION("it fails, and ends nothing") {
    Expect<RecordJob>(Server{.client_id = 10}.Greet(protocol));
    Expect<LinkProtocol::Wait>(protocol.TakeRecorded(NotWritten()));
    CHECK(Expect<LinkProtocol::Ready>(protocol.TakeRecorded(Written({{"now", 10}}))).earlier_fenced);
  }
}

TEST_CASE("a cluster can never be used if the first handshake finds it, and is waited for if a later one does") {
  const Server cluster{.info = InfoOf("now", "role:master\r\ncluster_enabled:1\r\n")};
  LinkProtocol protocol(RedisUrl{}, {}, false);
  CHECK(Expect<LinkProtocol::Refused>(cluster.Greet(protocol)).for_ever);
  protocol.End();
  CHECK_FALSE(Expect<LinkProtocol::Refused>(cluster.Greet(protocol)).for_ever);
}

TEST_CASE("a server that is loading is refused for now") {
  LinkProtocol protocol(RedisUrl{}, {}, false);
  const Server loading{.info = InfoOf("now", "role:master\r\nloading:1\r\n")};
  const auto refused = Expect<LinkProtocol::Refused>(loading.Greet(protocol));
  CHECK(refused.why.starts_with("LOADING"));
  CHECK_FALSE(refused.for_ever);
}

TEST_CASE("a probe passes where PING and INFO are answered by a master that takes commands") {
  LinkProtocol protocol = ReadyOne();
  CHECK(protocol.Probe().size() == 2);
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Text("PONG")));
  CHECK(Expect<LinkProtocol::Probed>(protocol.TakeAnswer(Text(InfoOf("now")))).passed);
  protocol.Probe();
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Failure("BUSY Redis is busy running a script.")));
  CHECK_FALSE(Expect<LinkProtocol::Probed>(protocol.TakeAnswer(Text(InfoOf("now")))).passed);
  CHECK(protocol.server().refusal.starts_with("BUSY"));
  protocol.Probe();
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Text("PONG")));
  CHECK_FALSE(Expect<LinkProtocol::Probed>(protocol.TakeAnswer(Text(InfoOf("now", "role:slave\r\n")))).passed);
  CHECK(protocol.ready());
}

TEST_CASE("a probe passes where INFO is forbidden") {
  LinkProtocol protocol = ReadyOne();
  protocol.Probe();
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Text("PONG")));
  CHECK(Expect<LinkProtocol::Probed>(protocol.TakeAnswer(Failure("NOPERM"))).passed);
}

TEST_CASE("a probe that is answered by another server ends the connection") {
  LinkProtocol protocol = ReadyOne();
  protocol.Probe();
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Text("PONG")));
  CHECK(Expect<LinkProtocol::Refused>(protocol.TakeAnswer(Text(InfoOf("other")))).why ==
        "a proxy has connected us to another server");
}

TEST_CASE("a second probe on the way leaves each answer to its own question") {
  LinkProtocol protocol = ReadyOne();
  protocol.Probe();
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Text("PONG")));
  protocol.Probe();
  CHECK(Expect<LinkProtocol::Probed>(protocol.TakeAnswer(Text(InfoOf("now")))).passed);
  Expect<LinkProtocol::Wait>(protocol.TakeAnswer(Failure("BUSY")));
  CHECK_FALSE(Expect<LinkProtocol::Probed>(protocol.TakeAnswer(Text(InfoOf("now")))).passed);
}

}  // namespace
}  // namespace sprockets
