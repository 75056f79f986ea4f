// Journals of --ack disk whose sidecar is gone: the drain forwards them, and rebuild --from-journal fills an empty
// Redis.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kStreamNames = {"bounty-stream", R"(a "stream"; with 'quotes' -- and (brackets))",
                                               std::string("nul\0and\nline", 12), "sqlite_master"};

uint64_t DrainSeed() {
  if (const char* given = std::getenv("SPROCKETS_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device()();
}

Stack::Options WithoutRedis(std::vector<std::string> more = {}) {
  Stack::Options options;
  options.redis_up = false;
  options.redis_options = {"--appendonly", "no"};
  options.sidecar_options = {"--ack", "disk", "--spill-file-bytes", "4MiB"};
  options.sidecar_options.insert(options.sidecar_options.end(), more.begin(), more.end());
  return options;
}

/// What clients were told: by stream, the entries in the order of acceptance.
using Told = std::map<std::string, std::vector<StreamEntry>>;

/// Fields of any bytes, no two of them the same.
std::vector<std::string> FieldsOf(uint64_t n) {
  const std::string number = std::to_string(n);
  std::string binary("\0\r\n\xff\"'", 6);
  binary += number;
  if (n % 997 == 0) binary.append(20'000, static_cast<char>(n));
  if (n % 3 == 0) return {"event_id", "e" + number, "data", binary};
  return {"data", binary, "event_id", "e" + number, "data", "again"};
}

void Accept(const Stack& stack, uint64_t from, uint64_t events, Told* told) {
  constexpr uint64_t kAtOnce = 500;
  RespClient client = stack.sidecar.Connect();
  for (uint64_t n = from; n < from + events; n += kAtOnce) {
    std::vector<Command> commands;
    std::vector<std::string> streams;
    for (uint64_t i = n; i < std::min(n + kAtOnce, from + events); ++i) {
      streams.push_back(kStreamNames[i / 7 % kStreamNames.size()]);
      Command& command = commands.emplace_back(Command{"XADD", streams.back(), "*"});
      for (std::string& field : FieldsOf(i)) command.push_back(std::move(field));
    }
    const std::vector<Reply> replies = client.Pipeline(commands);
    for (size_t i = 0; i < replies.size(); ++i) {
      REQUIRE(replies[i].Landed());
      (*told)[streams[i]].push_back({replies[i].text, FieldsOf(n + i)});
    }
  }
}

/// The first difference, in words; empty: the streams are what clients were told, entry by entry.
std::string Difference(RespClient redis, const Told& told) {
  for (const auto& [stream, expected] : told) {
    const std::vector<StreamEntry> entries = ReadEntries(redis, stream);
    if (entries.size() != expected.size())
      return stream + ": " + std::to_string(entries.size()) + " entries, not " + std::to_string(expected.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].id != expected[i].id || entries[i].fields != expected[i].fields)
        return stream + ": entry " + std::to_string(i) + " is " + entries[i].id + ", not " + expected[i].id;
    }
  }
  return "";
}

std::vector<std::string> DrainArguments(const Stack& stack) {
  return {"drain", "--json", "--redis", stack.redis.Url(), "--spill-dir", stack.sidecar.spill_dir()};
}

DrainResult DrainFolder(const Stack& stack, std::vector<std::string> more = {}) {
  return Drain(stack.folder.path(), stack.sidecar.spill_dir(), stack.redis.Url(), {}, std::move(more));
}

/// Starts a drain that takes its time, and kills it after a while: every other time not before it has sent something.
void KillDrain(const Stack& stack, std::mt19937_64& random, const char* rate) {
  std::vector<std::string> arguments = DrainArguments(stack);
  arguments.insert(arguments.end(), {"--rate", rate});
  const size_t before = stack.Length(kStreamNames[1]);
  Process drain({.command = ReplayerCommand(arguments), .output = stack.folder / "killed", .environment = {}});
  if (random() % 2 == 0) (void)WaitUntil([&] { return stack.Length(kStreamNames[1]) != before || !drain.Running(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(random() % 200));
  drain.Kill9();
}

TEST_CASE("journal_drain: 200,000 events of a killed sidecar land under their ids, by drains that are killed, too",
          "[journal_drain]") {
  constexpr uint64_t kEvents = 200'000;
  const uint64_t seed = DrainSeed();
  INFO("SPROCKETS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  Stack stack(WithoutRedis());
  Told told;
  Accept(stack, 0, kEvents, &told);
  stack.sidecar.Kill9();
  stack.redis.Start();
  for (int kill = 0; kill < 12; ++kill) {
    KillDrain(stack, random, "100000");
    if (kill % 5 == 3) {  // it has no persistence: everything is lost
      stack.redis.Kill9();
      stack.redis.Start();
    }
  }
  const DrainResult drain = DrainFolder(stack);
  INFO(drain.err << drain.summary);
  CHECK(drain.exit_code == 0);
  CHECK(drain.summary["journals"]["overtaken"] == 0);
  CHECK(Difference(stack.redis.Connect(), told) == "");
  // Nothing is left, neither for a second drain nor for the sidecar.
  CHECK(DrainFolder(stack).Count("landed") == 0);
  stack.sidecar.Start();
  Accept(stack, kEvents, 500, &told);
  Await("the journal to land", [&] { return stack.sidecar.Status().at("journal").at("behind").empty(); });
  CHECK(Difference(stack.redis.Connect(), told) == "");
  // A client that asks again is told what it was told before all that.
  const std::string& last = kStreamNames[(kEvents - 1) / 7 % kStreamNames.size()];
  const auto is_it = [&](const StreamEntry& entry) { return entry.fields == FieldsOf(kEvents - 1); };
  CHECK(stack.Xadd(last, FieldsOf(kEvents - 1)).text == std::find_if(told[last].begin(), told[last].end(), is_it)->id);
}

/// The entries of a stream that are ours.
std::vector<StreamEntry> OurEntries(const Stack& stack, const std::string& stream) {
  RespClient redis = stack.redis.Connect();
  std::vector<StreamEntry> entries = ReadEntries(redis, stream);
  std::erase_if(entries, [](const StreamEntry& entry) { return entry.fields[0] == "somebody"; });
  return entries;
}

std::vector<std::vector<std::string>> FieldsIn(const std::vector<StreamEntry>& entries) {
  std::vector<std::vector<std::string>> fields;
  for (const StreamEntry& entry : entries) fields.push_back(entry.fields);
  return fields;
}

TEST_CASE(
    "journal_drain: what other writers overtake is moved once and keeps its order, however often a drain is killed",
    "[journal_drain]") {
  const uint64_t seed = DrainSeed();
  INFO("SPROCKETS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  Stack stack(WithoutRedis());
  Told told;
  Accept(stack, 0, 12'000, &told);
  stack.sidecar.Kill9();
  stack.redis.Start();
  const std::string& busy = kStreamNames[1];
  const auto write = [&] { stack.redis.Call({"XADD", busy, "*", "somebody", "else"}); };
  write();
  for (int kill = 0; kill < 12; ++kill) {
    KillDrain(stack, random, "10000");
    if (random() % 2 == 0) write();
  }
  const DrainResult drain = DrainFolder(stack);
  INFO(drain.err << drain.summary);
  CHECK(drain.exit_code == 0);
  REQUIRE((FieldsIn(OurEntries(stack, busy)) == FieldsIn(told[busy])));
  const Told as_told = std::exchange(told, {});
  for (const auto& [stream, entries] : as_told) told[stream] = stream == busy ? OurEntries(stack, busy) : entries;
  CHECK(DrainFolder(stack).Count("landed") == 0);
  // Lost with everything that others wrote: it comes back under the ids that it was moved to.
  stack.redis.Kill9();
  stack.redis.Start();
  CHECK(DrainFolder(stack).exit_code == 0);
  CHECK(Difference(stack.redis.Connect(), told) == "");
  stack.sidecar.Start();
  Await("the sidecar to be ready", [&] {
    const auto status = stack.sidecar.Status();
    return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
  });
  CHECK(Difference(stack.redis.Connect(), told) == "");
}

TEST_CASE("journal_drain: a folder with files of both modes is drained, and a stream that is refused is named",
          "[journal_drain]") {
  Stack::Options options = WithoutRedis();
  options.sidecar_options = {"--ack", "redis"};
  Stack stack(options);
  REQUIRE(stack.Xadd("s", {"event_id", "spilled"}).Spilled());
  stack.sidecar.Kill9();
  Sidecar disk({.folder = stack.folder.path(),
                .redis_url = stack.redis.Url(),
                .spill_dir = stack.sidecar.spill_dir(),
                .arguments = {"--ack", "disk"}});
  disk.Start();
  const Reply told = disk.Call({"XADD", "s", "*", "event_id", "journaled"});
  REQUIRE(disk.Call({"XADD", "refused", "*", "event_id", "other"}).Landed());
  disk.Kill9();
  stack.redis.Start();
  stack.redis.Call({"SET", "refused", "not a stream"});
  const DrainResult drain = DrainFolder(stack);
  INFO(drain.err << drain.summary);
  CHECK(drain.exit_code == 1);
  CHECK(drain.summary["result"] == "left");
  CHECK(drain.summary["left"] == 1);
  CHECK(drain.summary["journals"]["refused"][0]["stream"] == "refused");
  RespClient redis = stack.redis.Connect();
  const std::vector<StreamEntry> entries = ReadEntries(redis, "s");
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].id == told.text);
  CHECK(entries[1].fields[1] == "spilled");
  stack.redis.Call({"DEL", "refused"});
  CHECK(DrainFolder(stack).summary["result"] == "verified");
  CHECK(stack.Length("refused") == 1);
}

TEST_CASE("journal_drain: a drain beside a sidecar leaves the journals to it", "[journal_drain]") {
  Stack stack(WithoutRedis());
  Told told;
  Accept(stack, 0, 2'000, &told);
  CHECK(stack.sidecar.Call({"SPROCKETS", "HOLD", "3600"}).text == "OK");
  stack.redis.Start();
  const DrainResult early = stack.Drain();
  CHECK(early.exit_code == 1);
  CHECK(early.summary["landed"] == 0);
  CHECK(stack.sidecar.Call({"SPROCKETS", "HOLD", "0"}).text == "OK");
  Await("the journal to land", [&] {
    const auto status = stack.sidecar.Status();
    return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
  });
  CHECK(Difference(stack.redis.Connect(), told) == "");
  const DrainResult late = stack.Drain();
  CHECK(late.exit_code == 0);
  CHECK(late.summary["landed"] == 0);
}

TEST_CASE("journal_drain: a service forwards what a killed sidecar left, and what Redis loses later",
          "[journal_drain]") {
  Stack stack(WithoutRedis());
  Told told;
  Accept(stack, 0, 2'000, &told);
  stack.sidecar.Kill9();
  std::vector<std::string> arguments = DrainArguments(stack);
  arguments.emplace_back("--follow");
  Process service({.command = ReplayerCommand(arguments), .output = stack.folder / "service", .environment = {}});
  std::this_thread::sleep_for(500ms);
  for (int life = 0; life < 2; ++life) {
    stack.redis.Start();
    Await("the journals to land", [&] { return Difference(stack.redis.Connect(), told).empty(); });
    stack.redis.Kill9();
  }
  service.Signal(SIGTERM);
  CHECK(service.Wait().value_or(-1) != -1);
}

TEST_CASE("journal_drain: an empty Redis is filled by hand from the journals of a sidecar that is gone, or at work",
          "[journal_drain]") {
  const bool at_work = GENERATE(false, true);
  CAPTURE(at_work);
  Stack stack(WithoutRedis());
  stack.redis.Start();
  Told told;
  Accept(stack, 0, 20'000, &told);
  Await("the journal to land", [&] { return stack.sidecar.Status().at("journal").at("behind").empty(); });
  if (!at_work) stack.sidecar.Kill9();
  stack.redis.Call({"FLUSHALL"});  // in the same life of Redis, so that nobody fills it by himself
  const auto fill = [&](std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"rebuild", "--json",         "--from-journal", stack.sidecar.spill_dir(),
                                          "--redis", stack.redis.Url()};
    if (at_work) arguments.insert(arguments.end(), {"--socket", stack.sidecar.socket_path()});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const RunResult run = RunReplayer(stack.folder.path(), arguments);
    INFO(run.err);
    CHECK(run.exit_code == 0);
    return nlohmann::json::parse(run.out);
  };
  CHECK(fill({"--streams", "bounty*"})["added"] == told["bounty-stream"].size());
  CHECK(fill()["result"] == "verified");
  CHECK(Difference(stack.redis.Connect(), told) == "");
  CHECK(fill()["there"] == 20'000);
  if (!at_work) stack.sidecar.Start();
  Accept(stack, 20'000, 1'000, &told);
  Await("the journal to land", [&] { return stack.sidecar.Status().at("journal").at("behind").empty(); });
  CHECK(Difference(stack.redis.Connect(), told) == "");
}

}  // namespace
}  // namespace sprockets::harness
