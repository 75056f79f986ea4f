// Leaderboards by HTTP: pages from Redis and from PostgreSQL that are the same, one user's place, and bad requests.
#include <csignal>
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

struct ServedBoards : SetStage {
  ReservedPort port;
  std::unique_ptr<Process> archive;

  ServedBoards() {
    set = SchemaFolder("leaderboard");
    const CommandResult migrated = Run("migrate");
    INFO(migrated);
    REQUIRE(migrated.exit_code == 0);
  }
  std::string Now() const {
    return postgres.Value(database, "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
  }
  void Push(int user, int project, int times, const std::string& time) const {
    for (int i = 0; i < times; ++i) {
      const nlohmann::json event{
          {"id", std::to_string(user) + "-" + std::to_string(project) + "-" + time + std::to_string(i)},
          {"time", time},
          {"repository_id", project},
          {"push", {{"user_id", user}}}};
      redis.Call({"XADD", "contributions", "*", "data", event.dump()});
    }
  }
  void Start() {
    archive = std::make_unique<Process>(Process::Options{
        .command = ReplayerCommand({"archive", "--schema", set, "--postgres", postgres_url, "--postgres-wait", "0s",
                                    "--redis", redis_url, "--follow", "--stream", "contributions", "--admin",
                                    std::to_string(port.number())}),
        .output = folder / "archive",
        .environment = {}});
    Await("archive to be ready", [&] {
      try {
        return Get("/ready").status == 200 && Get("/v1/health-check").status == 200;
      } catch (const std::exception&) {
        return false;
      }
    });
  }
  HttpAnswer Get(const std::string& target) const { return Http(port.number(), "GET " + target); }
  nlohmann::json Page(const std::string& more = "") const {
    const HttpAnswer answer = Get("/v1/leaderboard/public" + more);
    INFO(more << " " << answer.head << answer.body << archive->Stderr());
    REQUIRE(answer.status == 200);
    return nlohmann::json::parse(answer.body);
  }
  void AwaitTotal(int total) const {
    Await("the board", [&] { return Page().at("total") == total; });
  }
};

/// "rank user score" of each row.
std::vector<std::string> RowsOf(const nlohmann::json& page) {
  std::vector<std::string> rows;
  for (const auto& row : page.at("rows"))
    rows.push_back(row.at("rank").dump() + " " + row.at("user_id").get<std::string>() + " " + row.at("score").dump());
  return rows;
}

using Rows = std::vector<std::string>;

TEST_CASE("a page is the same from Redis and from PostgreSQL, ties too, and says whence it is", "[boards]") {
  ServedBoards stage;
  const std::string now = stage.Now();
  // Of equal scores the larger text comes first: 9, 100, 10.
  for (const int user : {10, 9, 100}) stage.Push(user, 1, 2, now);
  stage.Push(7, 1, 3, now);
  stage.Push(8, 2, 1, now);
  stage.Push(11, 2, 1, "2020-02-29T12:00:00Z");
  stage.Start();
  stage.AwaitTotal(6);
  const std::vector<std::string> targets{"",
                                         "?page_size=2",
                                         "?page_size=2&offset=1",
                                         "?offset=100",
                                         "?timeframe=daily",
                                         "?timeframe=weekly&page_size=1",
                                         "?timeframe=monthly",
                                         "?timeframe=yearly",
                                         "/1",
                                         "/2?timeframe=daily",
                                         "/999",
                                         "/18446744073709551615",
                                         "?user_id=10&page_size=3",
                                         "?user_id=7&page_size=3",
                                         "?user_id=11",
                                         "?user_id=11&timeframe=daily",
                                         "/1?user_id=8"};
  std::vector<nlohmann::json> from_redis;
  for (const std::string& target : targets) from_redis.push_back(stage.Page(target));
  CHECK(RowsOf(from_redis[0]) == Rows{"1 7 21", "2 9 14", "3 100 14", "4 10 14", "5 8 7", "6 11 7"});
  CHECK(RowsOf(from_redis[2]) == Rows{"2 9 14", "3 100 14"});
  CHECK(RowsOf(from_redis[3]).empty());
  CHECK(from_redis[3].at("total") == 6);
  CHECK(from_redis[4].at("total") == 5);  // that of 2020 has ended
  CHECK(RowsOf(from_redis[8]) == Rows{"1 7 21", "2 9 14", "3 100 14", "4 10 14"});
  CHECK(from_redis[8].at("project_id") == "1");
  CHECK(from_redis[10].at("total") == 0);
  CHECK(RowsOf(from_redis[12]) == Rows{"3 100 14", "4 10 14", "5 8 7"});
  CHECK(from_redis[12].at("user").at("rank") == 4);
  CHECK(RowsOf(from_redis[13]) == Rows{"1 7 21", "2 9 14", "3 100 14"});
  CHECK(from_redis[15].at("user").is_null());
  CHECK(RowsOf(from_redis[15]).empty());
  CHECK(from_redis[0].at("source") == "redis");
  CHECK_FALSE(from_redis[0].contains("user"));
  stage.redis.Kill9();
  for (size_t i = 0; i < targets.size(); ++i) {
    nlohmann::json page = stage.Page(targets[i]);
    INFO(targets[i]);
    CHECK(page.at("source") == "postgres");
    page["source"] = "redis";
    CHECK(page == from_redis[i]);
  }
  CHECK(stage.Get("/v1/health-check").status == 200);
  stage.redis.Start();
  Await("Redis to be asked again", [&] { return stage.Page().at("source") == "redis"; });
}

TEST_CASE("a board under the set's other key is found, and one that nobody can read is 503", "[boards]") {
  ServedBoards stage;
  stage.Start();
  stage.redis.Call({"ZADD", "leaderboard:5:all_time", "1.5", "77"});
  CHECK(RowsOf(stage.Page("/5")) == Rows{"1 77 1.5"});
  stage.redis.Call({"ZADD", "leaderboard:5:all_time", "inf", "78", "-inf", "79"});
  CHECK(RowsOf(stage.Page("/5")) == Rows{"1 78 \"inf\"", "2 77 1.5", "3 79 \"-inf\""});
  stage.redis.Call({"SET", "leaderboard:project:6:all_time", "no board"});
  CHECK(stage.Page("/6").at("source") == "postgres");
  stage.redis.Kill9();
  stage.postgres.Kill();
  const HttpAnswer none = stage.Get("/v1/leaderboard/public");
  CHECK(none.status == 503);
  CHECK(none.head.find("Retry-After: 1") != std::string::npos);
  CHECK(nlohmann::json::parse(none.body).at("error") == "the leaderboard cannot be read at the moment");
  Await("the health check to notice", [&] { return stage.Get("/v1/health-check").status == 503; });
  stage.postgres.Start();
  Await("a page", [&] { return stage.Get("/v1/leaderboard/public").status == 200; });
}

TEST_CASE("bad requests are 400 or 404 with an error in JSON, whatever the bytes in them", "[boards]") {
  ServedBoards stage;
  stage.Start();
  for (const char* target :
       {"/v1/leaderboard/public?timeframe=hourly", "/v1/leaderboard/public?page_size=1001",
        "/v1/leaderboard/public?offset=-1", "/v1/leaderboard/public?user_id=1%27%20OR%201=1",
        "/v1/leaderboard/public?nothing=%ff", "/v1/leaderboard/public?page_size=1&page_size=2",
        "/v1/leaderboard/public/", "/v1/leaderboard/public/7%00", "/v1/leaderboard/public/a%2Fb",
        "/v1/leaderboard/public/%27%3B%20DROP%20TABLE%20sprockets.log%3B--", "/v1/leaderboard/public/%zz"}) {
    const HttpAnswer answer = stage.Get(target);
    INFO(target << " " << answer.body);
    CHECK(answer.status == 400);
    CHECK(answer.head.find("Content-Type: application/json") != std::string::npos);
    CHECK_FALSE(nlohmann::json::parse(answer.body).at("error").get<std::string>().empty());
  }
  for (const char* target : {"/v1/leaderboard/", "/v1/leaderboard/private", "/v1/leaderboard/public/1/2",
                             "/v1/leaderboard/..%2Fset.conf", "/v1/leaderboard/public%00"}) {
    const HttpAnswer answer = stage.Get(target);
    INFO(target << " " << answer.body);
    CHECK(answer.status == 404);
    CHECK(nlohmann::json::parse(answer.body).contains("error"));
  }
  CHECK(stage.Get("/v1/health-check").status == 200);
}

TEST_CASE("a page that has not changed is 304 without a body, and one that has is sent", "[boards]") {
  ServedBoards stage;
  stage.Start();
  stage.redis.Call({"ZADD", "leaderboard:global:all_time", "1", "7"});
  const HttpAnswer page = stage.Get("/v1/leaderboard/public");
  const size_t at = page.head.find("ETag: ");
  REQUIRE(at != std::string::npos);
  const std::string tag = page.head.substr(at + 6, page.head.find('\r', at) - at - 6);
  CHECK(page.head.find("Cache-Control: no-cache") != std::string::npos);
  const auto ask = [&](const std::string& names) {
    const HttpConnection connection(stage.port.number());
    connection.Send("GET /v1/leaderboard/public HTTP/1.1\r\nHost: test\r\nIf-None-Match: " + names + "\r\n\r\n");
    return Parse(connection.Read());
  };
  const HttpAnswer same = ask("\"other\", W/" + tag);
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  CHECK(same.head.find("Content-Length") == std::string::npos);
  CHECK(same.head.find("ETag: " + tag) != std::string::npos);
  CHECK(ask("\"other\"").status == 200);
  stage.redis.Call({"ZINCRBY", "leaderboard:global:all_time", "1", "7"});
  CHECK(ask(tag).status == 200);
}

TEST_CASE("the set's own user may read every page", "[boards]") {
  ServedBoards stage;
  for (const char* user : {"ADMIN", "PRODUCER", "SIDECAR", "READER", "REPLAYER"})
    setenv((std::string("REDIS_") + user + "_PASSWORD").c_str(), "secret", 1);
  const CommandResult given = stage.Run("access");
  INFO(given);
  REQUIRE(given.exit_code == 0);
  stage.redis.Call({"ZADD", "leaderboard:global:all_time", "1", "7"});
  stage.redis_url = "redis://replayer:secret@127.0.0.1:" + std::to_string(stage.redis.port());
  stage.Start();
  CHECK(stage.Page().at("source") == "redis");
  CHECK(stage.Page("?user_id=7").at("source") == "redis");
}

TEST_CASE("readers of boards never take the threads of monitors, while Redis and PostgreSQL hang", "[boards]") {
  ServedBoards stage;
  stage.Start();
  stage.redis.Stop();
  std::vector<std::unique_ptr<HttpConnection>> readers;
  for (int i = 0; i < 40; ++i) {
    readers.push_back(std::make_unique<HttpConnection>(stage.port.number()));
    readers.back()->Send("GET /v1/leaderboard/public HTTP/1.1\r\n\r\n");
  }
  CHECK(stage.Get("/health").status == 200);
  int served = 0;
  for (const auto& reader : readers) {
    const int status = Parse(reader->Read()).status;
    CHECK((status == 200 || status == 503));
    served += status == 200 ? 1 : 0;
  }
  CHECK(served > 0);  // PostgreSQL has it
  stage.redis.Continue();
}

}  // namespace
}  // namespace sprockets::harness
