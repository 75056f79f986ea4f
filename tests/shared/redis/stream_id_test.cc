// Ids of stream entries.
#include "shared/redis/stream_id.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

TEST_CASE("text that is not a complete entry id is refused") {
  for (const char* text : {"", "-", "1", "1-", "-1", "1-*", "*", "+1-1", "1-+1", "-1-1", "1--1", " 1-1", "1-1 ", "1 -1",
                           "0x1-1", "18446744073709551616-0", "0-18446744073709551616", "1-1-1", "1-1\n"}) {
    INFO(text);
    CHECK_FALSE(ParseStreamId(text).has_value());
  }
}

TEST_CASE("an entry id survives the way to text and back") {
  for (const char* text : {"0-0", "0-1", "1700000000000-12", "18446744073709551615-18446744073709551615"}) {
    const auto id = ParseStreamId(text);
    REQUIRE(id.has_value());
    CHECK(ToString(*id) == text);
  }
}

TEST_CASE("entry ids are ordered as numbers, milliseconds first") {
  CHECK(StreamId{9, 0} < StreamId{10, 0});
  CHECK(StreamId{9, 99} < StreamId{10, 0});
  CHECK(StreamId{9, 9} < StreamId{9, 10});
  CHECK(kStreamBegin < StreamId{0, 1});
}

TEST_CASE("the next id carries into the milliseconds, and nothing follows the last one") {
  CHECK(Next({5, 7}) == StreamId{5, 8});
  CHECK(Next({5, UINT64_MAX}) == StreamId{6, 0});
  CHECK_FALSE(Next({UINT64_MAX, UINT64_MAX}).has_value());
}

}  // namespace
}  // namespace sprockets
