#include "tests/faults/soak/set_soak.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/faults/soak/expect.h"
#include "tests/harness/ledger.h"
#include "tests/harness/resp_client.h"
#include "tests/harness/wait.h"

namespace sprockets::soak {
namespace {

using namespace std::chrono_literals;
using namespace sprockets::harness;

constexpr int kQuietMembers = 2'000;  // that no writer touches: what differs in them was damaged by us
constexpr int kBusyMembers = 200;
constexpr auto kFollowerLimit = 60s;

/// Writers until it goes. What PostgreSQL or Redis refuses in the middle of a fault is left out, as Alfred would.
class Writers {
 public:
  Writers(const SetStage& stage, uint64_t seed) : stage_(stage) {
    threads_.emplace_back([this, seed] { WriteLog(seed); });
    threads_.emplace_back([this, seed] { WriteLog(seed + 1); });
    threads_.emplace_back([this, seed] { WriteBoard(seed + 2); });
  }
  ~Writers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;

 private:
  /// Ids are taken in order and committed in any, some never; now and then with a team that is new.
  void WriteLog(uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stop_) {
      const std::string team = random() % 4 == 0 ? "NULL" : "(SELECT id FROM team ORDER BY random() LIMIT 1)";
      std::string sql = random() % 40 == 0 ? "INSERT INTO team DEFAULT VALUES;" : "";
      sql += "INSERT INTO log (team, entry) SELECT " + team + ", 'entry ' || i FROM generate_series(1, " +
             std::to_string(1 + random() % 5) + ") i; SELECT pg_sleep(" + std::to_string(random() % 30) + " / 1000.0);";
      if (random() % 8 == 0) sql += "SELECT 1 / 0;";
      try {
        stage_.Sql(sql);
      } catch (const std::exception&) {
      }
    }
  }

  /// PostgreSQL first, then Redis. One write a member at a time, so that the last one of both sides is the same.
  void WriteBoard(uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int64_t n = 1; !stop_; ++n) {
      const std::string member = "busy-" + std::to_string(random() % kBusyMembers);
      const std::string score = std::to_string(n % 1000);
      try {
        stage_.Sql("INSERT INTO score VALUES ('" + member + "', " + score +
                   ") ON CONFLICT (member) DO UPDATE SET score = excluded.score");
        RespClient redis = stage_.redis.Connect();
        redis.Call({"ZADD", "board", score, member});
        redis.Call({"HSET", "scores", member, score});
      } catch (const std::exception&) {
      }
      std::this_thread::sleep_for(2ms);
    }
  }

  const SetStage& stage_;
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

SetSoak::SetSoak(uint64_t seed) : random_(seed) {
  MakeSet();
  Expect(stage_.Run("rebuild").exit_code == 0, "the first rebuild fails");
  Follow();
}

void SetSoak::MakeSet() const {
  stage_.Sql(
      "CREATE TABLE team (id serial PRIMARY KEY); INSERT INTO team SELECT FROM generate_series(1, 5);"
      "CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, team int, entry text NOT NULL);"
      "CREATE TABLE score (member text PRIMARY KEY, score float8 NOT NULL);"
      "INSERT INTO score SELECT 'quiet-' || i, i FROM generate_series(1, " +
      std::to_string(kQuietMembers) + ") i");
  stage_.Write("rebuild/10_log.sql",
               "-- redis: stream log\n-- follow: log id\nSELECT '0-' || id AS id, entry FROM log");
  stage_.Write("rebuild/20_teams.sql",
               "-- redis: stream\n-- keys: team/*\n-- follow: log id\nSELECT 'team/' || t.id AS key, '0-' || l.id AS "
               "id, l.entry FROM team t JOIN log l ON l.team IS NULL OR l.team = t.id");
  stage_.Write("rebuild/30_tops.sql",
               "-- redis: zset tops\n-- follow: log id\nSELECT t.id AS member, l.top AS score FROM team t CROSS JOIN "
               "(SELECT max(id) AS top FROM log) l WHERE l.top IS NOT NULL");
  stage_.Write("rebuild/40_board.sql", "-- redis: zset board\nSELECT member, score FROM score");
  stage_.Write("rebuild/50_scores.sql", "-- redis: hash scores\nSELECT member AS field, score AS value FROM score");
}

void SetSoak::RunRound() {
  {
    const Writers writers(stage_, random_());
    for (int blows = Draw(6, 10); blows > 0; --blows) {
      std::this_thread::sleep_for(std::chrono::milliseconds(Draw(50, 400)));
      Strike();
    }
  }
  Expect(follower_->Running(), "the follower has ended by itself");
  Repair();
  AwaitFollower();
  Repair();  // what the first one met while the follower wrote
  Compare();
  VerifyDamage(/*beside_writers=*/false);
  Compare();
}

void SetSoak::Strike() {
  RespClient redis = stage_.redis.Connect();
  switch (Draw(0, 9)) {
    case 0:
      ++times_["the follower is killed"];
      EndFollower(/*kill=*/true);
      return Follow();
    case 1:
      ++times_["the follower is stopped"];
      EndFollower(/*kill=*/false);
      return Follow();
    case 2:
      ++times_["FLUSHALL"];
      redis.Call({"FLUSHALL"});
      return;
    case 3:
      ++times_["a key is deleted"];
      redis.Call({"DEL", Draw(0, 1) == 0 ? std::string("log") : "team/" + std::to_string(Draw(1, 5))});
      return;
    case 4:
      ++times_["a key becomes another type"];
      redis.Call({"SET", Draw(0, 1) == 0 ? "log" : "team/1", "not a stream"});
      return;
    case 5:
      ++times_["Redis is killed, and has lost everything"];
      stage_.redis.Kill9();
      std::this_thread::sleep_for(std::chrono::milliseconds(Draw(0, 500)));
      return stage_.redis.Start();
    case 6:
      ++times_["PostgreSQL ends every session"];
      try {
        stage_.Sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
            "pg_backend_pid()");
      } catch (const std::exception&) {
      }
      return;
    case 7:
      ++times_["verify beside writers"];
      return VerifyDamage(/*beside_writers=*/true);
    case 8: {
      ++times_["a repair beside writers"];
      const CommandResult repaired = stage_.Run("verify", {"--repair"});
      Expect(repaired.exit_code >= 0 && repaired.exit_code <= 4, "a repair ended with " + repaired.err);
      return;
    }
    default: {
      ++times_["a rebuild is killed"];
      Process rebuild = stage_.Begin("rebuild");
      std::this_thread::sleep_for(std::chrono::milliseconds(Draw(0, 300)));
      return rebuild.Kill9();
    }
  }
}

