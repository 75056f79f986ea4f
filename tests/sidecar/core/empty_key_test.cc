// What is answered in Redis's place, on a key that does not exist. tests/integration/skip_test.cc asks Redis itself.
#include "sidecar/core/empty_key.h"

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

using Args = std::vector<std::string_view>;

std::string AnswerTo(const Args& args, int protocol = 2) {
  REQUIRE(HasEmptyKeyAnswer(args[0]));
  return AnswerOnEmptyKey(args, protocol).resp;
}

bool Writes(const Args& args) {
  return AnswerOnEmptyKey(args, 2).writes;
}

TEST_CASE("an increment of nothing is the increment") {
  CHECK(AnswerTo({"ZINCRBY", "k", "0.001", "m"}) == "$5\r\n0.001\r\n");
  CHECK(AnswerTo({"zincrby", "k", "-50", "m"}) == "$3\r\n-50\r\n");
  CHECK(AnswerTo({"ZINCRBY", "k", "100000", "m"}) == "$6\r\n100000\r\n");
  CHECK(AnswerTo({"ZINCRBY", "k", "+inf", "m"}) == "$3\r\ninf\r\n");
  CHECK(AnswerTo({"ZINCRBY", "k", "2.5", "m"}, 3) == ",2.5\r\n");
  CHECK(AnswerTo({"HINCRBY", "k", "f", "-7"}) == ":-7\r\n");
  CHECK(AnswerTo({"HINCRBYFLOAT", "k", "f", "1e3"}) == "$4\r\n1000\r\n");
  CHECK(AnswerTo({"INCRBYFLOAT", "k", "-0.5"}) == "$4\r\n-0.5\r\n");
  CHECK(AnswerTo({"DECRBY", "k", "3"}) == ":-3\r\n");
}

TEST_CASE("what is added is counted once, whatever the options say of it") {
  CHECK(AnswerTo({"ZADD", "k", "1", "a", "2", "a", "3", "b"}) == ":2\r\n");
  CHECK(AnswerTo({"ZADD", "k", "CH", "1", "a", "2", "a"}) == ":2\r\n");
  CHECK(AnswerTo({"ZADD", "k", "gt", "ch", "2", "a", "1", "a"}) == ":1\r\n");
  CHECK(AnswerTo({"ZADD", "k", "XX", "1", "a"}) == ":0\r\n");
  CHECK(AnswerTo({"ZADD", "k", "INCR", "1.5", "a"}) == "$3\r\n1.5\r\n");
  CHECK(AnswerTo({"ZADD", "k", "XX", "INCR", "1.5", "a"}) == "$-1\r\n");
  CHECK(AnswerTo({"ZADD", "k", "XX", "INCR", "1.5", "a"}, 3) == "_\r\n");
  CHECK(AnswerTo({"HSET", "k", "f", "1", "f", "2", "g", "3"}) == ":2\r\n");
  CHECK(AnswerTo({"SADD", "k", "a", "b", "a"}) == ":2\r\n");
}

TEST_CASE("what Redis would refuse is refused in its words, and is no write") {
  const std::vector<std::pair<Args, std::string>> refused = {
      {{"ZINCRBY", "k", "x", "m"}, "-ERR value is not a valid float\r\n"},
      {{"ZINCRBY", "k", "nan", "m"}, "-ERR value is not a valid float\r\n"},
      {{"ZINCRBY", "k", "1e400", "m"}, "-ERR value is not a valid float\r\n"},
      {{"ZINCRBY", "k", " 1", "m"}, "-ERR value is not a valid float\r\n"},
      {{"ZINCRBY", "k", "1"}, "-ERR wrong number of arguments for 'zincrby' command\r\n"},
      {{"HINCRBY", "k", "f", "1.0"}, "-ERR value is not an integer or out of range\r\n"},
      {{"INCRBY", "k", "01"}, "-ERR value is not an integer or out of range\r\n"},
      {{"DECRBY", "k", "-9223372036854775808"}, "-ERR decrement would overflow\r\n"},
      {{"ZADD", "k", "NX", "XX", "1", "a"}, "-ERR XX and NX options at the same time are not compatible\r\n"},
      {{"ZADD", "k", "1", "a", "2"}, "-ERR syntax error\r\n"},
      {{"HSET", "k", "f", "1", "g"}, "-ERR wrong number of arguments for 'hset' command\r\n"},
  };
  for (const auto& [args, answer] : refused) {
    INFO(args[0] << " " << args[2]);
    CHECK(AnswerTo(args) == answer);
    CHECK_FALSE(Writes(args));
  }
}

TEST_CASE("a write counts even where nothing would be there to change; a look does not") {
  for (const Args& args : std::vector<Args>{{"ZREM", "k", "m"}, {"DEL", "k"}, {"EXPIRE", "k", "5"}, {"HDEL", "k", "f"}})
    CHECK(Writes(args));
  for (const Args& args : std::vector<Args>{{"TYPE", "k"}, {"EXISTS", "k"}, {"ZCARD", "k"}, {"GET", "k"}})
    CHECK_FALSE(Writes(args));
  CHECK(AnswerTo({"TYPE", "k"}) == "+none\r\n");
  CHECK(AnswerTo({"TTL", "k"}) == ":-2\r\n");
  CHECK(AnswerTo({"GET", "k"}, 3) == "_\r\n");
}

TEST_CASE("only commands whose answer is known have one") {
  CHECK_FALSE(HasEmptyKeyAnswer("ZUNIONSTORE"));
  CHECK_FALSE(HasEmptyKeyAnswer("EVAL"));
  CHECK_FALSE(HasEmptyKeyAnswer("XADD"));
  CHECK_FALSE(HasEmptyKeyAnswer(""));
}

}  // namespace
}  // namespace sprockets
