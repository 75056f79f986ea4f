// Where replies end: every type of both protocols, cut at every byte.
#include "shared/redis/reply_framer.h"

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

using namespace std::string_literals;
using Framed = ReplyFramer::Outcome;

const std::vector<std::string> kReplies = {
    "+OK\r\n",
    "-ERR no\r\n",
    ":-42\r\n",
    ":+7\r\n",
    "$5\r\nhe\r\no\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
    "_\r\n",
    "#t\r\n",
    ",3.14\r\n",
    "(3492890328409238509324850943850943825024385\r\n",
    "=15\r\ntxt:Some string\r\n",
    "!21\r\nSYNTAX invalid syntax\r\n",
    "%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n_\r\n",
    "~2\r\n+a\r\n+b\r\n",
    ">3\r\n+message\r\n$1\r\nc\r\n$1\r\nm\r\n",
    "$3\r\n\0\0\0\r\n"s,
};

/// The lengths of the replies in `bytes`, taken in pieces of `step` bytes.
std::vector<size_t> Frame(ReplyFramer& framer, std::string_view bytes, size_t step) {
  std::vector<size_t> sizes;
  size_t size = 0;
  for (size_t at = 0; at < bytes.size();) {
    size_t taken = 0;
    const Framed outcome = framer.Take(bytes.substr(at, step), &taken);
    REQUIRE(outcome != Framed::kBad);
    at += taken;
    size += taken;
    if (outcome == Framed::kWhole) sizes.push_back(std::exchange(size, 0));
  }
  CHECK(size == 0);
  return sizes;
}

TEST_CASE("replies of both protocols end where they end, however they are cut") {
  std::string all;
  std::vector<size_t> sizes;
  for (const std::string& reply : kReplies) {
    all += reply;
    sizes.push_back(reply.size());
  }
  for (size_t step = 1; step <= all.size(); ++step) {
    ReplyFramer framer;
    CHECK(Frame(framer, all, step) == sizes);
    CHECK_FALSE(framer.in_reply());
  }
}

TEST_CASE("of a reply its type is known, whether it is null, and its last integer") {
  struct Expected {
    std::string_view reply;
    char type;
    bool is_null;
    std::optional<int64_t> last;
  };
  for (const auto& [reply, type, is_null, last] : std::vector<Expected>{
           {"$-1\r\n", '$', true, {}},
           {"*-1\r\n", '*', true, {}},
           {"_\r\n", '_', true, {}},
           {"*1\r\n$-1\r\n", '*', false, {}},
           {"*1\r\n_\r\n", '*', false, {}},
           {"*1\r\n*-1\r\n", '*', false, {}},
           {">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:12\r\n", '>', false, 12},
           {"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", '*', false, 0},
       }) {
    INFO(reply);
    ReplyFramer framer;
    size_t taken = 0;
    CHECK(framer.Take(reply, &taken) == Framed::kWhole);
    CHECK(taken == reply.size());
    CHECK(framer.type() == type);
    CHECK(framer.is_null() == is_null);
    CHECK(framer.last_integer() == last);
  }
}

TEST_CASE("what is no reply is bad, and no number makes it count too far") {
  for (const std::string_view bytes :
       {"x\r\n", "|1\r\n+ttl\r\n:3600\r\n", "\r\n", "$x\r\n", "$-2\r\n", "*99999999999999999999\r\n", "$\r\n", ":\r\n",
        "%9223372036854775807\r\n", ":123456789012345678901234567890123\r\n", "*?\r\n", "*4294967297\r\n"}) {
    INFO(bytes);
    ReplyFramer framer;
    size_t taken = 0;
    CHECK(framer.Take(bytes, &taken) == Framed::kBad);
  }
}

}  // namespace
}  // namespace sprockets
