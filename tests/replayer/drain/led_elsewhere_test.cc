// Where rows were sent is written down, and settling asks there: after --rename, and after somebody else renamed or
// deleted the stream.
#include <algorithm>

#include <catch2/catch.hpp>

#include "shared/spill/sqlite_file.h"
#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

std::vector<TestEvent> Ten() {
  std::vector<TestEvent> events;
  for (int i = 0; i < 10; ++i) events.push_back(Event("st", "e" + std::to_string(i)));
  return events;
}

StreamId AddTo(const PrivateRedis& redis, const TestEvent& event, const std::string& stream) {
  Strings command{"XADD", stream, "*"};
  command.insert(command.end(), event.fields.begin(), event.fields.end());
  return ParseStreamId(redis.Text(command)).value();
}

/// The first five rows were drained into their own stream, by hand.
void DrainHalf(const Stage& stage, const std::vector<TestEvent>& events) {
  SqliteFile file = SqliteFile::Open(stage.Files().at(0)).value();
  const SpilledStream stream = file.Streams().value().front();
  Cursor cursor;
  int rows = 0;
  REQUIRE(file.Visit(stream, 0, 0,
                     [&](const SpilledEvent& event) {
                       cursor.done_ticket = event.ticket;
                       return ++rows < 5;
                     })
              .ok());
  REQUIRE(file.SaveCursor(stream.id, cursor).ok());
  REQUIRE(file.Close().ok());
  for (size_t i = 0; i < 5; ++i) AddTo(stage.redis, events[i], "st");
}

std::string FileOf(const Stage& stage) {
  return stage.Files().at(0).path.filename().native();
}

TEST_CASE("a file whose events were led elsewhere is offered again without doubles") {
  Stage stage;
  WriteSpillFile(stage.folder, Ten());
  REQUIRE(stage.Drain({"--rename", "st=st2"}).exit_code == 0);
  REQUIRE(EventIds(stage.redis, "st2").size() == 10);
  const Strings more = GENERATE(Strings{}, Strings{"--rename", "st=st2"}, Strings{"--rename", "st=st3"});
  Strings arguments{"--file", FileOf(stage)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Run again = stage.Drain(arguments);
  CHECK(again.exit_code == 0);
  CHECK(again.json["already_there"] == 10);
  CHECK(again.json["landed"] == 0);
  CHECK(EventIds(stage.redis, "st2").size() == 10);
  CHECK(EventIds(stage.redis, "st").empty());
  CHECK(EventIds(stage.redis, "st3").empty());
}

TEST_CASE("rows of one file that went to several streams are each looked for in all of them") {
  Stage stage;
  const std::vector<TestEvent> events = Ten();
  WriteSpillFile(stage.folder, events);
  DrainHalf(stage, events);
  REQUIRE(stage.Drain({"--rename", "st=st2"}).exit_code == 0);
  REQUIRE(EventIds(stage.redis, "st2").size() == 5);
  SECTION("everything is where it was") {
    const Run again = stage.Drain({"--file", FileOf(stage)});
    CHECK(again.exit_code == 0);
    CHECK(again.json["already_there"] == 10);
  }
  SECTION("Redis lost the other stream: only its part is sent, and nobody knows what is left in a third one") {
    stage.redis.Text({"DEL", "st2"});
    const Run again = stage.Drain({"--file", FileOf(stage), "--rename", "st=st3", "--force"});
    CHECK(again.json["already_there"] == 5);
    CHECK(again.json["landed"] == 5);
    CHECK(EventIds(stage.redis, "st").size() == 5);
    CHECK(EventIds(stage.redis, "st3").size() == 5);
    const Run third = stage.Drain({"--file", FileOf(stage)});
    CHECK(third.exit_code == 0);
    CHECK(third.json["already_there"] == 10);
  }
  SECTION("what was trimmed in the other stream is not proven missing") {
    stage.redis.Text({"XTRIM", "st2", "MAXLEN", "2"});
    const Run again = stage.Drain({"--file", FileOf(stage)});
    CHECK(again.exit_code == 1);
    CHECK(again.json["unproven"] == 3);
    CHECK(again.json["landed"] == 0);
  }
}

TEST_CASE("a second copy of an event in a later file is found where an earlier drain led the first one") {
  Stage stage;
  WriteSpillFile(stage.folder, Ten());
  REQUIRE(stage.Drain({"--rename", "st=st2"}).exit_code == 0);
  WriteSpillFile(stage.folder, {InDoubt(Ten().at(3), kStreamBegin), Event("st", "another")});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 1);
  CHECK((EventIds(stage.redis, "st") == Strings{"another"}));
}

