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

TEST_CASE("the handshakes of common clients are answered as a Redis 7 without RESP3 answers them") {
  ClientInfo client{.id = 42, .name = ""};
  CHECK(Answer({"HELLO", "3"}, &client).starts_with("-NOPROTO"));
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

TEST_CASE("anything else is an unknown command, in one line, and nothing of it reaches the terminal raw") {
  ClientInfo client;
  for (const std::vector<std::string_view>& args :
       std::vector<std::vector<std::string_view>>{{"GET", "x"},
                                                  {"CLIENT", "TRACKING", "on"},
                                                  {"CLIENT", "MAINT_NOTIFICATIONS"},
                                                  {"CLIENT"},
                                                  {"CONFIG", "SET", "a", "b"},
                                                  {"a\r\nb"},
                                                  {""}}) {
    const std::string reply = Answer(args, &client);
    CHECK(reply.starts_with("-ERR unknown command"));
    CHECK(reply.find('\n') == reply.size() - 1);
  }
}

TEST_CASE("status and seal are left to somebody who knows") {
  ClientInfo client;
  CHECK(Answer({"sprockets", "status"}, &client, LocalOutcome::kAdminStatus).empty());
  CHECK(Answer({"SPROCKETS", "SEAL"}, &client, LocalOutcome::kAdminSeal).empty());
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
