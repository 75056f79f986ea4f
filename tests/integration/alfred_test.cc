// Alfred, a webhook manager with one Redis client for everything, beside a sidecar whose Redis comes and goes: it
// starts, answers no webhook with an error, and in the end Redis holds what SQL and the webhooks say.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

// What its deployment skips while Redis is away: everything that it sends and that SQL can restore.
const Strings kSkips = {"--skip-while-away", "TYPE *",        "--skip-while-away", "HSETNX *-set",
                        "--skip-while-away", "ZADD *-sset",   "--skip-while-away", "ZCARD *-sset",
                        "--skip-while-away", "ZINCRBY *-sset"};

/// Sends what Alfred sends, in its order, on one connection in RESP3.
class Alfred {
 public:
  struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
  };

  Alfred(const SetStage& stage, const Sidecar& sidecar) : stage_(stage), client_(sidecar.Connect()) {
    if (!client_.RawCall({"HELLO", "3"}).starts_with("%7\r\n")) throw Refused("HELLO 3");
    Ask({"CLIENT", "SETINFO", "LIB-NAME", "go-redis(,go1.25)"});
    Ask({"CLIENT", "SETINFO", "LIB-VER", "9.14.0"});
  }

  /// Throws Refused at the first refusal, which ends the process.
  void Start() {
    Ask({"PING"});
    for (const char* stream :
         {"issue-stream", "bounty-stream", "automatic-events-stream", "solution-merged-stream", "live-update-stream"})
      if (Ask({"TYPE", stream}) == "+none\r\n") Ask({"XADD", stream, "*", "__dummy__", "1"});
    for (const char* hash :
         {"doc-set", "bug-hunter-set", "helper-set", "testing-set", "feature-suggestion-set", "language-set"})
      if (Ask({"TYPE", hash}) == "+none\r\n") Ask({"HSETNX", hash, "__dummy__", "0"});
    for (const char* language : {"cpp", "java", "python", "javascript", "go", "rust", "flutter", "kotlin", "haskell"})
      StartBoard(std::string(language) + "-ranking-sset");
    StartBoard("leaderboard-sset");
  }

  // Each is a webhook; false: it was answered with 500.
  bool Bounty(const std::string& user, int amount) {
    Sql("UPDATE user_account SET bounty = bounty + " + std::to_string(amount) + " WHERE ghUsername = '" + user + "'");
    if (!Try({"ZINCRBY", "leaderboard-sset", std::to_string(amount), user})) return false;
    return Event("bounty-stream", R"({"github_username":")" + user + R"(","amount":)" +
                                      std::to_string(std::abs(amount)) + R"(,"url":"u","action":")" +
                                      (amount < 0 ? "PENALTY" : "BOUNTY") + "\"}");
  }
  bool Merge(const std::string& user) {
    static int merged = 0;
    const std::string url = "u/pull/" + std::to_string(++merged);
    if (!Event("solution-merged-stream",
               R"({"github_username":")" + user + R"(","pull_request_url":")" + url + R"(","merged":true})"))
      return false;
    if (!Try({"ZINCRBY", "leaderboard-sset", "0.001", user})) return false;
    Sql("INSERT INTO solutions (url, repo_url, ghUsername, is_merged) VALUES ('" + url + "', 'https://r', '" + user +
        "', true)");
    return true;
  }
  bool Assign(const std::string& user) {
    return Event("issue-stream", R"({"github_username":")" + user + R"(","url":"u","claimed":true})");
  }

  /// What it has sent, by stream.
  const std::map<std::string, Strings>& sent() const { return sent_; }

 private:
  void StartBoard(const std::string& board) {
    if (Ask({"TYPE", board}) == "+none\r\n") Ask({"ZADD", board, "0", "__dummy__"});
    Ask({"ZCARD", board});
  }
  /// An event is told from every other by its `n`.
  bool Event(const std::string& stream, std::string json) {
    static int number = 0;
    json.insert(1, "\"n\":" + std::to_string(++number) + ",");
    if (!Try({"XADD", stream, "*", "data", json})) return false;
    sent_[stream].push_back(json);
    return true;
  }
  bool Try(const Command& command) { return !client_.RawCall(command).starts_with('-'); }
  std::string Ask(const Command& command) {
    std::string reply = client_.RawCall(command);
    if (reply.starts_with('-')) throw Refused(command[0] + " " + reply);
    return reply;
  }
  void Sql(const std::string& sql) const { stage_.Sql(sql); }

  const SetStage& stage_;
  RespClient client_;
  std::map<std::string, Strings> sent_;
};

/// The season's database and its users, a sidecar, no Redis yet.
struct Season {
  SetStage stage{{"--appendonly", "yes", "--appendfsync", "always"}};
  Sidecar sidecar;

