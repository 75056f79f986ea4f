#include "shared/redis/resp.h"

#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "shared/base/limits.h"

namespace sprockets {
namespace {

using Outcome = CommandParser::Outcome;

std::vector<std::string> Strings(std::span<const std::string_view> views) {
  return {views.begin(), views.end()};
}

TEST_CASE("a command that arrives byte by byte is the command that arrived whole") {
  const char wire[] = "*3\r\n$4\r\nPING\r\n$0\r\n\r\n$3\r\n\r\n\0\r\n";
  const std::string input(wire, sizeof wire - 1);
  CommandParser parser(1024);
  for (size_t n = 0; n < input.size(); ++n) {
    REQUIRE(parser.Parse(std::string_view(input).substr(0, n)) == Outcome::kIncomplete);
    REQUIRE(parser.consumed() == 0);
  }
  REQUIRE(parser.Parse(input) == Outcome::kComplete);
  REQUIRE(parser.consumed() == input.size());
  REQUIRE(Strings(parser.args()) == std::vector<std::string>{"PING", "", std::string("\r\n\0", 3)});
}

TEST_CASE("broken RESP is refused in Redis's words") {
  const auto error_of = [](std::string_view input) {
    CommandParser parser(1024);
    REQUIRE(parser.Parse(input) == Outcome::kProtocolError);
    return parser.error();
  };
  for (const char* header :
       {"*x\r\n", "*1048577\r\n", "*99999999999999999999\r\n", "*+1\r\n", "*01\r\n", "*\r\n", "* 1\r\n", "*1\rx"}) {
    CHECK(error_of(header) == "Protocol error: invalid multibulk length");
  }
  for (const char* bulk :
       {"*1\r\n$-1\r\n", "*1\r\n$-5\r\n", "*1\r\n$2147483648\r\n", "*1\r\n$abc\r\n", "*1\r\n$536870913\r\n"}) {
    CHECK(error_of(bulk) == "Protocol error: invalid bulk length");
  }
  CHECK(error_of("*1\r\n*1\r\n$1\r\na\r\n") == "Protocol error: expected '$', got something else");
  CHECK(error_of("*1\r\n:1\r\n") == "Protocol error: expected '$', got something else");
  CHECK(error_of("*1\r\n$4\r\nPINGxx") == "Protocol error: expected CRLF behind a bulk string");
  CHECK(error_of("*1\r\n$" + std::string(40, '1')) == "Protocol error: invalid bulk length");
  CHECK(error_of("set \"a\n") == "Protocol error: unbalanced quotes in request");
  CHECK(error_of("set \"a\"b\n") == "Protocol error: unbalanced quotes in request");
  CHECK(error_of(std::string(kMaxInlineBytes, 'a')) == "Protocol error: too big inline request");
}

TEST_CASE("empty commands are passed over") {
  CommandParser parser(1024);
  for (const char* empty : {"*0\r\n", "*-1\r\n", "\r\n", "\n", "   \r\n"}) {
    REQUIRE(parser.Parse(empty) == Outcome::kEmpty);
    CHECK(parser.consumed() == std::string_view(empty).size());
  }
}

TEST_CASE("inline commands are split and unquoted as redis-cli does") {
  CommandParser parser(1024);
  REQUIRE(parser.Parse("XADD s * data \"a \\\"b\\\" \\x00\\n\" 'it\\'s'\r\nPING\r\n") == Outcome::kComplete);
  CHECK(Strings(parser.args()) ==
        std::vector<std::string>{"XADD", "s", "*", "data", std::string("a \"b\" \0\n", 8), "it's"});
  CHECK_FALSE(parser.is_array());
}

TEST_CASE("a command over the limit goes by without being kept and the next one is read") {
  std::string input;
  const std::string big(5000, 'x');
  const std::vector<std::string_view> large{"XADD", "s", "*", "data", big};
  AppendCommand(input, large);
  const std::vector<std::string_view> ping{"PING"};
  AppendCommand(input, ping);
  CommandParser parser(1000);
  std::string buffer;
  std::vector<Outcome> outcomes;
  for (const char c : input) {
    buffer.push_back(c);
    const Outcome outcome = parser.Parse(buffer);
    if (outcome == Outcome::kComplete) CHECK(Strings(parser.args()) == std::vector<std::string>{"PING"});
    buffer.erase(0, parser.consumed());
    REQUIRE(buffer.size() <= 1100);
    if (outcome != Outcome::kIncomplete) outcomes.push_back(outcome);
  }
  CHECK(outcomes == std::vector<Outcome>{Outcome::kTooLarge, Outcome::kComplete});
}

TEST_CASE("a command with too many words goes by without being kept") {
  std::string input = "*9000\r\n";
  for (int i = 0; i < 9000; ++i) input += "$1\r\na\r\n";
  CommandParser parser(1 << 20);
  REQUIRE(parser.Parse(input) == Outcome::kTooLarge);
  CHECK(parser.consumed() == input.size());
}

TEST_CASE("random commands cut at random places come out whole and in order") {
  std::mt19937_64 random(7);
  std::string wire;
  std::vector<std::vector<std::string>> sent;
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> words(1 + random() % 9);
    for (auto& word : words) {
      word.resize(random() % 40);
      for (char& c : word) c = static_cast<char>(random());
    }
    std::vector<std::string_view> views(words.begin(), words.end());
    AppendCommand(wire, views);
    sent.push_back(std::move(words));
  }
  CommandParser parser(1 << 16);
  std::string buffer;
  std::vector<std::vector<std::string>> received;
  for (size_t at = 0; at < wire.size();) {
    const size_t n = std::min<size_t>(1 + random() % 70, wire.size() - at);
    buffer.append(wire, at, n);
    at += n;
    for (;;) {
      const Outcome outcome = parser.Parse(buffer);
      if (outcome == Outcome::kComplete) received.push_back(Strings(parser.args()));
      buffer.erase(0, parser.consumed());
      if (outcome == Outcome::kIncomplete) break;
      REQUIRE(outcome == Outcome::kComplete);
    }
  }
  CHECK(received == sent);
}

TEST_CASE("a stored command is read back exactly or not at all") {
  const std::vector<std::string_view> args{"a", "", std::string_view("\r\n\0", 3)};
  std::string wire;
  AppendCommand(wire, args);
  std::vector<std::string_view> read;
  REQUIRE(ParseWholeCommand(wire, &read));
  CHECK(read == args);
  for (size_t n = 0; n < wire.size(); ++n) CHECK_FALSE(ParseWholeCommand(std::string_view(wire).substr(0, n), &read));
  CHECK_FALSE(ParseWholeCommand(wire + "x", &read));
  CHECK_FALSE(ParseWholeCommand("*99999999999\r\n", &read));
  CHECK_FALSE(ParseWholeCommand("*1\r\n$9223372036854775807\r\na\r\n", &read));
}

TEST_CASE("a length of -0, over which Redis closes the connection, is never forwarded") {  // found by fuzzing
  CommandParser parser(1024);
  REQUIRE(parser.Parse("*1\r\n$-0\r\n\r\n") == Outcome::kProtocolError);
  CHECK(parser.error() == "Protocol error: invalid bulk length");
  CommandParser another(1024);
  CHECK(another.Parse("*-0\r\n") == Outcome::kProtocolError);
  std::vector<std::string_view> read;
  CHECK_FALSE(ParseWholeCommand("*1\r\n$-0\r\n\r\n", &read));
}

TEST_CASE("line breaks in simple strings and errors become blanks") {
  std::string out;
  AppendSimple(out, "a\r\nb");
  AppendError(out, "ERR c\nd");
  CHECK(out == "+a  b\r\n-ERR c d\r\n");
}

}  // namespace
}  // namespace sprockets
