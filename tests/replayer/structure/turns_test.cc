// Who is swapped when, and who is not.
#include "replayer/structure/turns.h"

#include <thread>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

Error Failure(const std::string& why) {
  return {ErrorCode::kRefused, why};
}

TEST_CASE("turns come in order, whoever is ready first") {
  Turns turns(3);
  for (const size_t place : {0U, 1U, 2U}) CHECK(turns.Take() == place);
  CHECK_FALSE(turns.Take().has_value());
  CHECK(turns.Await(0, 0).value());
  CHECK_FALSE(turns.Await(1, 0).value());
  turns.Done(1);  // it had nothing to swap
  CHECK_FALSE(turns.Await(2, 0).value());
  CHECK_FALSE(turns.AwaitEnd(0));
  turns.Done(0);
  CHECK(turns.Await(2, 0).value());
  turns.Done(2);
  CHECK(turns.AwaitEnd(0));
  CHECK(turns.IsOver());
  turns.Fail(0, Failure("too late"));
  CHECK(turns.status().ok());
}

TEST_CASE("behind a place that failed nobody has a turn, and before it everybody has") {
  Turns turns(4);
  for (int i = 0; i < 3; ++i) turns.Take();
  turns.Fail(1, Failure("one"));
  CHECK_FALSE(turns.Take().has_value());
  CHECK(turns.Await(2, 1'000'000).error().message == "one");
  turns.Fail(2, Failure("two"));
  CHECK(turns.status().error().message == "one");
  CHECK_FALSE(turns.AwaitEnd(0));
  CHECK_FALSE(turns.IsOver());
  CHECK(turns.Await(0, 0).value());
  SECTION("and it is done") {
    turns.Done(0);
    CHECK(turns.status().error().message == "one");
  }
  SECTION("and it fails, too") {
    turns.Fail(0, Failure("zero"));
    CHECK(turns.status().error().message == "zero");
  }
  CHECK(turns.AwaitEnd(0));
}

TEST_CASE("who waits for a turn hears at once that it comes, and that it does not") {
  Turns turns(2);
  bool comes = false;
  SECTION("it comes") {
    comes = true;
  }
  SECTION("it does not") {}
  std::thread other([&] { comes ? turns.Done(0) : turns.Fail(0, Failure("zero")); });
  const Result<bool> turn = turns.Await(1, 1'000'000);
  other.join();
  CHECK(turn.ok() == comes);
}

}  // namespace
}  // namespace sprockets
