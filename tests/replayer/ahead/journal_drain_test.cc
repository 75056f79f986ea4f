// A drain over journals, the files of --ack disk, where no sidecar is at work.
#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/redis/stream_id.h"
#include "tests/replayer/fixture.h"
#include "tests/replayer/journal_fixture.h"

namespace sprockets::testing {
namespace {

/// The ids of a stream's entries, in order.
Strings EntryIds(const PrivateRedis& redis, const std::string& stream) {
  const RedisClient::Reply reply = redis.Call({"XRANGE", stream, "-", "+"});
  Strings ids;
  for (size_t i = 0; i < reply->elements; ++i) ids.emplace_back(TextOf(*reply->element[i]->element[0]));
  return ids;
}

Strings IdsOf(const std::vector<int64_t>& tickets) {
  Strings ids;
  for (const int64_t ticket : tickets) ids.push_back(ToString(IdOf(ticket)));
  return ids;
}

/// Nothing: there is no state file.
size_t TagsDrawn(const Stage& stage) {
  StateFile state = Good(StateFile::OpenExisting(stage.folder));
  const size_t tags = state.tags().size();
  Good(state.Close());
  return tags;
}

TEST_CASE("a drain forwards journals under their ids, and what was spilled behind them") {
  Stage stage;
  WriteSpillFile(stage.folder, {Event("s", "spilled")});
  WriteTwoJournals(stage.folder);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["result"] == "verified");
  CHECK(run.json["landed"] == 6);
  CHECK(run.json["left"] == 0);
  CHECK(run.json["journals"]["landed"] == 5);
  CHECK(EventIds(stage.redis, "s") == Strings{"one", "three", "two", "five", "spilled"});
  CHECK(EventIds(stage.redis, "t") == Strings{"six"});
  CHECK(EntryIds(stage.redis, "t") == IdsOf({6}));
  Strings ids = EntryIds(stage.redis, "s");
  ids.pop_back();
  CHECK(ids == IdsOf({1, 3, 4, 5}));
  // The journals stay, in case Redis forgets.
  REQUIRE(stage.Files().size() == 3);
  CHECK(stage.Files()[0].state == SpillFileInfo::State::kDrained);
  CHECK(stage.Files()[1].state == SpillFileInfo::State::kSealed);
  CHECK(stage.Files()[2].state == SpillFileInfo::State::kSealed);
}

TEST_CASE("a second drain of journals has nothing to send, says so, and draws no tag") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  CHECK(stage.Drain().exit_code == 0);
  const size_t tags = TagsDrawn(stage);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 0);
  CHECK(TagsDrawn(stage) == tags);
  CHECK(stage.redis.Text({"XLEN", "s"}) == "4");
  CHECK_THAT(stage.Command("drain", {"--redis", stage.redis.Url()}).out, Catch::Contains("journals: nothing to send"));
  CHECK(stage.Command("drain", {"--dry-run", "--json"}).json["left"] == 0);
}

TEST_CASE("a Redis that lost everything gets it back from the journals, once") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  CHECK(stage.Drain().exit_code == 0);
  stage.redis.Kill9();
  stage.redis.Start();
  stage.redis.Call({"FLUSHALL"});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 5);
  CHECK(run.json["journals"]["refills"] == 2);
  CHECK(EntryIds(stage.redis, "s") == IdsOf({1, 3, 4, 5}));
}

TEST_CASE("while a sidecar is at work a drain leaves the journals to it, says so, and drains the other files") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  WriteSpillFile(stage.folder, {Event("s", "spilled")});
  const auto lock = stage.folder.LockForWriting(0);
  REQUIRE(lock.ok());
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "left");
  CHECK(run.json["landed"] == 1);
  CHECK(EventIds(stage.redis, "s") == Strings{"spilled"});
  CHECK(stage.Files()[0].state == SpillFileInfo::State::kSealed);
}

