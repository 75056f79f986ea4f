// What a restarted sidecar still knows: the newest events of all, wherever they lie, and what had no answer yet. And
// what it does with an event that it cannot look up.
#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

std::vector<Command> Events(const std::string& stream, const std::string& prefix, int count, size_t bytes = 20) {
  std::vector<Command> commands;
  for (int i = 0; i < count; ++i) {
    commands.push_back({"XADD", stream, "*", "data", std::string(bytes, 'x'), "event_id", prefix + std::to_string(i)});
  }
  return commands;
}

std::vector<Reply> Send(const Stack& stack, const std::vector<Command>& commands) {
  RespClient client = stack.sidecar.Connect();
  std::vector<Reply> replies = client.Pipeline(commands);
  for (const Reply& reply : replies) REQUIRE(reply.Acknowledged());
  return replies;
}

void Restart(Stack& stack, bool kill) {
  if (kill) {
    stack.sidecar.Kill9();
  } else {
    CHECK(stack.sidecar.Terminate() == 0);
  }
  stack.sidecar.Start();
}

void DrainWell(const Stack& stack) {
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
}

TEST_CASE("what landed last is known after a restart, however much was spilled and drained before", "[window]") {
  Stack stack({.redis_up = false, .sidecar_options = {"--dedupe-window", "500"}});
  Send(stack, Events("s", "spilled-", 500));
  stack.RestartRedis();
  DrainWell(stack);
  const std::vector<Command> last = Events("s", "landed-", 50);
  const std::vector<Reply> first = Send(stack, last);
  const bool kill = GENERATE(true, false);
  Restart(stack, kill);
  stack.sidecar.AwaitBreaker("closed");
  CHECK(Send(stack, last) == first);
  CHECK(stack.Length("s") == 550);
}

TEST_CASE("a busy stream that is asked for first takes no place from the newer events of another", "[window]") {
  Stack stack({.sidecar_options = {"--dedupe-window", "500"}});
  Send(stack, Events("busy", "b-", 600));
  const std::vector<Command> last = Events("quiet", "q-", 30);
  const std::vector<Reply> first = Send(stack, last);
  Restart(stack, /*kill=*/true);
  stack.sidecar.AwaitBreaker("closed");
  Send(stack, Events("busy", "new-", 1));
  // One at a time: each must be known by itself.
  for (size_t i = 0; i < last.size(); ++i) CHECK(stack.sidecar.Call(last[i]) == first[i]);
  CHECK(stack.Length("quiet") == 30);
}

TEST_CASE("after kill -9 an answer that was lost is found, whatever the window is full of", "[window]") {
  Stack stack({.sidecar_options = {"--dedupe-window", "10"}});
  const std::vector<Command> last = Events("quiet", "q-", 30);
  const std::vector<Reply> first = Send(stack, last);
  Restart(stack, /*kill=*/true);
  stack.sidecar.AwaitBreaker("closed");
  Send(stack, Events("busy", "b-", 100));
  // However many lives later its client comes back.
  if (GENERATE(false, true)) {
    Restart(stack, /*kill=*/false);
    stack.sidecar.AwaitBreaker("closed");
    Send(stack, Events("busy", "c-", 100));
  }
  for (size_t i = 0; i < last.size(); ++i) CHECK(stack.sidecar.Call(last[i]) == first[i]);
  CHECK(stack.Length("quiet") == 30);
}

TEST_CASE("what landed before a drain is known beside what was drained into the same stream", "[window]") {
  Stack stack({.redis_up = false, .sidecar_options = {"--dedupe-window", "100"}});
  Send(stack, Events("s", "spilled-", 500));
  stack.RestartRedis();
  const std::vector<Command> events = Events("s", "landed-", 20);
  const std::vector<Reply> first = Send(stack, events);
  DrainWell(stack);
  Restart(stack, GENERATE(true, false));
  stack.sidecar.AwaitBreaker("closed");
  CHECK(Send(stack, events) == first);
  CHECK(stack.Length("s") == 520);
}

