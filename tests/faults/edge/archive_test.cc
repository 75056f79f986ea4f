// The archive is killed at every step by which it speaks to Redis or PostgreSQL, from the first word of a connection to
// the last: between XREADGROUP and XACK, in the transaction, between its COMMIT and ZADD. And PostgreSQL's disk is
// full.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/faults/edge/injected_fault.h"
#include "tests/faults/edge/mounted_disk.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr int kFewestSteps = 50;

constexpr const char* kTables =
    "CREATE TABLE sprockets.totals (member text PRIMARY KEY, score bigint NOT NULL);"
    "CREATE TABLE sprockets.typed (position bigint PRIMARY KEY, points bigint NOT NULL);";
constexpr const char* kTyped =
    "-- archive: s\nINSERT INTO typed SELECT position, (fields->>'points')::bigint FROM batch ORDER BY position";
constexpr const char* kScores =
    "-- archive: s\n-- returns: scores\n"
    "WITH added AS (SELECT fields->>'user' AS member, sum((fields->>'points')::bigint) AS points FROM batch GROUP BY 1 "
    "ORDER BY 1), changed AS (INSERT INTO totals SELECT member, points FROM added ORDER BY member ON CONFLICT (member) "
    "DO UPDATE SET score = totals.score + EXCLUDED.score RETURNING member, score)\n"
    "SELECT 'board' AS key, member, score FROM changed";

/// What a trial adds to the stream: two events, one of them twice, and one that no handler takes.
void AddEvents(const SetStage& stage, int trial) {
  const std::string number = std::to_string(trial);
  const auto event = [&](const std::string& name, const std::string& user, const std::string& points) {
    return Command{"XADD", "s", "*", "event_id", name + number, "user", user, "points", points};
  };
  const std::vector<Command> events{event("a", "ada", "3"), event("b", "bob", "5"), event("c", "ada", "many"),
                                    event("a", "ada", "3")};
  stage.redis.Connect().Pipeline(events);
}

/// SPROCKETS_LONG_TESTS: each step; else every third one, each time others.
int Stride() {
  return std::getenv("SPROCKETS_LONG_TESTS") == nullptr ? 3 : 1;
}

/// Everything of so many trials, each event once.
void Expect(const SetStage& stage, int trials) {
  const std::vector<std::string> found =
      stage.postgres
          .Query(stage.database,
                 "SELECT (SELECT count(*) FROM sprockets.log), (SELECT count(*) FROM sprockets.typed JOIN "
                 "sprockets.log USING (position)), (SELECT count(*) FROM sprockets.dead_letters), (SELECT count(*) "
                 "FROM sprockets.repeats), (SELECT string_agg(score::text, ' ' ORDER BY member) FROM "
                 "sprockets.totals), (SELECT count(*) FROM sprockets.outbox)")
          .at(0);
  const auto times = [&](int number) { return std::to_string(number * trials); };
  CHECK(found == std::vector<std::string>{times(2), times(2), times(1), times(1), times(3) + " " + times(5), "0"});
  CHECK(stage.redis.Call({"ZSCORE", "board", "ada"}).text == times(3));
  CHECK(stage.redis.Call({"ZSCORE", "board", "bob"}).text == times(5));
  CHECK(stage.redis.Call({"XPENDING", "s", "archive"}).elements.at(0).integer == 0);
}

