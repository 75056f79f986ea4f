// The drain against a real Redis: what arrives, what is settled, what stops alone, what is kept aside.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

using State = SpillFileInfo::State;

/// Many events e0, e1, … of one stream.
std::vector<TestEvent> Many(const std::string& stream, int count, const std::string& prefix = "e") {
  std::vector<TestEvent> events;
  for (int i = 0; i < count; ++i) events.push_back(Event(stream, prefix + std::to_string(i)));
  return events;
}

Strings Ids(int count, const std::string& prefix = "e") {
  Strings ids;
  for (int i = 0; i < count; ++i) ids.push_back(prefix + std::to_string(i));
  return ids;
}

/// XADDs an event as a sidecar (or a drain that was killed) had done it.
StreamId Add(const PrivateRedis& redis, const TestEvent& event) {
  Strings command{"XADD", event.stream, "*"};
  command.insert(command.end(), event.fields.begin(), event.fields.end());
  return ParseStreamId(redis.Text(command)).value();
}

/// Changes a file as a drain that was killed would have left it.
void Leave(const Stage& stage, int64_t number, const std::function<void(SpillFile&, const SpilledStream&)>& change) {
  for (const SpillFileInfo& info : stage.Files()) {
    if (info.number != number) continue;
    SpillFile file = SpillFile::Open(info).value();
    const std::vector<SpilledStream> streams = file.Streams().value();
    change(file, streams.front());
    REQUIRE(file.Close().ok());
  }
}

int64_t LastTicketOf(SpillFile& file, const SpilledStream& stream, int64_t rows) {
  int64_t last = 0;
  REQUIRE(file.Visit(stream, 0, 0,
                     [&](const SpilledEvent& event) {
                       last = event.ticket;
                       return --rows > 0;
                     })
              .ok());
  return last;
}

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

TEST_CASE("a range that a crash left open is finished without doubles") {
  Stage stage;
  const std::vector<TestEvent> events = Many("s", 100);
  const int64_t number = WriteSpillFile(stage.folder, events);
  Leave(stage, number, [&](SpillFile& file, const SpilledStream& stream) {
    Cursor cursor;
    cursor.open = {LastTicketOf(file, stream, 60), "s", kStreamBegin, stage.redis.RunId(), 0};
    REQUIRE(file.AddConnection({stage.redis.RunId(), 77}).ok());
    REQUIRE(file.SaveCursor(stream.id, cursor).ok());
  });
  // Not a prefix: a refusal in the middle may have left holes.
  for (int i = 0; i < 60; i += 2) Add(stage.redis, events[static_cast<size_t>(i)]);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 30);
  CHECK(run.json["landed"] == 70);
  const Strings ids = EventIds(stage.redis, "s");
  CHECK(ids.size() == 100);
  CHECK(std::set<std::string>(ids.begin(), ids.end()).size() == 100);
}

TEST_CASE("a drain that is killed again and again neither loses nor doubles an event") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 30'000, "a"));
  WriteSpillFile(stage.folder, Many("s", 30'000, "b"));
  for (int i = 0; i < 12; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      stage.Drain();
      _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + 15 * i));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  CHECK(stage.Drain().exit_code == 0);
  Strings expected = Ids(30'000, "a");
  const Strings second = Ids(30'000, "b");
  expected.insert(expected.end(), second.begin(), second.end());
  CHECK((EventIds(stage.redis, "s") == expected));
}

TEST_CASE("an event in doubt that landed is not sent again, and one that did not is") {
  Stage stage;
  const StreamId anchor = Add(stage.redis, Event("s", "before"));
  const TestEvent landed = Event("s", "landed");
  const ConnectionId gone{stage.redis.RunId(), 4242};
  Add(stage.redis, landed);
  WriteSpillFile(stage.folder,
                 {InDoubt(landed, anchor, gone), InDoubt(Event("s", "lost"), anchor, gone), Event("s", "certain")});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 1);
  CHECK(run.json["landed"] == 2);
  CHECK(run.json["unproven"] == 0);
  CHECK((EventIds(stage.redis, "s") == Strings{"before", "landed", "lost", "certain"}));
}

TEST_CASE("the same id with another payload is another event") {
  Stage stage;
  Add(stage.redis, Event("s", "id", "one"));
  WriteSpillFile(stage.folder, {InDoubt(Event("s", "id", "two"), kStreamBegin)});
  CHECK(stage.Drain().exit_code == 0);
  CHECK(EventIds(stage.redis, "s").size() == 2);
}

TEST_CASE("two rows of one event in doubt become one entry, in one batch and over two files") {
  Stage stage;
  const TestEvent twin = InDoubt(Event("s", "twin"), kStreamBegin);
  WriteSpillFile(stage.folder, {twin, Event("s", "other"), twin});
  WriteSpillFile(stage.folder, {twin});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 2);
  CHECK((EventIds(stage.redis, "s") == Strings{"twin", "other"}));
}

