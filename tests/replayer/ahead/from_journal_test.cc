// rebuild --from-journal: a Redis is filled from the journals of a folder, by hand.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"
#include "tests/replayer/journal_fixture.h"

namespace sprockets::testing {
namespace {

Run FillFromJournal(const Stage& stage, const Strings& more = {}) {
  Strings arguments = {
      "rebuild", "--from-journal", stage.folder.path().native(), "--redis", stage.redis.Url(), "--json", "--progress",
      "none"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return RunReplayer(arguments);
}

TEST_CASE("rebuild --from-journal fills an empty Redis, and says the second time that all of it is there") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  NoteLanded(stage.folder, "s", 5);  // a mark does not matter
  const Run dry = FillFromJournal(stage, {"--dry-run"});
  CHECK(dry.exit_code == 1);
  CHECK(dry.json["added"] == 5);
  CHECK(stage.redis.Text({"EXISTS", "s", "t"}) == "0");
  const auto before = stage.Snapshot();
  const Run run = FillFromJournal(stage);
  CHECK(run.exit_code == 0);
  CHECK(run.json["result"] == "verified");
  CHECK(run.json["added"] == 5);
  CHECK((stage.Snapshot() == before));
  CHECK(EventIds(stage.redis, "s") == Strings{"one", "three", "two", "five"});
  CHECK(stage.redis.LastId("s") == IdOf(5));
  CHECK(stage.redis.LastId("t") == IdOf(6));
  const Run again = FillFromJournal(stage);
  CHECK(again.exit_code == 0);
  CHECK(again.json["added"] == 0);
  CHECK(again.json["there"] == 5);
}

TEST_CASE("rebuild --from-journal names what is missing below a stream's last entry, and what differs there") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  CHECK(FillFromJournal(stage).exit_code == 0);
  stage.redis.Call({"XDEL", "s", ToString(IdOf(3))});
  stage.redis.Call({"DEL", "t"});
  stage.redis.Call({"XADD", "t", ToString(IdOf(6)), "something", "else"});
  const Run run = FillFromJournal(stage);
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "missing");
  CHECK(run.json["there"] == 3);
  CHECK(run.json["missing"] == 2);
  CHECK(run.json["streams"][0]["first_missing"] == ToString(IdOf(3)));
  CHECK(run.json["streams"][1]["first_missing"] == ToString(IdOf(6)));
}

TEST_CASE("rebuild --from-journal does not add above events that another writer overtook, unless it is forced to") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  stage.redis.Call({"XADD", "s", ToString(*Next(IdOf(3))), "foreign", "entry"});
  const Run run = FillFromJournal(stage);
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "left");
  CHECK(run.json["missing"] == 2);
  CHECK(stage.redis.Text({"XLEN", "s"}) == "1");
  CHECK(EventIds(stage.redis, "t") == Strings{"six"});
  const Run forced = FillFromJournal(stage, {"--force"});
  CHECK(forced.json["result"] == "missing");
  CHECK(stage.redis.Text({"XLEN", "s"}) == "3");
}

TEST_CASE("rebuild --from-journal goes by the options of each XADD, and leaves a key of another type alone") {
  Stage stage;
  std::vector<TestRow> rows;
  for (int64_t ticket = 1; ticket <= 9; ++ticket) {
    TestEvent event = Event("s", std::to_string(ticket));
    event.options = {"MAXLEN", "=", "3"};
    rows.push_back({event, ticket});
  }
  rows.push_back({Event("t", "ten"), 10});
  WriteJournal(stage.folder, rows);
  stage.redis.Call({"SET", "t", "not a stream"});
  const Run run = FillFromJournal(stage);
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "left");
  CHECK_THAT(run.json["streams"][1]["why"].get<std::string>(), Catch::Contains("WRONGTYPE"));
  CHECK(EventIds(stage.redis, "s") == Strings{"7", "8", "9"});
  CHECK(FillFromJournal(stage, {"--streams", "s"}).json["missing"] == 6);
}

TEST_CASE("rebuild --from-journal says where it does not apply") {
  Stage stage;
  CHECK(FillFromJournal(stage).exit_code == 4);
  WriteTwoJournals(stage.folder);
  CHECK(FillFromJournal(stage, {"--streams", "nobody"}).exit_code == 4);
  CHECK(FillFromJournal(stage, {"--follow"}).exit_code == 2);
  CHECK(FillFromJournal(stage, {"--into", "drill:"}).exit_code == 2);
  CHECK(RunReplayer({"rebuild", "--streams", "s", "--redis", stage.redis.Url(), "--schema", "x", "--postgres",
                     "postgres://nobody@localhost/x"})
            .exit_code == 2);
}

TEST_CASE("rebuild --from-journal reads no file that a sidecar is writing, and says so") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  const auto lock = stage.folder.LockForWriting(0);
  REQUIRE(lock.ok());
  SpillWriter::Options options;
  options.number = Good(stage.folder.NextNumber());
  options.producer = "producer";
  options.event_id_field = "event_id";
  options.names_entries = true;
  const auto active = Good(stage.folder.CreateActive(options));
  const Run run = FillFromJournal(stage);
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "left");
  CHECK(run.json["added"] == 5);
}

}  // namespace
}  // namespace sprockets::testing
