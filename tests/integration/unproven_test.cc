// An event in doubt that the stream no longer shows, though it may have been there: nothing proves either, and the
// drain says so.
#include <string>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

// Redis applies the event; the sidecar gets an answer that Redis never gives, so it spills the event in doubt.
Stack::Options InDoubt() {
  return {.through_proxy = true};
}

void AddInDoubt(Stack& stack) {
  REQUIRE(stack.Xadd("s", {"n", "before"}).Landed());
  stack.proxy->ReplaceNextReply("$1", "-ERR the proxy lost the answer\r\n");
  REQUIRE(stack.Xadd("s", {"event_id", "the-lost-one", "n", "doubtful"}).Spilled());
  REQUIRE(stack.proxy->replacement_done());
  REQUIRE(stack.Length("s") == 2);
}

std::string LastId(const Stack& stack) {
  return stack.redis.Call({"XREVRANGE", "s", "+", "-", "COUNT", "1"}).elements.at(0).elements.at(0).text;
}

void CheckUnproven(const Stack& stack) {
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 1);
  CHECK(drained.Count("unproven") == 1);
  CHECK(drained.summary.at("result") == "unproven");
  CHECK(drained.err.find("the-lost-one") != std::string::npos);
}

TEST_CASE("an event in doubt that is in its stream is found, not sent again", "[unproven]") {
  Stack stack(InDoubt());
  AddInDoubt(stack);
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("already_there") == 1);
  CHECK(stack.Length("s") == 2);
}

TEST_CASE("an event in doubt that was deleted before it was settled is unproven, and named", "[unproven]") {
  Stack stack(InDoubt());
  AddInDoubt(stack);
  CHECK(stack.redis.Call({"XDEL", "s", LastId(stack)}).integer == 1);
  CheckUnproven(stack);
}

TEST_CASE("an event in doubt that was trimmed away before it was settled is unproven, and named", "[unproven]") {
  Stack stack(InDoubt());
  AddInDoubt(stack);
  for (int i = 0; i < 10; ++i) REQUIRE(stack.Xadd("s", {"n", std::to_string(i)}).Landed());
  CHECK(stack.redis.Call({"XTRIM", "s", "MAXLEN", "=", "5"}).integer == 7);
  CheckUnproven(stack);
}

TEST_CASE("an event in doubt whose stream was renamed or deleted before it was settled is unproven, and named",
          "[unproven]") {
  Stack stack(InDoubt());
  AddInDoubt(stack);
  const bool renames = GENERATE(true, false);
  const bool goes_on = GENERATE(true, false);
  CHECK_FALSE((renames ? stack.redis.Call({"RENAME", "s", "archived"}) : stack.redis.Call({"DEL", "s"})).IsError(""));
  if (goes_on) REQUIRE(stack.Xadd("s", {"n", "after"}).Landed());
  CheckUnproven(stack);
  CHECK(stack.Length("s") == (goes_on ? 2 : 1));
}

TEST_CASE("absence is proven while an entry from before the doubt is left, whatever was trimmed", "[unproven]") {
  Stack stack(InDoubt());
  REQUIRE(stack.Xadd("s", {"n", "oldest"}).Landed());
  REQUIRE(
      stack.Xadd("s", {"event_id", "before", "n", "1"}).Landed());  // has the tail read, so that the next one is sent
  stack.proxy->HoldRequests();  // it never arrives: the drain's fence ends the connection
  RespClient client = stack.sidecar.Connect();
  client.Send({"XADD", "s", "*", "event_id", "the-lost-one", "n", "doubtful"});
  REQUIRE(WaitUntil([&] { return stack.proxy->Holds("doubtful"); }));
  REQUIRE(client.Read().Spilled());
  CHECK(stack.redis.Call({"XTRIM", "s", "MAXLEN", "=", "1"}).integer == 1);
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("landed") == 1);
  CHECK(stack.Length("s") == 2);
}

}  // namespace
}  // namespace sprockets::harness