TEST_CASE("what trimming or XDEL may have removed is sent, named and counted as unproven") {
  Stage stage;
  const StreamId anchor = Add(stage.redis, Event("s", "before"));
  WriteSpillFile(stage.folder, {InDoubt(Event("s", "lost"), anchor, ConnectionId{stage.redis.RunId(), 4242})});
  Add(stage.redis, Event("s", "after"));
  SECTION("XTRIM takes the anchor itself") {
    stage.redis.Text({"XTRIM", "s", "MAXLEN", "1"});
  }
  SECTION("XDEL behind the anchor") {
    stage.redis.Text({"XDEL", "s", ToString(stage.redis.LastId("s"))});
  }
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["unproven"] == 1);
  CHECK(run.json["landed"] == 1);
  CHECK(run.json["result"] == "unproven");
}

TEST_CASE("after a restart of Redis an event in doubt is looked for from the beginning") {
  Stage stage;
  const TestEvent event = Event("s", "landed");
  const std::string old_run_id = stage.redis.RunId();
  const StreamId id = Add(stage.redis, event);
  stage.redis.Kill9();
  stage.redis.Start();
  REQUIRE(stage.redis.RunId() != old_run_id);
  // An anchor above the entry: of a life whose end Redis lost.
  Add(stage.redis, Event("s", "later"));
  WriteSpillFile(stage.folder, {InDoubt(event, StreamId{id.ms, id.seq + 1}, ConnectionId{old_run_id, 5})});
  CHECK(stage.Drain().json["already_there"] == 1);
  CHECK((EventIds(stage.redis, "s") == Strings{"landed", "later"}));
}

TEST_CASE("a connection of this life is killed before anything is settled, one of another life is not") {
  Stage stage;
  RedisUrl url;
  url.socket_path = stage.redis.socket_path().native();
  RedisClient listed = RedisClient::Connect(url, 1000).value();
  RedisClient stranger = RedisClient::Connect(url, 1000).value();
  const int64_t listed_id = listed.Call({"CLIENT", "ID"}).value()->integer;
  const int64_t stranger_id = stranger.Call({"CLIENT", "ID"}).value()->integer;
  FileOptions options;
  options.connections = {{stage.redis.RunId(), listed_id}, {std::string(40, 'a'), stranger_id}};
  WriteSpillFile(stage.folder, Many("s", 3), options);
  CHECK(stage.Drain().exit_code == 0);
  CHECK_FALSE(listed.Call({"PING"}).ok());
  CHECK(stranger.Call({"PING"}).ok());
}

TEST_CASE("a fence never kills the connection that makes it") {
  Stage stage;
  // The next connection's id is known: it is the one after this one's.
  const int64_t next = stage.redis.Call({"CLIENT", "ID"})->integer;
  FileOptions options;
  for (int64_t id = next; id < next + 6; ++id) options.connections.push_back({stage.redis.RunId(), id});
  WriteSpillFile(stage.folder, Many("s", 3), options);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 3);
}

TEST_CASE("without CLIENT KILL and INFO absence is no proof, and the drain still sends") {
  Stage stage;
  stage.redis.Text({"ACL", "SETUSER", "limited", "on", ">pw", "~*", "+@all", "-@dangerous"});
  WriteSpillFile(stage.folder, {InDoubt(Event("s", "lost"), kStreamBegin, ConnectionId{stage.redis.RunId(), 4242}),
                                Event("s", "certain")});
  const Run run = stage.Drain({"--redis-password-file", "/dev/null"});
  CHECK(run.exit_code == 0);
  WriteSpillFile(stage.folder, {InDoubt(Event("t", "lost"), kStreamBegin, ConnectionId{stage.redis.RunId(), 4242}),
                                Event("t", "certain")});
  const Run limited =
      RunReplayer({"drain", "--spill-dir", stage.folder.path().native(), "--json", "--progress", "none", "--fence-wait",
                   "50ms", "--redis", "unix://limited:pw@" + stage.redis.socket_path().native()});
  CHECK(limited.exit_code == 1);
  CHECK(limited.json["unproven"] == 1);
  CHECK(limited.json["landed"] == 2);
}

