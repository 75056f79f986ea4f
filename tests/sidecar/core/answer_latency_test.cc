#include "sidecar/core/answer_latency.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

TEST_CASE("an answer takes until the end of its turn, and one whose begin nobody knows does not count") {
  AnswerLatency latency;
  latency.Answered(0);
  CHECK_FALSE(latency.has_answers());
  latency.Answered(1'000);
  latency.Answered(1'000);
  latency.Answered(2'000);
  CHECK(latency.has_answers());
  CHECK(latency.histogram().count() == 0);
  latency.EndTurn(3'000);
  CHECK_FALSE(latency.has_answers());
  CHECK(latency.histogram().count() == 3);
  CHECK(latency.histogram().sum_us() == 2'000 + 2'000 + 1'000);
  latency.EndTurn(9'000);
  CHECK(latency.histogram().count() == 3);
}

}  // namespace
}  // namespace sprockets