TEST_CASE("what salvage takes out of a file whose events were led elsewhere is looked for there") {
  Stage stage;
  WriteSpillFile(stage.folder, Ten());
  REQUIRE(stage.Drain({"--rename", "st=st2"}).exit_code == 0);
  const int64_t number = stage.Files().at(0).number;
  REQUIRE(stage.folder.Move(number, SpillFileInfo::State::kDrained, SpillFileInfo::State::kSealed).ok());
  SqliteFile file = SqliteFile::Open(stage.Files().at(0)).value();
  REQUIRE(file.ResetCursors().ok());
  REQUIRE(file.Close().ok());
  REQUIRE(stage.folder.MarkQuarantined(number).ok());
  const Run run = stage.Drain({"--salvage", FileOf(stage)});
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 10);
  CHECK(EventIds(stage.redis, "st").empty());
}

TEST_CASE("a stream with doubts that had landed is renamed or deleted before the drain: they are unproven") {
  Stage stage;
  const StreamId anchor = AddTo(stage.redis, Event("st", "before"), "st");
  const TestEvent landed = Event("st", "landed");
  AddTo(stage.redis, landed, "st");
  const ConnectionId connection{stage.redis.RunId(), 4242};
  WriteSpillFile(stage.folder, {InDoubt(landed, anchor, connection)});
  const Strings removal = GENERATE(Strings{"RENAME", "st", "elsewhere"}, Strings{"DEL", "st"}, Strings{"FLUSHALL"});
  const bool goes_on = GENERATE(false, true);
  const bool restarts = GENERATE(false, true);
  INFO(removal.front() << ", goes on " << goes_on << ", restarts " << restarts);
  stage.redis.Text(removal);
  if (goes_on) AddTo(stage.redis, Event("st", "later"), "st");
  if (restarts) {
    stage.redis.Kill9();
    stage.redis.Start();
  }
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "unproven");
  CHECK(run.json["unproven"] == 1);
  CHECK(run.json["landed"] == 1);
}

TEST_CASE("a range that a drain left open proves nothing once its stream was removed, whatever came in between") {
  Stage stage;
  const std::vector<TestEvent> events = Ten();
  WriteSpillFile(stage.folder, events);
  const StreamId anchor = AddTo(stage.redis, Event("st", "before"), "st");
  SqliteFile file = SqliteFile::Open(stage.Files().at(0)).value();
  const SpilledStream stream = file.Streams().value().front();
  Cursor cursor;
  cursor.open = {stream.last_ticket, "st", anchor, stage.redis.RunId(), 0};
  REQUIRE(file.SaveCursor(stream.id, cursor).ok());
  REQUIRE(file.Close().ok());
  for (const TestEvent& event : events) AddTo(stage.redis, event, "st");
  stage.redis.Text({"RENAME", "st", "archived"});
  const bool restarts = GENERATE(false, true);
  const bool fails_first = GENERATE(false, true);
  const Strings more = GENERATE(Strings{}, Strings{"--rename", "st=st2"});
  if (restarts) {
    stage.redis.Kill9();
    stage.redis.Start();
  }
  if (fails_first) {
    // A drain that begins anew with the range and gets no further.
    stage.redis.Text({"ACL", "SETUSER", "default", "-xadd"});
    REQUIRE(stage.Drain(more).exit_code == 1);
    stage.redis.Text({"ACL", "SETUSER", "default", "+xadd"});
  }
  const Run run = stage.Drain(more);
  INFO("restarts " << restarts << ", fails first " << fails_first << " " << run.out);
  CHECK(run.exit_code == 1);
  CHECK(run.json["unproven"] == 10);
}

TEST_CASE("a doubt from before the first entry proves nothing where the file knows that there were entries") {
  Stage stage;
  // Two in flight on a new stream: the first landed without an answer, and a later connection saw it.
  const TestEvent first = Event("st", "first");
  const TestEvent second = Event("st", "second");
  const ConnectionId connection{stage.redis.RunId(), 4242};
  const StreamId seen = AddTo(stage.redis, first, "st");
  WriteSpillFile(stage.folder, {InDoubt(first, kStreamBegin, connection), InDoubt(second, seen, connection)});
  stage.redis.Text({"DEL", "st"});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["unproven"] == 2);
}

}  // namespace
}  // namespace sprockets::testing
