#include "sidecar/door/local_commands.h"

#include <vector>

#include <catch2/catch.hpp>

#include "sidecar/core/seal_policy.h"

namespace sprockets {
namespace {

std::string Answer(std::vector<std::string_view> args, ClientInfo* client,
                   LocalOutcome expected = LocalOutcome::kAnswered) {
  std::string reply;
  CHECK(AnswerLocally(args, client, ServerInfo{}, &reply) == expected);
  return reply;
}

TEST_CASE("the handshakes of common clients are answered as a Redis 7 answers them") {
  ClientInfo client;
  client.id = 42;
  CHECK(Answer({"HELLO", "4"}, &client).starts_with("-NOPROTO"));
  CHECK(Answer({"HELLO", "x"}, &client).starts_with("-ERR Protocol version"));
  CHECK(Answer({"hello", "2", "AUTH", "u", "p", "SETNAME", "n"}, &client).starts_with("*14\r\n$6\r\nserver"));
  CHECK(Answer({"CLIENT", "GETNAME"}, &client) == "$1\r\nn\r\n");
  CHECK(Answer({"HELLO", "2", "NONSENSE"}, &client).starts_with("-ERR"));
  CHECK(Answer({"AUTH", "secret"}, &client) == "+OK\r\n");
  CHECK(Answer({"SELECT", "0"}, &client) == "+OK\r\n");
  CHECK(Answer({"SELECT", "1"}, &client).starts_with("-ERR"));
  CHECK(Answer({"CLIENT", "SETINFO", "LIB-NAME", "x"}, &client) == "+OK\r\n");
  CHECK(Answer({"CLIENT", "ID"}, &client) == ":42\r\n");
  CHECK(Answer({"CONFIG", "GET", "save"}, &client) == "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
  CHECK(Answer({"CONFIG", "GET", "maxmemory"}, &client) == "*0\r\n");
  CHECK(Answer({"COMMAND"}, &client) == "*0\r\n");
  CHECK(Answer({"COMMAND", "DOCS"}, &client) == "*0\r\n");
  CHECK(Answer({"PING"}, &client) == "+PONG\r\n");
  CHECK(Answer({"PING", "x"}, &client) == "$1\r\nx\r\n");
  CHECK(Answer({"ECHO", "x"}, &client) == "$1\r\nx\r\n");
  CHECK(Answer({"RESET"}, &client) == "+RESET\r\n");
  CHECK(Answer({"QUIT"}, &client, LocalOutcome::kAnswerAndClose) == "+OK\r\n");
  const std::string info = Answer({"INFO"}, &client);
  CHECK(info.find("role:master\r\n") != std::string::npos);
  CHECK(info.find("loading:0\r\n") != std::string::npos);
  CHECK(info.find("# Sprockets") != std::string::npos);
}

TEST_CASE("from HELLO 3 on nulls, maps and texts are those of RESP3, until HELLO 2 or RESET") {
  ClientInfo client;
  CHECK(Answer({"HELLO", "3", "SETNAME", "n", "AUTH", "u", "p"}, &client).starts_with("%7\r\n$6\r\nserver"));
  CHECK(client.name == "n");
  CHECK(Answer({"HELLO"}, &client).find("$5\r\nproto\r\n:3\r\n") != std::string::npos);
  client.name.clear();
  CHECK(Answer({"CLIENT", "GETNAME"}, &client) == "_\r\n");
  CHECK(Answer({"CONFIG", "GET", "save"}, &client) == "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
  CHECK(Answer({"COMMAND", "DOCS"}, &client) == "%0\r\n");
  CHECK(Answer({"COMMAND"}, &client) == "*0\r\n");
  CHECK(Answer({"INFO"}, &client).starts_with("="));
  const std::string info = Answer({"CLIENT", "INFO"}, &client);
  CHECK(info.substr(info.find('\n') + 1).starts_with("txt:id=0 "));
  // A refused HELLO changes nothing.
  CHECK(Answer({"HELLO", "2", "NONSENSE"}, &client).starts_with("-ERR"));
  CHECK(client.protocol == 3);
  CHECK(Answer({"HELLO", "2"}, &client).starts_with("*14\r\n"));
  CHECK(Answer({"CLIENT", "GETNAME"}, &client) == "$-1\r\n");
  client.protocol = 3;
  CHECK(Answer({"RESET"}, &client) == "+RESET\r\n");
  CHECK(client.protocol == 2);
}

TEST_CASE("what clients of this year send at their start is answered or refused as Redis would") {
  ClientInfo client;
  CHECK(Answer({"CLIENT", "NO-EVICT", "on"}, &client) == "+OK\r\n");
  CHECK(Answer({"CLIENT", "NO-TOUCH", "off"}, &client) == "+OK\r\n");
  CHECK(Answer({"CLIENT", "LIST"}, &client).starts_with("$"));
  for (const std::string_view subcommand : {"MAINT_NOTIFICATIONS", "TRACKING", "NONSENSE"})
    CHECK(Answer({"CLIENT", subcommand, "on"}, &client).starts_with("-ERR unknown subcommand"));
  CHECK(Answer({"CLIENT", "SETNAME", "two words"}, &client).starts_with("-ERR Client names cannot contain"));
  CHECK(Answer({"CLUSTER", "SHARDS"}, &client) == "-ERR This instance has cluster support disabled\r\n");
  CHECK(Answer({"READONLY"}, &client) == "-ERR This instance has cluster support disabled\r\n");
  CHECK(Answer({"ROLE"}, &client) == "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
  CHECK(Answer({"SENTINEL", "MASTERS"}, &client).starts_with("-ERR unknown command"));
}

TEST_CASE("anything else is an unknown command, in one line, and nothing of it reaches the terminal raw") {
  ClientInfo client;
  for (const std::vector<std::string_view>& args : std::vector<std::vector<std::string_view>>{
           {"GET", "x"}, {"CLIENT"}, {"CONFIG", "SET", "a", "b"}, {"a\r\nb"}, {""}}) {
    const std::string reply = Answer(args, &client);
    CHECK(reply.starts_with("-ERR unknown command"));
    CHECK(reply.find('\n') == reply.size() - 1);
  }
}

TEST_CASE("status and seal are left to somebody who knows") {
  ClientInfo client;
  CHECK(Answer({"sprockets", "status"}, &client, LocalOutcome::kAdmin).empty());
  CHECK(Answer({"SPROCKETS", "SEAL"}, &client, LocalOutcome::kAdmin).empty());
}

TEST_CASE("a file is sealed when Redis has been back for a while, not at each flap") {
  SealFacts facts{
      .now_ms = 100'000, .rows = 5, .healthy_since_ms = 90'000, .first_spill_ms = 80'000, .last_spill_ms = 89'000};
  CHECK(ShouldSeal(facts, 5'000));
  facts.rows = 0;
  CHECK_FALSE(ShouldSeal(facts, 5'000));
  facts.rows = 5;
  facts.healthy_since_ms = 97'000;
  CHECK_FALSE(ShouldSeal(facts, 5'000));
  facts.healthy_since_ms = 0;
  CHECK_FALSE(ShouldSeal(facts, 5'000));
  facts.healthy_since_ms = 50'000;
  facts.last_spill_ms = 99'000;  // a stream that is refused goes on spilling
  CHECK_FALSE(ShouldSeal(facts, 5'000));
  facts.first_spill_ms = 40'000;
  CHECK(ShouldSeal(facts, 5'000));
}

}  // namespace
}  // namespace sprockets
