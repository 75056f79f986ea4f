// The drain once more: into another stream, of a drained file, of a quarantined one.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include <catch2/catch.hpp>

#include "tests/replayer/drain/drain_fixture.h"

namespace sprockets::testing {
namespace {

using State = SpillFileInfo::State;

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
  // As long as somebody has not accepted the loss, nothing is well.
  CHECK(stage.Drain().exit_code == 1);
  CHECK(stage.Drain({"--keep", "0s"}).exit_code == 1);
  std::filesystem::remove(stage.folder.PathOf(number, State::kDrained));
  CHECK(stage.Drain().exit_code == 0);
}

TEST_CASE("salvage of a file that is no database says what to do with it") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 5));
  const std::string path = stage.folder.PathOf(number, State::kSealed).native();
  std::ofstream(path, std::ios::trunc) << std::string(64 * 1024, 'x');
  CHECK(stage.Drain().exit_code == 1);
  const Run salvaged = stage.Drain({"--salvage", path});
  CHECK(salvaged.exit_code != 0);
  CHECK_THAT(salvaged.out, Catch::Contains("nothing of ") && Catch::Contains("delete it here"));
  std::filesystem::remove(stage.Files().front().path);
  CHECK(stage.Drain().exit_code == 0);
}

TEST_CASE("a file of which salvage has read everything is a drained one like others") {
  Stage stage;
  const int64_t number = WriteSpillFile(stage.folder, Many("s", 5, "a"));
  REQUIRE(stage.folder.MarkQuarantined(number).ok());
  CHECK(stage.Drain({"--salvage", stage.folder.PathOf(number, State::kSealed).native()}).exit_code != 4);
  CHECK(EventIds(stage.redis, "s").size() == 5);
  const Run run = stage.Drain({"--keep", "0s"});
  INFO(run.out << run.err);
  CHECK(!stage.folder.Has(number, State::kDrained));
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

}  // namespace
}  // namespace sprockets::testing
