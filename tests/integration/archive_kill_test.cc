// archive is killed at random points, and so are Redis and PostgreSQL: the log is the stream, the totals are the log,
// the board is the totals, and nothing is pending. And who takes over whose entries.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/harness/proxy.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

constexpr const char* kTotals =
    "CREATE TABLE sprockets.totals (member text PRIMARY KEY, score bigint NOT NULL);"
    "CREATE TABLE sprockets.typed (position bigint PRIMARY KEY, event_id text NOT NULL UNIQUE);";
constexpr const char* kScores =
    "-- archive: *\n-- returns: scores\n"
    "WITH added AS (SELECT fields->>'user' AS member, sum((fields->>'points')::bigint) AS points FROM batch GROUP BY 1 "
    "ORDER BY 1), changed AS (INSERT INTO totals SELECT member, points FROM added ORDER BY member ON CONFLICT (member) "
    "DO "
    "UPDATE SET score = totals.score + EXCLUDED.score RETURNING member, score)\n"
    "SELECT 'board' AS key, member, score FROM changed";
constexpr const char* kTyped = "-- archive: *\nINSERT INTO typed SELECT position, event_id FROM batch";

TEST_CASE("two archives that are killed again and again, over servers that are killed too, count every event once",
          "[archive_kill]") {
  const char* rounds_text = std::getenv("SPROCKETS_KILLS");
  const int rounds = rounds_text == nullptr ? 40 : std::atoi(rounds_text);
  SetStage stage({"--appendonly", "yes", "--appendfsync", "always"});
  stage.Write("migrations/001_totals.sql", kTotals);
  stage.Write("archive/10_typed.sql", kTyped);
  stage.Write("archive/20_scores.sql", kScores);
  REQUIRE(stage.Run("migrate").exit_code == 0);
  std::mt19937 random(4'711);
  const auto pick = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); };

  int added = 0;
  std::map<std::string, int> points;
  const auto add_some = [&](int count) {
    RespClient client = stage.redis.Connect();
    std::vector<Command> commands;
    for (int i = 0; i < count; ++i, ++added) {
      const std::string user = "u" + std::to_string(added % 13);
      const std::string event = "e" + std::to_string(added);
      const std::string worth = std::to_string(added % 5);
      const std::string stream = added % 3 == 0 ? "t" : "s";
      points[user] += added % 5;
      commands.push_back({"XADD", stream, "*", "event_id", event, "user", user, "points", worth});
      // Now and then it is sent twice.
      if (added % 50 == 0) commands.push_back(commands.back());
    }
    for (const Reply& reply : client.Pipeline(commands)) REQUIRE(reply.type == Reply::Type::kBulk);
  };
  const std::vector<std::string> common{"--stream", "s",       "--stream", "t",       "--claim-idle",
                                        "1s",       "--batch", "50",       "--follow"};
  std::map<std::string, std::unique_ptr<Process>> running;
  const auto start = [&](const std::string& name) {
    std::vector<std::string> words{"archive", "--schema",      stage.set,    "--postgres", stage.postgres_url,
                                   "--redis", stage.redis_url, "--consumer", name};
    words.insert(words.end(), common.begin(), common.end());
    running[name] = std::make_unique<Process>(Process::Options{
        .command = ReplayerCommand(words), .output = stage.folder / ("archive-" + name), .environment = {}});
  };
  start("one");
  start("two");
  for (int round = 0; round < rounds; ++round) {
    add_some(20 + pick(300));
    std::this_thread::sleep_for(std::chrono::milliseconds(pick(120)));
    const std::string victim = pick(2) == 0 ? "one" : "two";
    running[victim]->Kill9();
    if (round % 9 == 4) {
      stage.redis.Kill9();
      std::this_thread::sleep_for(std::chrono::milliseconds(pick(200)));
      stage.redis.Start();
    }
    if (round % 9 == 8) {
      stage.postgres.Kill();
      std::this_thread::sleep_for(std::chrono::milliseconds(pick(200)));
      stage.postgres.Start();
    }
    start(victim);
  }
  const auto value = [&](const std::string& sql) { return stage.postgres.Value(stage.database, sql); };
  Await(
      "the last events to be archived",
      [&] { return value("SELECT count(*) FROM sprockets.log") == std::to_string(added); }, 60s);
  for (auto& [name, process] : running) {
    process->Signal(SIGTERM);
    CHECK(process->Wait().has_value());
  }
  const CommandResult rest =
      stage.Run("archive", {"--stream", "s", "--stream", "t", "--claim-idle", "100ms", "--consumer", "one", "--json"});
  INFO(rest);
  CHECK(rest.exit_code == 0);

  CHECK(value("SELECT count(*) FROM sprockets.log") == std::to_string(added));
  CHECK(value("SELECT count(*) FROM sprockets.typed JOIN sprockets.log USING (position, event_id)") ==
        std::to_string(added));
  CHECK(value("SELECT count(*) FROM sprockets.dead_letters") == "0");
  CHECK(value("SELECT count(*) FROM sprockets.outbox") == "0");
  for (const auto& [user, score] : points) {
    CHECK(value("SELECT score FROM sprockets.totals WHERE member = '" + user + "'") == std::to_string(score));
    CHECK(stage.redis.Call({"ZSCORE", "board", user}).text == std::to_string(score));
  }
  for (const char* stream : {"s", "t"})
    CHECK(stage.redis.Call({"XPENDING", stream, "archive"}).elements.at(0).integer == 0);
}

