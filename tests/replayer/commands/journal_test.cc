// Journals, the files of --ack disk, as the replayer sees them: what it says of them.
#include <sstream>

#include <catch2/catch.hpp>

#include "shared/spill/sqlite.h"
#include "shared/spill/state_file.h"
#include "tests/replayer/fixture.h"
#include "tests/replayer/journal_fixture.h"

namespace sprockets::testing {
namespace {

std::vector<nlohmann::json> Lines(const std::string& out) {
  std::istringstream lines(out);
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

TEST_CASE("show prints the entry ids of a journal, and of an event that was moved the row that counts") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  NoteLanded(stage.folder, "s", 1);
  const std::vector<nlohmann::json> rows = Lines(stage.Command("show").out);
  REQUIRE(rows.size() == 4);
  CHECK(rows[0]["event_id"] == "three");
  CHECK(rows[0]["id"] == ToString(IdOf(3)));
  CHECK_FALSE(rows[0].contains("moved_from"));
  CHECK(rows[1]["event_id"] == "two");
  CHECK(rows[1]["id"] == ToString(IdOf(4)));
  CHECK(rows[1]["moved_from"] == 2);
  CHECK(rows[3]["stream"] == "t");
  CHECK(Lines(stage.Command("show", {"spill-000001"}).out).size() == 3);
  CHECK_FALSE(Lines(stage.Command("show", {"spill-000001"}).out)[1].contains("moved_from"));
}

TEST_CASE("show prints no entry id where a file has none") {
  Stage stage;
  WriteSpillFile(stage.folder, {Event("s", "one")});
  CHECK_FALSE(Lines(stage.Command("show").out).at(0).contains("id"));
}

TEST_CASE("status counts a journal's rows up to the landed mark as done, moved events once, and changes nothing") {
  Stage stage;
  WriteTwoJournals(stage.folder);
  NoteLanded(stage.folder, "s", 1);
  WriteSpillFile(stage.folder, {Event("s", "spilled")});
  (void)stage.folder.LockForWriting(0).ok();  // makes the lock's file, as every sidecar does
  const auto before = stage.Snapshot();
  const Run run = stage.Command("status", {"--json"});
  CHECK((stage.Snapshot() == before));
  CHECK(run.json["rows"] == 5);  // three, two, five, six, spilled
  CHECK(run.json["oldest_ms"] == 1003);
  REQUIRE(run.json["files"].size() == 3);
  CHECK(run.json["files"][0]["journal"] == true);
  CHECK(run.json["files"][0]["streams"][0]["left"] == 1);
  CHECK(run.json["files"][1]["streams"][0]["left"] == 2);
  CHECK(run.json["files"][1]["streams"][1]["left"] == 1);
  CHECK_FALSE(run.json["files"][2].contains("journal"));
  const std::string text = stage.Command("status").out;
  CHECK_THAT(text, Catch::Contains("5 events wait"));
  CHECK_THAT(text, Catch::Contains("4 of them wait in journals: start the sidecar with --ack disk"));
  CHECK_THAT(text, Catch::Contains("spill-000001.sealed.sqlite  sealed journal"));
}

TEST_CASE("status says that nothing waits in journals whose rows have all landed") {
  Stage stage;
  WriteJournal(stage.folder, {{Event("s", "one"), 1}, {Event("s", "two"), 2}});
  NoteLanded(stage.folder, "s", 2);
  const Run run = stage.Command("status", {"--json"});
  CHECK(run.json["rows"] == 0);
  CHECK(run.json["result"] == "drained");
}

TEST_CASE("while a sidecar is at work, status and show leave it to its STATUS to say what has landed") {
  Stage stage;
  WriteJournal(stage.folder, {{Event("s", "one"), 1}});
  NoteLanded(stage.folder, "s", 1);
  const auto lock = stage.folder.LockForWriting(0);
  REQUIRE(lock.ok());
  const Run run = stage.Command("status", {"--json"});
  CHECK(run.json["rows"] == 0);
  CHECK(run.json["files"][0]["journal"] == true);
  CHECK_THAT(run.json["files"][0]["not_read"].get<std::string>(), Catch::Contains("STATUS"));
  CHECK_THAT(stage.Command("status").out, Catch::Contains("at least 0 events wait"));
  CHECK(stage.Command("show").out.empty());
  CHECK(Lines(stage.Command("show", {"spill-000001"}).out).size() == 1);
}

TEST_CASE("a drained journal is not offered again") {
  Stage stage;
  const int64_t number = WriteJournal(stage.folder, {{Event("s", "one"), 1}});
  Good(stage.folder.Move(number, SpillFileInfo::State::kSealed, SpillFileInfo::State::kDrained));
  const Run run = stage.Drain({"--file", "spill-000001"});
  CHECK(run.exit_code == 4);
  CHECK_THAT(run.json["error"].get<std::string>(), Catch::Contains("--ack disk"));
  CHECK(EventIds(stage.redis, "s").empty());
}

TEST_CASE("a salvage keeps the names of a journal's good rows and what was moved") {
  Stage stage;
  const int64_t number = WriteJournal(
      stage.folder,
      {{Event("s", "one"), 1}, {Event("s", "two"), 2}, {Event("s", "three"), 3}, {Event("s", "one"), 4, 1}});
  {
    Database::Options options;
    options.application_id = kSpillApplicationId;
    options.user_version = kJournalFormatVersion;
    Database raw = Good(Database::Open(stage.Files()[0].path, options));
    Good(raw.Execute("UPDATE s SET _id = '1-1' WHERE _ticket = 2"));
  }
  Good(stage.folder.MarkQuarantined(number));
  const Run run = stage.Drain({"--salvage", "spill-000001"});
  CHECK(run.exit_code == 1);
  REQUIRE(stage.Files().size() == 2);
  const auto salvaged = Good(stage.folder.OpenFile(stage.Files()[1]));
  CHECK(salvaged->names_entries());
  CHECK(Good(salvaged->Moves()) == std::vector<SpillFile::Move>{{1, 4, 1}});
  std::vector<int64_t> tickets;
  Good(salvaged->Visit(Good(salvaged->Streams()).at(0), 0, 0, [&](const SpilledEvent& row) {
    tickets.push_back(row.ticket);
    CHECK(row.id == IdOf(row.ticket));
    CHECK(row.origin == (row.ticket == 4 ? 1 : 0));
    CHECK(row.doubt);  // which is how a salvaged row is told from others
    return true;
  }));
  CHECK(tickets == std::vector<int64_t>{1, 3, 4});
  // What is lost is not there, whoever asks.
  const Run filled = RunReplayer({"rebuild", "--from-journal", stage.folder.path().native(), "--redis",
                                  stage.redis.Url(), "--json", "--progress", "none"});
  INFO(filled.out << filled.err);
  CHECK(filled.exit_code == 1);
}

}  // namespace
}  // namespace sprockets::testing