TEST_CASE("the last spilled events of a quiet stream are known beside those of a busy one", "[window]") {
  Stack stack({.sidecar_options = {"--dedupe-window", "500"}});
  Send(stack, Events("busy", "first-", 1));
  Send(stack, Events("quiet", "first-", 1));
  stack.redis.Kill9();
  stack.sidecar.AwaitBreaker("open");
  Send(stack, Events("busy", "b-", 600));
  const std::vector<Command> last = Events("quiet", "q-", 3);
  const std::vector<Reply> first = Send(stack, last);
  Restart(stack, /*kill=*/true);
  CHECK(Send(stack, last) == first);
  stack.RestartRedis();
  DrainWell(stack);
  CHECK(stack.Length("quiet") == 4);
  CHECK(stack.Length("busy") == 601);
}

TEST_CASE("events of any size are known again", "[window]") {
  Stack stack({.sidecar_options = {"--max-inflight-bytes", "256KiB"}});
  const std::vector<Command> events = Events("s", "e-", 60, 20'000);
  const std::vector<Reply> first = Send(stack, events);
  const bool kill = GENERATE(true, false);
  Restart(stack, kill);
  stack.sidecar.AwaitBreaker("closed");
  CHECK(Send(stack, events) == first);
  CHECK(stack.Length("s") == 60);
}

TEST_CASE("an id that a client copies from another entry goes to Redis", "[window]") {
  Stack stack;
  REQUIRE(stack.Xadd("s", {"data", "1"}).Landed());
  RespClient redis = stack.redis.Connect();
  const std::string made_id = ReadStream(redis, "s").at(0).at(3);
  CHECK(stack.Xadd("s", {"data", "a copy", "event_id", made_id}).Landed());
  CHECK(stack.Xadd("s", {"data", "another", "event_id", "0123456789abcdef-5"}).Landed());
  CHECK(stack.Length("s") == 3);
}

TEST_CASE("an event with as many fields as there may be is spilled and drained, with an id and without", "[window]") {
  Stack stack({.redis_up = false});
  std::vector<std::string> fields;
  for (int i = 0; i < 4096; ++i) fields.insert(fields.end(), {"f" + std::to_string(i), "v"});
  CHECK(stack.Xadd("s", fields).Spilled());
  fields.insert(fields.end(), {"event_id", "E"});
  CHECK(stack.Xadd("s", fields).Spilled());
  fields.insert(fields.end(), {"one", "more"});
  CHECK(stack.Xadd("s", fields).IsError("INVALID"));
  stack.RestartRedis();
  DrainWell(stack);
  CHECK(stack.Length("s") == 2);
}

TEST_CASE("events that cannot be looked up obey the quota, and drain from a trimmed stream without a word",
          "[window]") {
  Stack stack({.sidecar_options = {"--spill-max-bytes", "4MiB", "--spill-file-bytes", "1MiB"}});
  Send(stack, Events("s", "first-", 1));
  stack.redis.Kill9();
  stack.sidecar.AwaitBreaker("open");
  // That nothing is in flight is written down behind the batch that follows the loss, so before the next one is stored.
  Send(stack, Events("s", "second-", 1));
  Send(stack, Events("s", "third-", 1));
  const bool kill = GENERATE(true, false);  // with nothing in flight it is as good as a stop
  Restart(stack, kill);
  RespClient client = stack.sidecar.Connect();
  int spilled = 2;
  int refused = 0;
  for (int part = 0; part < 40; ++part) {
    for (const Reply& reply : client.Pipeline(Events("s", std::to_string(part) + "-", 250, 2000))) {
      reply.Spilled() ? ++spilled : ++refused;
      if (!reply.Spilled()) REQUIRE(reply.IsError("RETRY"));
    }
  }
  CHECK(spilled > 2);
  CHECK(refused > 0);
  int64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(stack.sidecar.spill_dir())) {
    if (file.path().filename().native().starts_with("spill-")) bytes += static_cast<int64_t>(file.file_size());
  }
  CHECK(bytes < 6 << 20);
  stack.RestartRedis();
  CHECK(stack.redis.Connect().Call({"XADD", "s", "*", "a", "b"}).Landed());
  CHECK(stack.redis.Connect().Call({"XTRIM", "s", "MAXLEN", "1"}).integer == 1);
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(drained.Count("unproven") == 0);
  CHECK(drained.Count("landed") == spilled);
}

}  // namespace
}  // namespace sprockets::harness