TEST_CASE("a drain gives what another writer overtook new ids, in a journal, before it sends it") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  stage.redis.Call({"XADD", "s", "*", "foreign", "entry"});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["result"] == "verified");
  CHECK(run.json["journals"]["overtaken"] == 4);
  CHECK(run.json["journals"]["landed"] == 5);
  CHECK(EventIds(stage.redis, "t") == Strings{"six"});
  const std::vector<Strings> entries = Entries(stage.redis, "s");
  REQUIRE(entries.size() == 5);
  CHECK(entries[0] == Strings{"foreign", "entry"});
  CHECK(entries[4][3] == "five");
  REQUIRE(stage.Files().size() == 3);
  const auto journal = Good(stage.folder.OpenFile(stage.Files()[2]));
  CHECK(journal->names_entries());
  const std::vector<SpillFile::Move> moves = Good(journal->Moves());
  REQUIRE(moves.size() == 4);
  CHECK(moves[0].origin == 1);
  CHECK(moves[1].origin == 3);
  CHECK(moves[2].origin == 2);
  CHECK(moves[3].origin == 5);
  Good(journal->Close());
  // They are the rows that count from now on.
  stage.redis.Kill9();
  stage.redis.Start();
  stage.redis.Call({"FLUSHALL"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK(EventIds(stage.redis, "s") == Strings{"one", "three", "two", "five"});
}

TEST_CASE("a drain says which stream Redis refuses, and lands the others") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  stage.redis.Call({"SET", "s", "not a stream"});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "left");
  CHECK(run.json["left"] == 4);
  REQUIRE(run.json["journals"]["refused"].size() == 1);
  CHECK(run.json["journals"]["refused"][0]["stream"] == "s");
  CHECK_THAT(run.json["journals"]["refused"][0]["why"].get<std::string>(), Catch::Contains("WRONGTYPE"));
  CHECK(EventIds(stage.redis, "t") == Strings{"six"});
  stage.redis.Call({"DEL", "s"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK(EntryIds(stage.redis, "s") == IdsOf({1, 3, 4, 5}));
}

TEST_CASE("an event of which nobody can say whether it landed is sent and counted, or skipped and counted") {
  const bool skips = GENERATE(false, true);
  Stage stage;
  WriteJournal(stage.folder, {{Event("s", "one"), 1}});
  // Another writer's entry is above, and something was deleted: it may have been ours.
  const std::string foreign = stage.redis.Text({"XADD", "s", "*", "foreign", "entry"});
  stage.redis.Call({"XADD", "s", "*", "foreign", "another"});
  stage.redis.Call({"XDEL", "s", foreign});
  const Run run = stage.Drain(skips ? Strings{"--unproven", "skip"} : Strings{});
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "unproven");
  CHECK(run.json["unproven"] == 1);
  CHECK(run.json["journals"]["unproven"] == 1);
  CHECK(stage.redis.Text({"XLEN", "s"}) == (skips ? "1" : "2"));
}

TEST_CASE("an event that had landed and may have been deleted on purpose is reported, or appended on request") {
  const bool appends = GENERATE(false, true);
  Stage stage;
  WriteJournal(stage.folder, {{Event("s", "one"), 1}});
  NoteLanded(stage.folder, "s", 1);
  const std::string foreign = stage.redis.Text({"XADD", "s", "*", "foreign", "entry"});
  stage.redis.Call({"XADD", "s", "*", "foreign", "another"});
  stage.redis.Call({"XDEL", "s", foreign});
  const Run run = stage.Drain(appends ? Strings{"--refill", "append"} : Strings{});
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "unproven");
  CHECK(run.json["journals"][appends ? "unproven" : "reported"] == 1);
  CHECK(stage.redis.Text({"XLEN", "s"}) == (appends ? "2" : "1"));
}

TEST_CASE("what no option of a drain can mean for a journal is said and left") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  const Run renamed = stage.Drain({"--rename", "s=elsewhere"});
  CHECK(renamed.exit_code == 1);
  CHECK(renamed.json["left"] == 4);
  CHECK(stage.redis.Text({"EXISTS", "s", "elsewhere"}) == "0");
  CHECK(EventIds(stage.redis, "t") == Strings{"six"});
  CHECK(stage.Drain({"--file", "spill-000001"}).exit_code == 4);
}

