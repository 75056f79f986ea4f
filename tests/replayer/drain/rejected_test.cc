// Rows that Redis breaks every connection over: kept aside, told by every later drain, and taken when they can be.
#include <algorithm>

#include <catch2/catch.hpp>

#include "shared/spill/sqlite_file.h"
#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

constexpr size_t kTooLarge = 2 * 1024 * 1024;

/// Ten events, the fifth of which is too large for Redis, drained: nine landed.
struct RejectedOne : Stage {
  RejectedOne() {
    SetLimit("1mb");
    std::vector<TestEvent> events;
    for (int i = 0; i < 10; ++i) {
      events.push_back(Event("s", "e" + std::to_string(i), i == 4 ? std::string(kTooLarge, 'x') : "x"));
    }
    WriteSpillFile(folder, events);
    const Run run = Drain();
    REQUIRE(run.exit_code == 1);
    REQUIRE(run.json["result"] == "rejected");
    REQUIRE(run.json["rejected"] == 1);
    REQUIRE(run.json["landed"] == 9);
    REQUIRE(EventIds(redis, "s").size() == 9);
  }
  void SetLimit(const std::string& bytes) const { redis.Text({"CONFIG", "SET", "proto-max-bulk-len", bytes}); }
  std::string OnlyFile() const { return Files().at(0).path.filename().native(); }
};

TEST_CASE("while a row is rejected, no drain of its folder is verified") {
  RejectedOne stage;
  SECTION("a drain that finds nothing to do") {
    const Run run = stage.Drain();
    CHECK(run.exit_code == 1);
    CHECK(run.json["result"] == "rejected");
    CHECK(run.json["rejected"] == 1);
    CHECK(run.json["read"] == 0);
  }
  SECTION("a drain of another file, of another stream") {
    WriteSpillFile(stage.folder, {Event("other", "o")});
    const Run run = stage.Drain({"--streams", "other"});
    CHECK(run.exit_code == 1);
    CHECK(run.json["landed"] == 1);
    CHECK(run.json["rejected"] == 1);
  }
  SECTION("--dry-run") {
    const Run run = stage.Command("drain", {"--dry-run", "--json"});
    CHECK(run.exit_code == 1);
    CHECK(run.json["rejected"] == 1);
    CHECK(run.json["result"] == "rejected");
  }
  SECTION("a --file that was killed after it had begun anew") {
    SqliteFile file = SqliteFile::Open(stage.Files().at(0)).value();
    REQUIRE(stage.folder.MarkOffered(file.info().number).ok());
    REQUIRE(file.ResetCursors().ok());
    REQUIRE(file.Close().ok());
    CHECK(stage.Drain().json["result"] == "rejected");
  }
}

TEST_CASE("show names the rejected rows of a file") {
  RejectedOne stage;
  const Run run = stage.Command("show", {stage.OnlyFile()});
  size_t rejected = 0;
  for (size_t at = run.out.find("\"rejected\":"); at != std::string::npos; at = run.out.find("\"rejected\":", at + 1))
    ++rejected;
  CHECK(rejected == 1);
  CHECK(std::count(run.out.begin(), run.out.end(), '\n') == 10);
}

TEST_CASE("a rejected row that is offered again is rejected again until Redis can take it") {
  RejectedOne stage;
  const Run again = stage.Drain({"--file", stage.OnlyFile()});
  CHECK(again.exit_code == 1);
  CHECK(again.json["rejected"] == 1);
  CHECK(again.json["already_there"] == 9);
  stage.SetLimit("512mb");
  const Run mended = stage.Drain({"--file", stage.OnlyFile()});
  CHECK(mended.exit_code == 0);
  CHECK(mended.json["landed"] == 1);
  CHECK(mended.json["already_there"] == 9);
  CHECK(mended.json["rejected"] == 0);
  CHECK(EventIds(stage.redis, "s").size() == 10);
  const Run next = stage.Drain();
  CHECK(next.exit_code == 0);
  CHECK(next.json["result"] == "verified");
}

TEST_CASE("several rows of one batch that break connections are all rejected, and nothing else") {
  Stage stage;
  stage.redis.Text({"CONFIG", "SET", "proto-max-bulk-len", "1mb"});
  std::vector<TestEvent> events;
  Strings innocent;
  for (int i = 0; i < 200; ++i) {
    const std::string id = "e" + std::to_string(i);
    const bool too_large = i == 0 || i == 100 || i == 199;
    events.push_back(Event("s", id, too_large ? std::string(kTooLarge, 'x') : "x"));
    if (!too_large) innocent.push_back(id);
  }
  WriteSpillFile(stage.folder, events);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["rejected"] == 3);
  CHECK((EventIds(stage.redis, "s") == innocent));
}

TEST_CASE("what was counted against a row does not outlive its landing") {
  Stage stage;
  const std::vector<TestEvent> events{Event("s", "suspect"), Event("s", "next", std::string(kTooLarge, 'x'))};
  const int64_t number = WriteSpillFile(stage.folder, events);
  SqliteFile file = SqliteFile::Open(stage.Files().at(0)).value();
  const SpilledStream stream = file.Streams().value().front();
  Cursor cursor;
  cursor.open = {stream.last_ticket, "s", kStreamBegin, stage.redis.RunId(), 4};
  REQUIRE(file.SaveCursor(stream.id, cursor).ok());
  REQUIRE(file.Close().ok());
  // The suspect landed although its connection broke. The row behind it must begin at nought: it breaks twice here.
  Strings command{"XADD", "s", "*"};
  command.insert(command.end(), events[0].fields.begin(), events[0].fields.end());
  stage.redis.Text(command);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == 1);
  CHECK(run.json["landed"] == 1);
  CHECK(stage.Files().at(0).number == number);
}

}  // namespace
}  // namespace sprockets::testing
