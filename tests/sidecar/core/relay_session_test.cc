// What a client's own connection owes it: which replies it is given, which were ours, and what is lost with it.
#include "sidecar/core/relay_session.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

using Answer = RelaySession::Answer;

const std::string kMarkerReply = "$9\r\nsprockets\r\n";

struct Client {
  RelaySession session;
  std::string got;
  bool exec_done = false;
  bool refused = false;
  bool ok = true;

  void Take(std::string_view bytes, size_t step = 1'000'000) {
    for (size_t at = 0; at < bytes.size() && ok; at += step) {
      const RelaySession::Taken taken = session.Take(
          bytes.substr(at, step), [this](std::string_view passed) { got += passed; }, [] { return "# ours\r\n"; });
      exec_done |= taken.exec_done;
      refused |= taken.refused;
      ok = taken.ok;
    }
  }
};

TEST_CASE("replies pass, those to our own commands do not, and INFO gets our section, however they are cut") {
  for (const size_t step : {1, 2, 3, 7, 1000}) {
    Client client;
    for (const Answer answer : {Answer::kReply, Answer::kDropped, Answer::kInfo, Answer::kReply, Answer::kInfo})
      client.session.Expect(answer, 0);
    CHECK(client.session.unanswered() == 4);
    client.Take("+A\r\n%1\r\n+drop\r\n:1\r\n$6\r\n# R\r\n\n\r\n$-1\r\n=8\r\ntxt:# V\n\r\n", static_cast<size_t>(step));
    CHECK(client.got == "+A\r\n$14\r\n# R\r\n\n# ours\r\n\r\n$-1\r\n$12\r\n# V\n# ours\r\n\r\n");
    CHECK(client.session.unanswered() == 0);
    CHECK(client.session.idle());
  }
}