TEST_CASE("--streams chooses streams of journals, too") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  const Run run = stage.Drain({"--streams", "t"});
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 1);
  CHECK(stage.redis.Text({"EXISTS", "s"}) == "0");
}

TEST_CASE("--rate holds for journals") {
  Stage stage;
  std::vector<TestRow> rows;
  for (int64_t ticket = 1; ticket <= 40; ++ticket) rows.push_back({Event("s", std::to_string(ticket)), ticket});
  WriteJournal(stage.folder, rows);
  const Run run = stage.Drain({"--rate", "100"});
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 40);
  CHECK(run.json["duration_ms"].get<int64_t>() >= 300);
}

TEST_CASE("journals of another database, or of another Redis that had more, are refused without --force") {
  Stage stage;
  WriteJournal(stage.folder, {{Event("s", "one"), 1}}, "redis://127.0.0.1:1", 3);
  const Run other_database = stage.Drain();
  CHECK(other_database.exit_code == 4);
  CHECK_THAT(other_database.json["error"].get<std::string>(), Catch::Contains("database 3"));
  Stage second;
  WriteJournal(second.folder, {{Event("s", "one"), 1}}, "redis://127.0.0.1:1", 0);
  NoteLanded(second.folder, "s", 1);
  const Run other_redis = second.Drain();
  CHECK(other_redis.exit_code == 4);
  CHECK_THAT(other_redis.json["error"].get<std::string>(), Catch::Contains("redis://127.0.0.1:1"));
  CHECK(second.redis.Text({"EXISTS", "s"}) == "0");
  CHECK(second.Drain({"--force"}).exit_code == 0);
  CHECK(EntryIds(second.redis, "s") == IdsOf({1}));
}

TEST_CASE("an event over which Redis breaks the connection is kept aside, named, and lands when Redis can take it") {
  Stage stage({"--proto-max-bulk-len", "1mb"});
  const std::string large(1'200'000, 'x');
  WriteJournal(stage.folder, {{Event("s", "one"), 1}, {Event("s", "large", large), 2}, {Event("s", "three"), 3}});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "rejected");
  CHECK(run.json["rejected"] == 1);
  CHECK(run.json["journals"]["rejected"] == 1);
  CHECK(EntryIds(stage.redis, "s") == IdsOf({1, 3}));
  CHECK(stage.Drain().json["result"] == "rejected");
  stage.redis.Kill9();
  stage.redis.Start();
  stage.redis.Call({"CONFIG", "SET", "proto-max-bulk-len", "512mb"});
  stage.redis.Call({"FLUSHALL"});
  const Run again = stage.Drain();
  CHECK(again.exit_code == 0);
  CHECK(again.json["rejected"] == 0);
  CHECK(EntryIds(stage.redis, "s") == IdsOf({1, 2, 3}));
}

TEST_CASE("a drain of journals waits for a Redis that is full, and goes on where it was") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  stage.redis.Call({"CONFIG", "SET", "maxmemory", "1"});
  std::thread relief([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    stage.redis.Call({"CONFIG", "SET", "maxmemory", "0"});
  });
  const Run run = stage.Drain();
  relief.join();
  CHECK(run.exit_code == 0);
  CHECK(EntryIds(stage.redis, "s") == IdsOf({1, 3, 4, 5}));
}

TEST_CASE("a drain of journals goes on after its connection was killed") {
  Stage stage;
  std::vector<TestRow> rows;
  for (int64_t ticket = 1; ticket <= 60; ++ticket) rows.push_back({Event("s", std::to_string(ticket)), ticket});
  WriteJournal(stage.folder, rows);
  std::thread killer([&] {
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(80));
      stage.redis.Call({"CLIENT", "KILL", "TYPE", "normal"});
    }
  });
  const Run run = stage.Drain({"--rate", "100"});
  killer.join();
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 60);
  CHECK(stage.redis.Text({"XLEN", "s"}) == "60");
}

}  // namespace
}  // namespace sprockets::testing