TEST_CASE("a file whose earlier connections are lost is settled without proof") {
  Stage stage;
  FileOptions options;
  options.connections_lost = true;
  WriteSpillFile(stage.folder, {InDoubt(Event("s", "lost"), kStreamBegin)}, options);
  CHECK(stage.Drain().json["unproven"] == 1);
}

TEST_CASE("every row of a suspect file is in doubt since the stream's tail") {
  Stage stage;
  FileOptions options;
  options.suspect = true;
  options.tail = Add(stage.redis, Event("s", "before"));
  const std::vector<TestEvent> events = Many("s", 10);
  Add(stage.redis, events[3]);
  WriteSpillFile(stage.folder, events, options);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 1);
  CHECK(EventIds(stage.redis, "s").size() == 11);
  CHECK(stage.Files().front().state == State::kDrained);
}

TEST_CASE("a stream of another type stops alone, in this file and all later ones") {
  Stage stage;
  stage.redis.Text({"SET", "broken", "x"});
  WriteSpillFile(stage.folder, {Event("broken", "b0"), Event("fine", "f0")});
  WriteSpillFile(stage.folder, {Event("broken", "b1"), Event("fine", "f1")});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["left"] == 2);
  CHECK(run.json["result"] == "left");
  CHECK((EventIds(stage.redis, "fine") == Strings{"f0", "f1"}));
  stage.redis.Text({"DEL", "broken"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "broken") == Strings{"b0", "b1"}));
}

TEST_CASE("a stream that is refused only when it is written stops alone, and its open range is finished later") {
  Stage stage;
  stage.redis.Text({"ACL", "SETUSER", "default", "resetkeys", "~fine", "%R~*"});
  WriteSpillFile(stage.folder, {Event("denied", "d0"), Event("fine", "f0")});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK((EventIds(stage.redis, "fine") == Strings{"f0"}));
  stage.redis.Text({"ACL", "SETUSER", "default", "~*"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "denied") == Strings{"d0"}));
}

TEST_CASE("a Redis out of memory keeps the batch open and takes it when it is healed") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 1000));
  stage.redis.Text({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
  stage.redis.Text({"CONFIG", "SET", "maxmemory", "100kb"});
  std::thread healer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    stage.redis.Text({"CONFIG", "SET", "maxmemory", "0"});
  });
  const Run run = stage.Drain();
  healer.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(1000)));
}

TEST_CASE("a Redis that stays out of memory leaves everything for the next drain") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 10));
  stage.redis.Text({"CONFIG", "SET", "maxmemory", "100kb"});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["left"] == 10);
  stage.redis.Text({"CONFIG", "SET", "maxmemory", "0"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(10)));
}

TEST_CASE("connections that break in mid-drain cost nothing but time") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 60'000));
  std::atomic<bool> done = false;
  std::thread killer([&] {
    for (int i = 0; i < 5 && !done; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
      stage.redis.Text({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    }
  });
  const Run run = stage.Drain();
  done = true;
  killer.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(60'000)));
}

TEST_CASE("a Redis killed in mid-drain and started again gets the rest, each event once") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 60'000));
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    stage.redis.Kill9();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stage.redis.Start();
  });
  const Run run = stage.Drain();
  killer.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(60'000)));
}

TEST_CASE("a hung Redis is waited for, and what it applies late is not sent twice") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 60'000));
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    stage.redis.Signal(SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(7000));
    stage.redis.Signal(SIGCONT);
  });
  const Run run = stage.Drain();
  stopper.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(60'000)));
}

