// The drain against a real Redis: what arrives, what its options do, how it stops.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/replayer/drain/drain_fixture.h"

namespace sprockets::testing {
namespace {

using State = SpillFileInfo::State;

TEST_CASE("a drain without a spill folder, or without a Redis, exits with 3 and says so") {
  Stage stage;
  CHECK(RunReplayer({"drain", "--redis", stage.redis.Url(), "--spill-dir", "/nonexistent/spill"}).exit_code == 3);
  WriteSpillFile(stage.folder, Many("s", 3));
  stage.redis.Kill9();
  const Run run = stage.Drain();
  CHECK(run.exit_code == 3);
  CHECK(run.json["result"] == "unreachable");
  CHECK(run.json["left"] == 3);
}

TEST_CASE("a second drain is refused while one is at work") {
  Stage stage;
  const auto lock = stage.folder.LockForDraining(0);
  REQUIRE(lock.ok());
  CHECK(stage.Drain().exit_code == 4);
}

TEST_CASE("a replica and a server in cluster mode are refused before anything is sent") {
  Stage stage({"--cluster-enabled", "yes"});
  WriteSpillFile(stage.folder, Many("s", 3));
  CHECK(stage.Drain().exit_code == 4);
  Stage replica({"--replicaof", "127.0.0.1", "1"});
  WriteSpillFile(replica.folder, Many("s", 3));
  CHECK(replica.Drain().exit_code == 4);
}

TEST_CASE("a file of a newer version stops the drain and stays as it was") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 3));
  const std::string path = stage.folder.PathOf(number, State::kSealed).native();
  // user_version stands at offset 60 of a database, big endian.
  FILE* file = fopen(path.c_str(), "r+b");
  REQUIRE(file != nullptr);
  fseek(file, 63, SEEK_SET);
  fputc(99, file);
  fclose(file);
  const auto before = stage.Snapshot().at(path);
  CHECK(stage.Drain().exit_code == 4);
  CHECK(stage.Snapshot().at(path) == before);
  CHECK(EventIds(stage.redis, "s").empty());
}

TEST_CASE("every event arrives byte for byte, in order, in its own stream") {
  Stage stage;
  std::vector<TestEvent> events = Many("plain", 20'000);
  events.push_back({"raw\xff\n", {"event_id", "b1", std::string("\0\xfe", 2), std::string("a\r\n\0b", 5)}, {}, {}});
  events.push_back({"twice", {"f", "1", "event_id", "t1", "f", "2", "event_id", "second"}, {}, {}});
  events.push_back({"big", {"event_id", "m1", "blob", std::string(1024 * 1024, '\x80')}, {}, {}});
  events.push_back({"empty", {"event_id", "z1", "", ""}, {}, {}});
  WriteSpillFile(stage.folder, events);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["result"] == "verified");
  CHECK(run.json["read"] == events.size());
  CHECK(run.json["landed"] == events.size());
  std::map<std::string, std::vector<Strings>> expected;
  for (const TestEvent& event : events) expected[event.stream].push_back(event.fields);
  for (const auto& [stream, entries] : expected) CHECK((Entries(stage.redis, stream) == entries));
  REQUIRE(stage.Files().size() == 1);
  CHECK(stage.Files().front().state == State::kDrained);
  CHECK(stage.Drain().json["read"] == 0);
}

TEST_CASE("the options of an XADD are kept") {
  Stage stage;
  std::vector<TestEvent> events = Many("s", 50);
  for (TestEvent& event : events) event.options = {"MAXLEN", "10"};
  WriteSpillFile(stage.folder, events);
  CHECK(stage.Drain().exit_code == 0);
  CHECK(EventIds(stage.redis, "s").size() == 10);
}

TEST_CASE("--dry-run counts and changes nothing") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 7));
  const auto before = stage.Snapshot();
  const Run run = stage.Command("drain", {"--dry-run", "--json"});
  CHECK(run.exit_code == 1);
  CHECK(run.json["left"] == 7);
  CHECK((stage.Snapshot() == before));
  CHECK(EventIds(stage.redis, "s").empty());
  REQUIRE(stage.Drain().exit_code == 0);
  CHECK(stage.Command("drain", {"--dry-run"}).exit_code == 0);
}

TEST_CASE("--keep removes drained files when they are old enough") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 3));
  REQUIRE(stage.Drain({"--keep", "1h"}).exit_code == 0);
  CHECK(stage.Files().size() == 1);
  REQUIRE(stage.Drain({"--keep", "0"}).exit_code == 0);
  CHECK(stage.Files().empty());
}

TEST_CASE("--streams drains only what matches and leaves the rest in its file") {
  Stage stage;
  WriteSpillFile(stage.folder, {Event("team-a", "a"), Event("bounty", "b")});
  CHECK(stage.Drain({"--streams", "team-*"}).exit_code == 0);
  CHECK(EventIds(stage.redis, "bounty").empty());
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "team-a") == Strings{"a"}));
  CHECK((EventIds(stage.redis, "bounty") == Strings{"b"}));
}

TEST_CASE("--rate holds the drain back") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 100));
  const Run run = stage.Drain({"--rate", "200"});
  CHECK(run.exit_code == 0);
  CHECK(run.json["duration_ms"] >= 350);
}

TEST_CASE("what a killed sidecar left is sealed and drained, and its connections are fenced") {
  Stage stage;
  FileOptions options;
  options.suspect = true;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 10), options);
  char marker[32];
  snprintf(marker, sizeof marker, "spill-%06d.suspect", static_cast<int>(number));
  REQUIRE(std::filesystem::remove(stage.folder.path() / marker));
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 10);
}

TEST_CASE("the active file of a sidecar that cannot be asked is left, and the drain says so") {
  Stage stage;
  FileOptions options;
  options.suspect = true;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 10), options);
  char marker[32];
  snprintf(marker, sizeof marker, "spill-%06d.suspect", static_cast<int>(number));
  REQUIRE(std::filesystem::remove(stage.folder.path() / marker));
  const auto lock = stage.folder.LockForWriting(0);
  REQUIRE(lock.ok());
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "left");
  CHECK(EventIds(stage.redis, "s").empty());
}

TEST_CASE("a signal stops a drain at a safe point, and the next one finishes it") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 2000));
  const pid_t child = fork();
  if (child == 0) _exit(stage.Drain({"--rate", "1000"}).exit_code);
  AwaitEvents(stage, 1);
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  const size_t landed = EventIds(stage.redis, "s").size();
  CHECK(landed > 0);
  CHECK(landed < 2000);
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(2000)));
}

TEST_CASE("--follow drains what comes until it is told to stop") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 3, "first"));
  const pid_t child = fork();
  if (child == 0) _exit(stage.Drain({"--follow"}).exit_code);
  AwaitEvents(stage, 3);
  {
    // As a sidecar does: what nobody holds while it is begun is taken for left behind.
    const auto lock = stage.folder.LockForWriting(60'000);
    REQUIRE(lock.ok());
    WriteSpillFile(stage.folder, Many("s", 3, "second"));
  }
  AwaitEvents(stage, 6);
  CHECK(EventIds(stage.redis, "s").size() == 6);
  const auto is_drained = [](const SpillFileInfo& file) { return file.state == SpillFileInfo::State::kDrained; };
  for (int i = 0; i < 600; ++i) {
    const std::vector<SpillFileInfo> files = stage.Files();
    if (std::all_of(files.begin(), files.end(), is_drained)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace sprockets::testing