nlohmann::json SummaryOf(Process& archive) {
  CHECK(archive.Wait().has_value());
  INFO(archive.Stderr());
  return nlohmann::json::parse(archive.Stdout());
}

TEST_CASE("a batch that takes longer than --claim-idle is claimed by nobody", "[archive_kill]") {
  SetStage stage;
  stage.Write("archive/10_slow.sql", "-- archive: s\nSELECT pg_sleep(5) FROM (SELECT count(*) FROM batch) AS one");
  REQUIRE(stage.Run("migrate").exit_code == 0);
  for (int i = 0; i < 10; ++i) stage.redis.Call({"XADD", "s", "*", "n", std::to_string(i)});
  const auto begin = [&](const std::string& name) {
    return stage.Begin("archive", {"--stream", "s", "--claim-idle", "2s", "--consumer", name, "--json"});
  };
  Process one = begin("one");
  stage.AwaitSleepingQuery();
  Process two = begin("two");
  CHECK(SummaryOf(one).at("archived") == 10);
  CHECK(SummaryOf(two).at("read") == 0);
  CHECK(two.Stderr().find("claimed") == std::string::npos);
}

TEST_CASE("entries of an instance that does not reach PostgreSQL are taken over by one that does", "[archive_kill]") {
  SetStage stage;
  REQUIRE(stage.Run("migrate").exit_code == 0);
  Proxy proxy(stage.postgres.folder() / ".s.PGSQL.5432");
  const std::string direct = stage.postgres_url;
  stage.postgres_url = "postgres://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + stage.database;
  Process cut_off =
      stage.Begin("archive", {"--stream", "s", "--claim-idle", "500ms", "--consumer", "one", "--follow", "--json"});
  stage.redis.Call({"XADD", "s", "*", "n", "first"});
  const auto count = [&] { return stage.postgres.Value(stage.database, "SELECT count(*) FROM sprockets.log"); };
  Await("the first entry to be archived", [&] { return count() == "1"; });
  proxy.RefuseConnections(true);
  proxy.CutClients();
  stage.redis.Call({"XADD", "s", "*", "n", "second"});
  Await("it to wait", [&] { return cut_off.Stderr().find("writing-waits") != std::string::npos; });
  stage.postgres_url = direct;
  const CommandResult other =
      stage.Run("archive", {"--stream", "s", "--claim-idle", "500ms", "--consumer", "two", "--json"});
  INFO(other);
  CHECK(other.exit_code == 0);
  CHECK(count() == "2");
  cut_off.Signal(SIGTERM);
  cut_off.Wait();
}

}  // namespace
}  // namespace sprockets::harness