  explicit Season(const Strings& options)
      : sidecar({stage.folder.path(), "redis://127.0.0.1:" + std::to_string(stage.redis.port()), {}, options}) {
    stage.set = SchemaFolder("season_of_code");
    stage.postgres.ExecuteFile(stage.database, stage.set / "demo/tables.sql");
    stage.Sql("INSERT INTO repository (name, description, url) VALUES ('r', '', 'https://r')");
    for (const char* user : {"ada", "bob", "eve"})
      stage.Sql(std::string("INSERT INTO user_account (first_name, last_name, email, ghUsername, password) VALUES ") +
                "('a', 'b', '" + user + "@c', '" + user + "', 'p')");
    sidecar.Start();
  }
  CommandResult Run(const std::string& command, Strings more = {}) const {
    more.insert(more.end(), {"--spill-dir", sidecar.spill_dir().string()});
    return stage.Run(command, more);
  }
  /// What a stream holds besides placeholders, in order.
  Strings Events(const std::string& stream) const {
    Strings events;
    const Reply entries = stage.redis.Call({"XRANGE", stream, "-", "+"});
    for (const Reply& entry : entries.elements) {
      const std::vector<Reply>& fields = entry.elements.at(1).elements;
      if (fields.at(0).text == "data") events.push_back(fields.at(1).text);
    }
    std::sort(events.begin(), events.end());
    return events;
  }
};

void PlayWeek(Alfred& alfred) {
  for (const char* user : {"ada", "bob", "eve"}) {
    CHECK(alfred.Assign(user));
    CHECK(alfred.Bounty(user, 50));
    CHECK(alfred.Merge(user));
    CHECK(alfred.Merge(user));
  }
  CHECK(alfred.Bounty("eve", -10));
}

TEST_CASE("Alfred starts and answers every webhook while Redis comes and goes; then Redis holds what SQL says",
          "[alfred]") {
  Season season(kSkips);
  std::map<std::string, Strings> sent;
  const auto keep = [&](const Alfred& alfred) {
    for (const auto& [stream, events] : alfred.sent())
      sent[stream].insert(sent[stream].end(), events.begin(), events.end());
  };
  {
    season.sidecar.AwaitBreaker("closed");
    Alfred alfred(season.stage, season.sidecar);
    alfred.Start();
    PlayWeek(alfred);
    // Frozen: what is in flight is in doubt.
    season.stage.redis.Stop();
    PlayWeek(alfred);
    season.stage.redis.Kill9();
    PlayWeek(alfred);
    keep(alfred);
  }
  {
    // A deployment in the middle of it all.
    Alfred alfred(season.stage, season.sidecar);
    alfred.Start();
    PlayWeek(alfred);
    season.stage.redis.Start();
    season.sidecar.AwaitBreaker("closed");
    PlayWeek(alfred);
    keep(alfred);
  }
  const DrainResult drained = Drain(season.stage.folder.path(), season.sidecar.spill_dir(), season.stage.redis_url,
                                    season.sidecar.socket_path());
  INFO(drained.err);
  CHECK(drained.exit_code == 0);
  for (auto& [stream, events] : sent) {
    INFO(stream);
    std::sort(events.begin(), events.end());
    CHECK(season.Events(stream) == events);
  }

  CHECK(season.sidecar.Status().at("skipped").at("keys") > 0);
  const RunResult status = RunReplayer(
      season.stage.folder.path(),
      {"status", "--spill-dir", season.sidecar.spill_dir().string(), "--schema", season.stage.set.string()});
  CHECK(status.out.find("run rebuild --spill-dir DIR --only leaderboard\n") != std::string::npos);
  const CommandResult rebuilt = season.Run("rebuild", {"--only", "leaderboard"});
  INFO(rebuilt);
  CHECK(rebuilt.exit_code == 0);
  CHECK(std::stod(season.stage.redis.Call({"ZSCORE", "leaderboard-sset", "ada"}).text) == 250.01);
  CHECK(std::stod(season.stage.redis.Call({"ZSCORE", "leaderboard-sset", "eve"}).text) == 200.01);
  // Those boards and hashes that Alfred's second start would have made are other files'.
  const CommandResult all = season.Run("rebuild");
  INFO(all);
  CHECK(all.exit_code == 0);
  CHECK(season.sidecar.Status().at("skipped").at("keys") == 0);
  const CommandResult verified = season.Run("verify");
  INFO(verified);
  CHECK(verified.exit_code == 0);
}

TEST_CASE("without --skip-while-away Alfred's webhooks fail while Redis is away", "[alfred]") {
  Season season({});
  Alfred alfred(season.stage, season.sidecar);
  season.sidecar.AwaitBreaker("closed");
  alfred.Start();
  CHECK(alfred.Bounty("ada", 50));
  season.stage.redis.Kill9();
  season.sidecar.AwaitBreaker("open");
  CHECK(alfred.Assign("ada"));
  CHECK_FALSE(alfred.Bounty("ada", 50));
  Alfred second(season.stage, season.sidecar);
  CHECK_THROWS_AS(second.Start(), Alfred::Refused);
}

}  // namespace
}  // namespace sprockets::harness