TEST_CASE("an event that breaks every connection is kept aside and the others land") {
  Stage stage;
  stage.redis.Text({"CONFIG", "SET", "proto-max-bulk-len", "1mb"});
  std::vector<TestEvent> events = Many("s", 40);
  events[20].fields.back() = std::string(2 * 1024 * 1024, 'x');
  WriteSpillFile(stage.folder, events);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["rejected"] == 1);
  CHECK(run.json["result"] == "rejected");
  Strings expected = Ids(40);
  expected.erase(expected.begin() + 20);
  CHECK((EventIds(stage.redis, "s") == expected));
  SECTION("its file is not removed, however old") {
    CHECK(stage.Drain({"--keep", "0"}).exit_code == 1);
    REQUIRE(stage.Files().size() == 1);
  }
  SECTION("offered again when the cause is gone, it lands") {
    stage.redis.Text({"CONFIG", "SET", "proto-max-bulk-len", "512mb"});
    const Run again = stage.Drain({"--file", stage.Files().front().path.native()});
    CHECK(again.exit_code == 0);
    CHECK(again.json["already_there"] == 39);
    CHECK(again.json["landed"] == 1);
  }
}

TEST_CASE("a stuck stream is led elsewhere: what landed stays, what is missing goes to the new one") {
  Stage stage;
  const std::vector<TestEvent> events = Many("old", 10);
  const int64_t number = WriteSpillFile(stage.folder, events);
  for (size_t i = 0; i < 4; ++i) Add(stage.redis, events[i]);
  Leave(stage, number, [&](SpillFile& file, const SpilledStream& stream) {
    Cursor cursor;
    cursor.open = {LastTicketOf(file, stream, 6), "old", kStreamBegin, stage.redis.RunId(), 0};
    REQUIRE(file.SaveCursor(stream.id, cursor).ok());
  });
  const Run run = stage.Drain({"--rename", "old=new"});
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 4);
  CHECK(EventIds(stage.redis, "old").size() == 4);
  CHECK((EventIds(stage.redis, "new") == Strings{"e4", "e5", "e6", "e7", "e8", "e9"}));
}

TEST_CASE("a renaming drain that was killed is finished without doubles, with or without --rename") {
  const bool rename_again = GENERATE(true, false);
  Stage stage;
  const std::vector<TestEvent> events = Many("old", 6);
  const int64_t number = WriteSpillFile(stage.folder, events);
  Add(stage.redis, events[0]);  // by the first try, before it was led elsewhere
  TestEvent moved = events[1];
  moved.stream = "new";
  Add(stage.redis, moved);
  Leave(stage, number, [&](SpillFile& file, const SpilledStream& stream) {
    Cursor cursor;
    cursor.open = {LastTicketOf(file, stream, 3), "new", kStreamBegin, stage.redis.RunId(), 0};
    REQUIRE(file.SaveCursor(stream.id, cursor).ok());
  });
  CHECK(stage.Drain(rename_again ? Strings{"--rename", "old=new"} : Strings{}).exit_code == 0);
  CHECK(EventIds(stage.redis, "old").size() + EventIds(stage.redis, "new").size() == 6);
  CHECK(EventIds(stage.redis, "new").size() == (rename_again ? 5 : 2));
}

TEST_CASE("a drained file that is offered again fills what Redis lost and doubles nothing") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 100));
  REQUIRE(stage.Drain().exit_code == 0);
  const std::string file = stage.Files().front().path.native();
  SECTION("nothing was lost") {
    const Run run = stage.Drain({"--file", file});
    CHECK(run.exit_code == 0);
    CHECK(run.json["already_there"] == 100);
  }
  SECTION("Redis lost its memory") {
    stage.redis.Text({"FLUSHALL"});
    const Run run = stage.Drain({"--file", file});
    CHECK(run.exit_code == 0);
    CHECK(run.json["landed"] == 100);
  }
  SECTION("a run that was interrupted is finished by the next drain") {
    stage.redis.Text({"FLUSHALL"});
    const int64_t number = stage.Files().front().number;
    REQUIRE(stage.folder.MarkOffered(number).ok());
    Leave(stage, number, [](SpillFile& opened, const SpilledStream&) { REQUIRE(opened.ResetCursors().ok()); });
    CHECK(stage.Drain().exit_code == 0);
    CHECK((EventIds(stage.redis, "s") == Ids(100)));
    const Run again = stage.Drain();
    CHECK(again.exit_code == 0);
    CHECK(again.json["read"] == 0);
  }
  SECTION("what was trimmed is listed, and sent only with --force") {
    stage.redis.Text({"XTRIM", "s", "MAXLEN", "60"});
    const Run listed = stage.Drain({"--file", file});
    CHECK(listed.exit_code == 1);
    CHECK(listed.json["unproven"] == 40);
    CHECK(listed.json["landed"] == 0);
    const Run forced = stage.Drain({"--file", file, "--force"});
    CHECK(forced.exit_code == 1);
    CHECK(forced.json["landed"] == 40);
  }
  SECTION("an earlier file that waits is in the way") {
    REQUIRE(stage.Files().size() == 1);
    const int64_t number = stage.Files().front().number;
    const int64_t later = WriteSpillFile(stage.folder, Many("s", 3, "later"));
    // The later one becomes drained, the earlier one waits.
    REQUIRE(stage.folder.Move(later, State::kSealed, State::kDrained).ok());
    REQUIRE(stage.folder.Move(number, State::kDrained, State::kSealed).ok());
    Leave(stage, number, [](SpillFile& opened, const SpilledStream&) { REQUIRE(opened.ResetCursors().ok()); });
    CHECK(stage.Drain({"--file", "spill-00000" + std::to_string(later)}).exit_code == 4);
  }
}

