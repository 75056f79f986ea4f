// The set leaderboard: which boards an event counts for, and that it counts once.
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/integration/handler_stage.h"

namespace sprockets::harness {
namespace {

using Fields = HandlerStage::Fields;

constexpr const char* kContributions = "contributions";
constexpr const char* kScoresHandler = "10_scores.sql";

struct Leaderboard : HandlerStage {
  Leaderboard() : HandlerStage("leaderboard") {}

  std::string Send(const nlohmann::json& event, const Fields& more = {}) const {
    Command command{"XADD", kContributions, "*"};
    command.insert(command.end(), more.begin(), more.end());
    command.insert(command.end(), {"data", event.is_string() ? event.get<std::string>() : event.dump()});
    return redis.Call(command).text;
  }
  void Take() const { TakeScores(kContributions, kScoresHandler); }
  /// Why the handler does not take what is in the stream; empty: it does.
  std::string Refusal() const {
    try {
      HandlerStage::Take(kContributions, kScoresHandler);
      return "";
    } catch (const std::exception& refused) {
      return refused.what();
    }
  }
  std::string Score(const std::string& key, const std::string& user) const {
    return redis.Call({"ZSCORE", key, user}).text;
  }
  std::string Total(const std::string& timeframe, const std::string& begins, int project,
                    const std::string& user) const {
    return Value("SELECT score FROM sprockets.leaderboard_totals WHERE timeframe = '" + timeframe + "' AND begins = '" +
                 begins + "' AND repository_id = " + std::to_string(project) + " AND user_id = " + user);
  }
};

/// As protobuf's own names have it.
nlohmann::json Push(const std::string& id, const std::string& time, int user = 7, int project = 3) {
  return {
      {"id", id}, {"event_name", "PUSHED"}, {"time", time}, {"repository_id", project}, {"push", {{"user_id", user}}}};
}

TEST_CASE("leaderboard: each kind of event is worth its points, whoever names its payload and how", "[leaderboard]") {
  const Leaderboard stage;
  const std::map<std::string, std::pair<std::string, int>> kinds{{"pr_opened", {"prOpened", 1}},
                                                                 {"pr_closed", {"prClosed", 2}},
                                                                 {"pr_review", {"prReview", 3}},
                                                                 {"issue_opened", {"issueOpened", 4}},
                                                                 {"issue_closed", {"issueClosed", 5}},
                                                                 {"issue_commented", {"issueCommented", 6}},
                                                                 {"push", {"push", 7}}};
  int user = 0;
  std::map<std::string, int> expected;
  for (const auto& [snake, camel_and_points] : kinds) {
    const auto& [camel, points] = camel_and_points;
    const bool is_review = snake == "pr_review";
    for (const std::string& name : {snake, snake + "_payload"}) {
      expected[std::to_string(++user)] = points;
      stage.Send({{"id", name},
                  {"time", "2025-11-02T10:00:00Z"},
                  {"repository_id", 9},
                  {"event_name", "anything"},
                  {name, {{is_review ? "reviewer_user_id" : "user_id", user}, {"pr_author_user_id", 999}}}});
    }
    // As protobuf's JSON has it: numbers of 64 bits are texts.
    for (const std::string& name : {camel, camel + "Payload"}) {
      expected[std::to_string(++user)] = points;
      stage.Send({{"id", "c-" + name},
                  {"time", "2025-11-02T10:00:00.5Z"},
                  {"repositoryId", "9"},
                  {"eventName", "EVENT_NAME_UNSPECIFIED"},
                  {name, {{is_review ? "reviewerUserId" : "userId", std::to_string(user)}, {"merged", true}}}});
    }
  }
  stage.Take();
  CHECK(expected.size() == 28);
  for (const auto& [member, points] : expected) {
    INFO(member);
    CHECK(stage.Score("leaderboard:global:all_time", member) == std::to_string(points));
    CHECK(stage.Score("leaderboard:project:9:all_time", member) == std::to_string(points));
  }
}

TEST_CASE("leaderboard: an event counts for the periods of its own time in UTC, however late it comes",
          "[leaderboard]") {
  const Leaderboard stage;
  stage.Send(Push("last-instant", "2025-11-02T23:59:59.999999999Z"));
  stage.Send(Push("first", "2025-11-03T00:00:00Z"));
  stage.Send(Push("elsewhere", "2025-11-03T01:30:00+02:00"));  // 2025-11-02 in UTC
  stage.Send(Push("iso", "2024-12-30T12:00:00Z", 8));          // of the first week of 2025
  stage.Send(Push("iso-back", "2027-01-01T12:00:00Z", 8));     // of the last week of 2026
  stage.Take();
  CHECK(stage.Total("daily", "2025-11-02", -1, "7") == "14");
  CHECK(stage.Total("daily", "2025-11-03", -1, "7") == "7");
  CHECK(stage.Total("weekly", "2025-10-27", 3, "7") == "14");
  CHECK(stage.Total("monthly", "2025-11-01", 3, "7") == "21");
  CHECK(stage.Total("yearly", "2025-01-01", 3, "7") == "21");
  const auto key = [&](const std::string& timeframe, const std::string& begins) {
    return stage.Value("SELECT sprockets.leaderboard_key('" + timeframe + "', '" + begins + "', -1, 'project')");
  };
  CHECK(key("weekly", "2025-10-27") == "leaderboard:global:weekly:2025-W44");
  CHECK(key("weekly", "2024-12-30") == "leaderboard:global:weekly:2025-W01");
  CHECK(key("daily", "2025-11-02") == "leaderboard:global:daily:2025-11-02");
  CHECK(key("monthly", "2025-11-01") == "leaderboard:global:monthly:2025-11");
  CHECK(key("yearly", "2024-01-01") == "leaderboard:global:yearly:2024");
  CHECK(stage.Total("weekly", "2024-12-30", -1, "8") == "7");
  CHECK(stage.Total("weekly", "2026-12-28", -1, "8") == "7");
  CHECK(stage.Total("yearly", "2024-01-01", -1, "8") == "7");
  // Boards whose period is over are kept in SQL alone.
  CHECK(stage.redis.Call({"EXISTS", "leaderboard:global:daily:2025-11-02"}).integer == 0);
  CHECK(stage.Score("leaderboard:global:all_time", "7") == "21");
}

TEST_CASE("leaderboard: an event counts once, delivered again in whatever way", "[leaderboard]") {
  const Leaderboard stage;
  stage.Send(Push("a", "2025-11-02T10:00:00Z"), {"event_id", "a"});
  stage.Send(Push("a", "2025-11-02T10:00:00Z"), {"event_id", "a"});
  stage.Send(Push("b", "2025-11-02T10:00:00Z"));
  stage.Send(Push("b", "2025-11-02T10:00:00Z"));  // another entry, and no event_id: only the event says it
  stage.Take();
  CHECK(stage.Score("leaderboard:global:all_time", "7") == "14");
  stage.Send(Push("b", "2025-11-02T10:00:00Z"));
  stage.Take();
  stage.Take();
  CHECK(stage.Score("leaderboard:global:all_time", "7") == "14");
  // A Redis that has lost everything gets what SQL has, and a stream that comes back counts for nothing.
  stage.redis.Call({"DEL", "leaderboard:global:all_time"});
  stage.Take();
  CHECK(stage.Run("rebuild", {"--only", "boards"}).exit_code == 0);
  CHECK(stage.Score("leaderboard:global:all_time", "7") == "14");
}

TEST_CASE("leaderboard: boards that archive wrote are those that rebuild makes, and end with their period",
          "[leaderboard]") {
  const Leaderboard stage;
  const std::string now = stage.Value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
  for (int i = 0; i < 50; ++i) {
    nlohmann::json event = Push("e" + std::to_string(i), now, 1 + i % 7, 1 + i % 2);
    if (i % 3 == 0)
      event = {{"id", "i" + std::to_string(i)},
               {"time", now},
               {"repositoryId", "18446744073709551615"},
               {"issueOpened", {{"userId", "18446744073709551614"}}}};
    stage.Send(event);
  }
  stage.Take();
  const auto before = stage.Dump();
  CHECK(before.size() == 1 + 5 * 4);
  const CommandResult verified = stage.Run("verify", {"--only", "boards"});
  INFO(verified);
  CHECK(verified.exit_code == 0);
  for (const auto& [key, dump] : before) {
    if (key.starts_with("leaderboard")) stage.redis.Call({"DEL", key});
  }
  CHECK(stage.Run("rebuild", {"--only", "boards"}).exit_code == 0);
  CHECK(stage.Run("verify", {"--only", "boards"}).exit_code == 0);
  const std::string day = now.substr(0, 10);
  CHECK(stage.redis.Call({"EXPIRETIME", "leaderboard:global:daily:" + day}).integer ==
        std::stoll(stage.Value("SELECT extract(epoch FROM (date '" + day + "' + 1) AT TIME ZONE 'UTC')::bigint")));
  CHECK(stage.redis.Call({"EXPIRETIME", "leaderboard:global:all_time"}).integer == -1);
  CHECK(stage.Score("leaderboard:project:18446744073709551615:all_time", "18446744073709551614") == "68");
}

TEST_CASE("leaderboard: projects may be named without their word, and boards may outlive their period",
          "[leaderboard]") {
  const Leaderboard stage;
  stage.Sql("UPDATE sprockets.leaderboard_settings SET project_scope = 'plain', keep_after = '50 years'");
  stage.Send(Push("a", "2025-11-02T10:00:00Z"));
  stage.Take();
  CHECK(stage.Score("leaderboard:3:weekly:2025-W44", "7") == "7");
  CHECK(stage.redis.Call({"EXPIRETIME", "leaderboard:3:daily:2025-11-02"}).integer ==
        std::stoll(stage.Value("SELECT extract(epoch FROM timestamptz '2075-11-03Z')::bigint")));
  CHECK(stage.Run("verify", {"--only", "boards"}).exit_code == 0);
}

TEST_CASE("leaderboard: an event that cannot be counted is refused with its reason, and nothing of its batch is there",
          "[leaderboard]") {
  const Leaderboard stage;
  const auto refuses = [&](const nlohmann::json& event, const std::string& why) {
    INFO(event);
    stage.redis.Call({"DEL", kContributions});
    stage.Send(Push("good", "2025-11-02T10:00:00Z"));
    stage.Send(event);
    CHECK(stage.Refusal().find(why) != std::string::npos);
    CHECK(stage.Value("SELECT count(*) FROM sprockets.leaderboard_events") == "0");
    CHECK(stage.Value("SELECT count(*) FROM sprockets.log") == "0");
  };
  nlohmann::json event = Push("bad", "2025-11-02T10:00:00Z");
  const auto with = [&](const std::string& name, const nlohmann::json& value) {
    nlohmann::json changed = event;
    changed[name] = value;
    return changed;
  };
  refuses("{not json", "invalid input syntax for type json");
  refuses("[1]", "cannot call jsonb_object_keys on an array");
  for (const char* time : {"", "2025-11-02", "2025-11-02T10:00:00", "yesterday", "1762077600"})
    refuses(with("time", time), "and should be as in 2025-11-02T23:59:59Z");
  refuses(with("time", "0000-11-02T10:00:00Z"), "date/time field value out of range");
  refuses(with("time", nullptr), "time is missing");
  refuses(with("push", {{"user_id", 0}}), "user_id is \"0\", and should be a number from 1 to 2^64 - 1");
  refuses(with("push", {{"user_id", "18446744073709551616"}}), "and should be a number from 1 to 2^64 - 1");
  refuses(with("push", {{"user_id", 1.5}}), "user_id is \"1.5\"");
  refuses(with("push", {{"user_id", "-1"}}), "user_id is \"-1\"");
  refuses(with("push", nlohmann::json::object()), "user_id is missing");
  refuses(with("repository_id", nullptr), "repository_id is missing");
  refuses(with("push", nullptr), "the event has 0 payloads that are known");
  refuses(with("pr_opened", {{"user_id", 1}}), "the event has 2 payloads that are known");
  // Of the year 9999 there are boards, too.
  stage.redis.Call({"DEL", kContributions});
  stage.Send(Push("far", "9999-12-31T23:59:59Z"));
  CHECK(stage.Refusal().empty());
  CHECK(stage.Total("weekly", "9999-12-27", -1, "7") == "7");
}

// ---- By the archive ----

TEST_CASE("leaderboard: archive counts a stream once, read again by a new group or by two instances", "[leaderboard]") {
  const Leaderboard stage;
  const std::string now = stage.Value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
  for (int i = 0; i < 2'000; ++i) stage.Send(Push("e" + std::to_string(i % 1'900), now, 1 + i % 9, 1 + i % 2));
  stage.Send("{not json");
  stage.Send(Push("no-time", ""));
  Process first = stage.Begin("archive", {"--stream", kContributions, "--consumer", "one", "--batch", "100"});
  Process second = stage.Begin("archive", {"--stream", kContributions, "--consumer", "two", "--batch", "70"});
  CHECK(first.Wait() <= 1);
  CHECK(second.Wait() <= 1);
  const CommandResult run = stage.Run("archive", {"--stream", kContributions, "--claim-idle", "1ms"});
  INFO(run);
  const auto check = [&] {
    CHECK(stage.Value("SELECT sum(score) FROM sprockets.leaderboard_totals WHERE timeframe = 'all_time' AND "
                      "repository_id = -1") == std::to_string(1'900 * 7));
    CHECK(stage.Value("SELECT count(*) FROM sprockets.dead_letters") == "2");
    CHECK(stage.Value("SELECT count(*) FROM sprockets.outbox") == "0");
    const CommandResult verified = stage.Run("verify", {"--only", "*"});
    INFO(verified);
    CHECK(verified.exit_code == 0);
  };
  check();
  CHECK(stage.redis.Call({"ZCARD", "leaderboard:global:all_time"}).integer == 9);
  CHECK(stage.Run("archive", {"--stream", kContributions, "--group", "again"}).exit_code <= 1);
  check();
  // Everything is lost, and comes back: boards, stream and all.
  const auto before = stage.Dump();
  stage.redis.Call({"FLUSHALL"});
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", kContributions}).integer == 2'002);
  CHECK(stage.Dump().size() == before.size());
  check();
}

}  // namespace
}  // namespace sprockets::harness
