// The admin HTTP of archive over real connections: figures, a stopped stream, a stalled one, and each store lost.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/harness/http_client.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using StringList = std::vector<std::string>;

struct WatchedArchive : SetStage {
  ReservedPort port;
  std::unique_ptr<Process> archive;

  WatchedArchive() {
    const CommandResult migrated = Run("migrate");
    INFO(migrated);
    REQUIRE(migrated.exit_code == 0);
  }
  void Start(const StringList& streams, const StringList& more = {}) {
    StringList words{"--follow", "--admin", std::to_string(port.number())};
    for (const std::string& stream : streams) words.insert(words.end(), {"--stream", stream});
    words.insert(words.end(), more.begin(), more.end());
    archive = std::make_unique<Process>(Process::Options{.command = ReplayerCommand([&] {
                                                           StringList all{"archive",    "--schema",   set,
                                                                          "--postgres", postgres_url, "--postgres-wait",
                                                                          "0s",         "--redis",    redis_url};
                                                           all.insert(all.end(), words.begin(), words.end());
                                                           return all;
                                                         }()),
                                                         .output = folder / "archive",
                                                         .environment = {}});
    Await("archive to listen", [&] {
      try {
        return Get("/health").status == 200;
      } catch (const std::exception&) {
        return false;
      }
    });
  }
  void Add(const std::string& stream, int n) const { redis.Call({"XADD", stream, "*", "n", std::to_string(n)}); }
  HttpAnswer Get(const std::string& target) const { return Http(port.number(), "GET " + target); }
  nlohmann::json Json(const std::string& target) const { return nlohmann::json::parse(Get(target).body); }
  /// The figure of one series; -1: there is none.
  double Figure(const std::string& series) const {
    const std::string text = "\n" + Get("/metrics").body;
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
  }
  void AwaitFigure(const std::string& series, double value) const {
    Await((series + " to be " + std::to_string(value)).c_str(), [&] { return Figure(series) == value; });
  }
  void AwaitReady() const {
    Await("/ready", [&] { return Get("/ready").status == 200; });
  }
  /// Until it is not ready for this reason, perhaps among others; what is told of it.
  nlohmann::json AwaitReason(const std::string& code) const {
    nlohmann::json found;
    Await(code.c_str(), [&] {
      const HttpAnswer ready = Get("/ready");
      if (ready.status != 503) return false;
      const nlohmann::json told = nlohmann::json::parse(ready.body);
      if (!told.contains("reasons")) return false;
      for (const auto& reason : told.at("reasons"))
        if (reason.at("code") == code) found = reason;
      return !found.is_null();
    });
    return found;
  }
};

TEST_CASE("archive tells how many entries became what, and promtool has nothing to say", "[archive_admin]") {
  WatchedArchive stage;
  stage.Write("migrations/001_typed.sql", "CREATE TABLE sprockets.typed (n int NOT NULL);");
  REQUIRE(stage.Run("migrate").exit_code == 0);
  stage.Write("archive/10_typed.sql",
              "-- archive: s\n\nINSERT INTO sprockets.typed SELECT (fields->>'n')::int FROM batch");
  for (int n = 0; n < 20; ++n) stage.Add("s", n);
  stage.redis.Call({"XADD", "s", "*", "n", "no number"});
  stage.Add("q\"\n\\", 1);
  stage.Start({"s", "q\"\n\\"});
  stage.AwaitFigure("sprockets_archive_entries_read_total{stream=\"s\"}", 21);
  stage.AwaitFigure("sprockets_archive_lag_entries{stream=\"s\"}", 0);
  stage.AwaitFigure(R"(sprockets_archive_entries_read_total{stream="q\"\n\\"})", 1);
  stage.AwaitReady();
  CHECK(stage.Figure("sprockets_archive_entries_archived_total{stream=\"s\"}") == 20);
  CHECK(stage.Figure("sprockets_archive_dead_letters_total{stream=\"s\"}") == 1);
  CHECK(stage.Figure("sprockets_archive_lag_seconds{stream=\"s\"}") == 0);
  CHECK(stage.Figure("sprockets_archive_batches_total{stream=\"s\"}") >= 1);
  CHECK(stage.Figure("sprockets_archive_batch_duration_seconds_count") >= 2);
  CHECK(stage.Figure("sprockets_archive_reconnects_total{store=\"redis\"}") == 0);
  CHECK(stage.Json("/status.json").at("streams")[0].at("archived") == 20);
  CHECK(stage.Get("/v1/leaderboard/public").status == 404);  // the set has no boards
  CHECK(Http(stage.port.number(), "POST /health").status == 405);
  std::ofstream(stage.folder / "metrics") << stage.Get("/metrics").body;
  const RunResult checked =
      harness::Run({"sh", "-c", "exec promtool check metrics <\"$0\"", stage.folder / "metrics"}, stage.folder.path());
  INFO(checked.out << checked.err);
  CHECK(checked.exit_code == 0);
  CHECK((checked.out + checked.err).empty());
  stage.archive->Signal(SIGTERM);
  CHECK(stage.archive->Wait() == 1);  // there is a dead letter
}

