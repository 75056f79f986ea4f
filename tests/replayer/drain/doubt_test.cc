// The drain and what is in doubt: open ranges, searches, fences.
#include <chrono>
#include <csignal>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/replayer/drain/drain_fixture.h"

namespace sprockets::testing {
namespace {

using State = SpillFileInfo::State;

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

}  // namespace
}  // namespace sprockets::testing