TEST_CASE("an archive that is killed at any of its steps counts each event once, and leaves nothing", "[archive]") {
  SetStage stage;
  stage.Write("migrations/001_tables.sql", kTables);
  stage.Write("archive/10_typed.sql", kTyped);
  stage.Write("archive/20_scores.sql", kScores);
  REQUIRE(stage.Run("migrate").exit_code == 0);
  const std::vector<std::string> archive =
      ReplayerCommand({"archive", "--schema", stage.set, "--stream", "s", "--consumer", "one", "--postgres",
                       stage.postgres_url, "--redis", stage.redis_url});
  const std::filesystem::path report = stage.folder / "struck";
  InjectedFault fault{.calls = "send", .deed = "kill"};
  std::string struck;
  int trials = 0;
  const int stride = Stride();
  fault.at = 1 + static_cast<int>(std::random_device()() % static_cast<unsigned>(stride));
  do {
    AddEvents(stage, ++trials);
    std::vector<std::string> command = fault.Prefix(stage.folder / "nothing", report);
    command.insert(command.end(), archive.begin(), archive.end());
    Run(std::move(command), stage.folder.path());
    struck = ReadReport(report);
    INFO("killed at " << struck);
    // The lock of one that was killed expires by itself, after three seconds.
    stage.redis.Call({"DEL", "sprockets:rebuild:lock"});
    const RunResult next = Run(archive, stage.folder.path());
    INFO(next.out << next.err);
    CHECK((next.exit_code == 0 || next.exit_code == 1));  // 1: it has put the third event aside itself
    CHECK(next.out.find("still pending") == std::string::npos);
    Expect(stage, trials);
    fault.at += stride;
  } while (!struck.empty());
  CHECK(fault.at > kFewestSteps);
}

TEST_CASE("where PostgreSQL's disk is full, the archive waits, puts nothing aside, and goes on when there is room",
          "[archive]") {
  const TempDir folder;
  const auto disk = MountedDisk::InMemory(folder.path(), "32m");
  if (!disk) {
    WARN("skipped: mounting is not permitted here");
    return;
  }
  // Started now, so that it sees the disk.
  PostgresServer postgres;
  GiveToPostgres(disk->path());
  postgres.Execute("postgres", "CREATE TABLESPACE small LOCATION '" + disk->path().string() + "'");
  const std::string database = postgres.CreateDatabase();
  postgres.Execute("postgres", "ALTER DATABASE " + database + " SET TABLESPACE small");
  RedisServer redis(folder.path(), {"--appendonly", "no"});
  redis.Start();
  const std::vector<std::string> stores{"--postgres", postgres.Url(database)};
  std::vector<std::string> migrate{"migrate"};
  migrate.insert(migrate.end(), stores.begin(), stores.end());
  REQUIRE(RunReplayer(folder.path(), migrate).exit_code == 0);
  // The group is there, and what is small has its place on the disk.
  std::vector<std::string> words{"archive", "--stream", "s", "--redis", redis.Url()};
  words.insert(words.end(), stores.begin(), stores.end());
  redis.Call({"XADD", "s", "*", "n", "first"});
  REQUIRE(RunReplayer(folder.path(), words).exit_code == 0);
  constexpr int kEvents = 4'000;
  std::vector<Command> events;
  for (int i = 0; i < kEvents; ++i)
    events.push_back({"XADD", "s", "*", "n", std::to_string(i), "v", std::string(600, 'x')});
  redis.Connect().Pipeline(events);

  const std::filesystem::path filler = disk->path() / "somebody-elses";
  {
    std::ofstream file(filler, std::ios::binary);
    const std::string block(4'096, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  words.emplace_back("--follow");
  Process archive({.command = ReplayerCommand(words), .output = folder / "archive", .environment = {}});
  Await("the archive to say that the disk is full",
        [&] { return archive.Stderr().find("writing-waits") != std::string::npos; });
  INFO(archive.Stderr());
  CHECK(archive.Stderr().find("No space left on device") != std::string::npos);
  CHECK(redis.Call({"XPENDING", "s", "archive"}).elements.at(0).integer > 0);
  CHECK(postgres.Value(database, "SELECT count(*) FROM sprockets.log") == "1");
  std::filesystem::remove(filler);
  Await("everything to be archived",
        [&] { return postgres.Value(database, "SELECT count(*) FROM sprockets.log") == std::to_string(kEvents + 1); });
  archive.Signal(SIGTERM);
  CHECK(archive.Wait() == 0);
  CHECK(archive.Stderr().find("writing-goes-on") != std::string::npos);
  CHECK(postgres.Value(database, "SELECT count(*) FROM sprockets.dead_letters") == "0");
  CHECK(redis.Call({"XPENDING", "s", "archive"}).elements.at(0).integer == 0);
}

}  // namespace
}  // namespace sprockets::harness