TEST_CASE("--file of a file that waits, or of none, is refused") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 3));
  CHECK(stage.Drain({"--file", stage.folder.PathOf(number, State::kSealed).native()}).exit_code == 4);
  CHECK(stage.Drain({"--file", "no-such-file"}).exit_code == 3);
}

TEST_CASE("a damaged file is quarantined, the others are drained, and salvage brings its good rows") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 200, "a"));
  WriteSpillFile(stage.folder, Many("s", 5, "b"));
  const std::string path = stage.folder.PathOf(number, State::kSealed).native();
  std::string bytes = stage.Snapshot().at(path);
  const size_t at = bytes.find("a150");
  REQUIRE(at != std::string::npos);
  FILE* file = fopen(path.c_str(), "r+b");
  REQUIRE(file != nullptr);
  fseek(file, static_cast<long>(at), SEEK_SET);
  fputc('!', file);
  fclose(file);

  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(EventIds(stage.redis, "s").size() >= 5);
  const std::vector<SpillFileInfo> files = stage.Files();
  REQUIRE(files.size() == 2);
  CHECK(files.front().quarantined);
  CHECK(files.back().state == State::kDrained);
  const Run salvaged = stage.Drain({"--salvage", path});
  CHECK(salvaged.exit_code == 1);
  Strings ids = EventIds(stage.redis, "s");
  CHECK(ids.size() == 204);
  CHECK(std::set<std::string>(ids.begin(), ids.end()).size() == 204);
  CHECK(std::find(ids.begin(), ids.end(), "a150") == ids.end());
  CHECK(stage.Drain().exit_code == 0);
}

TEST_CASE("salvage goes on behind a damaged page") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 5000, "a"));
  const std::string path = stage.folder.PathOf(number, State::kSealed).native();
  const std::string bytes = stage.Snapshot().at(path);
  const size_t at = bytes.find("a2500");
  REQUIRE(at != std::string::npos);
  FILE* file = fopen(path.c_str(), "r+b");
  REQUIRE(file != nullptr);
  fseek(file, static_cast<long>(at / 4096 * 4096), SEEK_SET);  // the head of that row's page
  for (int i = 0; i < 64; ++i) fputc('!', file);
  fclose(file);

  CHECK(stage.Drain().exit_code == 1);
  const Run salvaged = stage.Drain({"--salvage", path});
  CHECK(salvaged.exit_code == 1);
  const Strings ids = EventIds(stage.redis, "s");
  CHECK(ids.size() > 4800);
  CHECK(ids.size() < 5000);
  CHECK(std::set<std::string>(ids.begin(), ids.end()).size() == ids.size());
  CHECK(std::find(ids.begin(), ids.end(), "a4999") != ids.end());
}

TEST_CASE("salvage of a file that is not quarantined is refused") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 3));
  CHECK(stage.Drain({"--salvage", stage.folder.PathOf(number, State::kSealed).native()}).exit_code == 4);
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
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
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
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  CHECK(EventIds(stage.redis, "s").size() == 3);
  WriteSpillFile(stage.folder, Many("s", 3, "second"));
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  CHECK(EventIds(stage.redis, "s").size() == 6);
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace sprockets::testing