TEST_CASE("a stream that was stopped makes archive unready and is named, and the others go on", "[archive_admin]") {
  WatchedArchive stage;
  stage.Write("archive/10_typed.sql", "-- archive: bad\n\nINSERT INTO sprockets.nowhere SELECT 1 FROM batch");
  stage.Start({"bad", "good"});
  stage.AwaitReady();
  stage.Add("bad", 1);
  const nlohmann::json reason = stage.AwaitReason("stream-stopped");
  CHECK(reason.at("stream") == "bad");
  CHECK(reason.at("text").get<std::string>().find("nowhere") != std::string::npos);
  stage.AwaitFigure("sprockets_archive_streams_stopped{stream=\"bad\"}", 1);
  CHECK(stage.Get("/health").status == 200);
  stage.Add("good", 1);
  stage.AwaitFigure("sprockets_archive_entries_archived_total{stream=\"good\"}", 1);
  stage.AwaitFigure("sprockets_archive_lag_entries{stream=\"bad\"}", 1);
}

TEST_CASE("a stream that does not move is stalled, though both stores answer", "[archive_admin]") {
  WatchedArchive stage;
  stage.Start({"s"}, {"--claim-idle", "1ms"});
  stage.AwaitReady();
  const auto lock =
      std::make_unique<Process>(Process::Options{.command = {"psql", "--quiet", stage.postgres_url, "--command",
                                                             "BEGIN; LOCK TABLE sprockets.log; SELECT pg_sleep(600)"},
                                                 .output = stage.folder / "lock",
                                                 .environment = {}});
  stage.AwaitSleepingQuery();
  stage.Add("s", 1);
  CHECK(stage.AwaitReason("stream-stalled").at("stream") == "s");
  CHECK(stage.Figure("sprockets_archive_lag_seconds{stream=\"s\"}") > 0);
  CHECK(stage.Figure("sprockets_postgres_connected") == 1);
  lock->Signal(SIGINT);
  lock->Kill9();
  stage.Sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  stage.AwaitReady();
}

TEST_CASE("each store that is lost shows while there is nothing to do, and is found again", "[archive_admin]") {
  WatchedArchive stage;
  stage.Start({"s"});
  stage.AwaitReady();
  stage.redis.Kill9();
  stage.AwaitReason("redis-away");
  stage.AwaitReason("reading-waits");
  CHECK(stage.Get("/health").status == 200);
  CHECK(stage.Figure("sprockets_redis_connected") == 0);
  CHECK(stage.Figure("sprockets_archive_reading_waits") == 1);
  stage.redis.Start();
  stage.AwaitReady();
  stage.AwaitFigure("sprockets_archive_reconnects_total{store=\"redis\"}", 1);
  stage.postgres.Kill();
  stage.AwaitReason("postgres-away");
  stage.Add("s", 1);
  stage.AwaitReason("writing-waits");
  CHECK(stage.Figure("sprockets_archive_batches_failed_total") >= 1);
  stage.postgres.Start();
  stage.AwaitReady();
  stage.AwaitFigure("sprockets_archive_entries_archived_total{stream=\"s\"}", 1);
  CHECK(stage.Figure("sprockets_archive_reconnects_total{store=\"postgres\"}") >= 1);
}

TEST_CASE("a Redis that hangs shows, and delays no monitor", "[archive_admin]") {
  WatchedArchive stage;
  stage.Start({"s"});
  stage.AwaitReady();
  stage.redis.Stop();
  stage.AwaitReason("redis-away");
  CHECK(stage.Get("/health").status == 200);
  stage.redis.Continue();
  stage.AwaitReady();
}

TEST_CASE("no password is told, and an address that cannot be listened on refuses the start", "[archive_admin]") {
  WatchedArchive stage;
  stage.redis.Call({"ACL", "SETUSER", "archiver", "on", ">not-to-be-seen", "~*", "+@all"});
  stage.redis_url = "redis://archiver:not-to-be-seen@127.0.0.1:" + std::to_string(stage.redis.port());
  stage.Start({"s"});
  stage.AwaitReady();
  stage.redis.Kill9();
  stage.AwaitReason("redis-away");
  for (const char* path : {"/metrics", "/status.json", "/ready", "/health"})
    CHECK(stage.Get(path).body.find("not-to-be-seen") == std::string::npos);
  const auto start = [&](const std::string& address, const StringList& more = {}) {
    StringList words{"--stream", "s", "--admin", address};
    words.insert(words.end(), more.begin(), more.end());
    return stage.Run("archive", words);
  };
  const CommandResult taken = start(std::to_string(stage.port.number()));
  INFO(taken);
  CHECK(taken.exit_code == 3);
  CHECK(taken.Says("--admin: cannot listen on 127.0.0.1:"));
  CHECK(start("nowhere:1").exit_code == 2);
  CHECK(start("0", {"--retry-dead"}).exit_code == 2);
}

}  // namespace
}  // namespace sprockets::harness