void SetSoak::Follow() {
  follower_.reset();
  follower_ = std::unique_ptr<Process>(new Process(stage_.Begin("rebuild", {"--follow"})));
}

void SetSoak::EndFollower(bool kill) {
  if (kill) return follower_->Kill9();
  follower_->Signal(SIGTERM);
  const int exit_code = follower_->Wait().value_or(-1);
  Expect(exit_code == 0 || exit_code == 128 + SIGTERM, "the follower ended with " + std::to_string(exit_code));
}

/// Something that no writer touches is wrong now. Returns its key.
std::string SetSoak::Damage() {
  RespClient redis = stage_.redis.Connect();
  const std::string member = "quiet-" + std::to_string(Draw(1, kQuietMembers));
  switch (Draw(0, 4)) {
    case 0:
      redis.Call({"ZADD", "board", "1", "intruder-" + std::to_string(++damages_)});
      return "board";
    case 1:
      redis.Call({"ZREM", "board", member});
      return "board";
    case 2:
      redis.Call({"ZINCRBY", "board", "0.5", member});
      return "board";
    case 3:
      redis.Call({"HSET", "scores", member, "damaged"});
      return "scores";
    default:
      redis.Call({"HDEL", "scores", member});
      return "scores";
  }
}

void SetSoak::VerifyDamage(bool beside_writers) {
  const std::string key = Damage();
  const CommandResult verified = stage_.Run("verify", {"--json"});
  // Beside faults it may not come to an end; but it must not call wrong what is right, or right what is wrong.
  Expect(verified.exit_code != 0, "verify said verified, and " + key + " was damaged: " + verified.out);
  if (beside_writers) return;
  Expect(
      verified.exit_code == 1 && verified.Summary().at("differences") == 1 && verified.Lines().front().at("key") == key,
      "of one difference in " + key + " verify said " + verified.out + verified.err);
  Repair();
}

void SetSoak::AwaitFollower() {
  const std::string highest = stage_.postgres.Value(stage_.database, "SELECT coalesce(max(id), 0) FROM log");
  if (highest == "0") return;
  Await(
      "the follower",
      [&] {
        if (!follower_->Running()) throw std::runtime_error("the follower has ended by itself");
        return stage_.redis.Call({"ZSCORE", "tops", "1"}).text == highest;
      },
      kFollowerLimit);
}

/// In several rounds: what the follower writes at the same moment may be refused once.
void SetSoak::Repair() {
  CommandResult repaired;
  for (int i = 0; i < 5; ++i) {
    repaired = stage_.Run("verify", {"--repair"});
    if (repaired.exit_code == 0) return;
    std::this_thread::sleep_for(500ms);
  }
  throw std::runtime_error("a repair does not come to an end: " + repaired.out + repaired.err);
}

SetSoak::Members SetSoak::InSql(const std::string& query) const {
  Members members;
  for (const auto& row : stage_.postgres.Query(stage_.database, query)) members[row.at(0)] = row.at(1);
  return members;
}

SetSoak::Members SetSoak::InRedis(const std::string& key) const {
  RespClient redis = stage_.redis.Connect();
  Members members;
  const std::string type = redis.Call({"TYPE", key}).text;
  if (type == "stream") {
    for (const StreamEntry& entry : ReadEntries(redis, key)) members[entry.id] = entry.fields.at(1);
    return members;
  }
  const Reply all =
      type == "zset" ? redis.Call({"ZRANGE", key, "0", "-1", "WITHSCORES"}) : redis.Call({"HGETALL", key});
  for (size_t i = 0; i + 1 < all.elements.size(); i += 2) members[all.elements[i].text] = all.elements[i + 1].text;
  return members;
}

/// By other means than the product's: maps of text.
void SetSoak::Compare() const {
  Expect(InRedis("board") == InSql("SELECT member, score::text FROM score"), "board is not what SQL says");
  Expect(InRedis("scores") == InSql("SELECT member, score::text FROM score"), "scores is not what SQL says");
  Expect(InRedis("log") == InSql("SELECT '0-' || id, entry FROM log"), "log is not what SQL says");
  for (const auto& [team, ignored] : InSql("SELECT id, id FROM team")) {
    Expect(InRedis("team/" + team) == InSql("SELECT '0-' || id, entry FROM log WHERE team IS NULL OR team = " + team),
           "team/" + team + " is not what SQL says");
  }
}

std::string SetSoak::LastWords() const {
  return "the follower's last words:\n" + LastOf(follower_ ? follower_->Stderr() : std::string()) + "\n";
}

std::string SetSoak::Table() const {
  std::string table;
  for (const auto& [what, times] : times_) table += "| " + what + " | " + std::to_string(times) + " |\n";
  return table;
}

int SetSoak::Draw(int least, int most) {
  return least + static_cast<int>(random_() % static_cast<uint64_t>(most - least + 1));
}

}  // namespace sprockets::soak