TEST_CASE("an INFO that Redis refuses passes as it is, and one too long to hold as it comes") {
  Client client;
  client.session.Expect(Answer::kInfo, 0);
  client.Take("-NOPERM no\r\n");
  CHECK(client.got == "-NOPERM no\r\n");
  client.got.clear();
  client.session.Expect(Answer::kInfo, 0);
  const std::string large = "$1000000\r\n" + std::string(1'000'000, 'x') + "\r\n";
  client.Take(large, 10'000);
  CHECK(client.got == large);
}

TEST_CASE("what may be skipped is answered by Redis, unless Redis takes no writes at all; never by half") {
  for (const size_t step : {1, 3, 1000}) {
    for (const char* reply :
         {"$1\r\n5\r\n", ",5\r\n", ":5\r\n", "-WRONGTYPE no\r\n", "-NOPERM no\r\n", "-ERR no\r\n", "_\r\n"}) {
      INFO(reply);
      Client client;
      client.session.Expect(Answer::kSkippable, 0);
      const std::string_view bytes = reply;
      client.Take(bytes.substr(0, bytes.size() - 1), static_cast<size_t>(step));
      CHECK(client.got.empty());
      CHECK_FALSE(client.session.in_passed_reply());
      client.Take(bytes.substr(bytes.size() - 1));
      CHECK(client.got == reply);
      CHECK_FALSE(client.refused);
      CHECK(client.session.idle());
    }
    for (const char* reply : {"-OOM no\r\n", "-READONLY no\r\n", "-LOADING no\r\n", "-MISCONF no\r\n"}) {
      INFO(reply);
      Client client;
      client.session.Expect(Answer::kSkippable, 0);
      client.Take(reply, static_cast<size_t>(step));
      CHECK(client.got.empty());
      CHECK(client.refused);
      CHECK(client.session.idle());
    }
  }
}

TEST_CASE("pushes pass whenever they come, and answer nothing") {
  Client client;
  client.Take(">2\r\n+invalidate\r\n*0\r\n");
  client.session.Expect(Answer::kReply, 0);
  client.Take(">2\r\n+invalidate\r\n*0\r\n");
  CHECK(client.session.unanswered() == 1);
  client.session.Expect(Answer::kDropped, 0);
  client.Take("+A\r\n>2\r\n+invalidate\r\n*0\r\n+dropped\r\n");
  CHECK(client.got == ">2\r\n+invalidate\r\n*0\r\n>2\r\n+invalidate\r\n*0\r\n+A\r\n>2\r\n+invalidate\r\n*0\r\n");
  CHECK(client.session.idle());
}

TEST_CASE("a subscription is answered when its marker comes back, in either protocol") {
  for (const std::string type : {"*", ">"}) {
    for (const size_t step : {1, 5, 1000}) {
      INFO(type << " " << step);
      const std::string confirmations =
          type + "3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n" + type + "3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";
      const std::string message = type + "3\r\n$7\r\nmessage\r\n$1\r\na\r\n$9\r\nsprockets\r\n";
      const std::string marker = type == "*" ? "*2\r\n$4\r\npong\r\n" + kMarkerReply : kMarkerReply;
      Client client;
      client.session.Expect(Answer::kSubscription, 0);
      client.Take(confirmations + message, static_cast<size_t>(step));
      CHECK(client.session.awaits_subscription());
      client.Take(marker + message, static_cast<size_t>(step));
      CHECK(client.got == confirmations + message + message);
      CHECK(client.session.unanswered() == 0);
      CHECK(client.session.subscribed());
      client.session.Expect(Answer::kSubscription, 0);
      const std::string end = type + "3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n";
      client.Take(end + kMarkerReply, static_cast<size_t>(step));
      CHECK_FALSE(client.session.subscribed());
      CHECK(client.got.ends_with(end));
      CHECK(client.ok);
    }
  }
}

TEST_CASE("shard channels and others are counted apart") {
  Client client;
  client.session.Expect(Answer::kShardSubscription, 0);
  client.Take("*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n*2\r\n$4\r\npong\r\n" + kMarkerReply);
  client.session.Expect(Answer::kSubscription, 0);
  client.Take("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n*2\r\n$4\r\npong\r\n" + kMarkerReply);
  CHECK(client.session.subscribed());
}

TEST_CASE("EXEC has executed unless it answers an error or null") {
  for (const auto& [reply, done] : std::vector<std::pair<std::string_view, bool>>{{"*0\r\n", true},
                                                                                  {"*-1\r\n", false},
                                                                                  {"_\r\n", false},
                                                                                  {"-EXECABORT\r\n", false},
                                                                                  {"*1\r\n$-1\r\n", true}}) {
    Client client;
    client.session.Expect(Answer::kExec, 0);
    client.Take(reply);
    CHECK(client.exec_done == done);
  }
}

TEST_CASE("half a reply is known for one, and a reply that nobody asked for is none") {
  Client client;
  client.session.Expect(Answer::kReply, 0);
  client.Take("$5\r\nhel");
  CHECK(client.session.in_passed_reply());
  client.Take("lo\r\n");
  CHECK_FALSE(client.session.in_passed_reply());
  client.session.Expect(Answer::kDropped, 0);
  client.Take("$5\r\nhel");
  CHECK_FALSE(client.session.in_passed_reply());
  client.Take("lo\r\n-ERR unasked\r\n");
  CHECK_FALSE(client.ok);
}

TEST_CASE("with the connection every unanswered command of the client is lost, in order; ours are not told") {
  Client client;
  client.session.Expect(Answer::kReply, 0);
  client.session.Expect(Answer::kReply, 10);
  client.session.Expect(Answer::kDropped, 20);
  client.session.Expect(Answer::kSubscription, 30);
  client.Take("+OK\r\n");
  std::vector<uint64_t> lost;
  client.session.End([&](uint64_t begin) { lost.push_back(begin); });
  CHECK(lost == std::vector<uint64_t>{10, 30});
  CHECK(client.session.idle());
  CHECK(client.session.unanswered() == 0);
}

}  // namespace
}  // namespace sprockets
