// Streams into PostgreSQL: every entry once, byte by byte, with the handlers of a set in the same transaction.
#include <chrono>
#include <csignal>
#include <map>
#include <random>
#include <set>
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
using Strings = std::vector<std::string>;

/// "(61,00ff)" as the log's raw is asked for below.
std::string Hex(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char byte : bytes) {
    hex.push_back(kDigits[static_cast<unsigned char>(byte) >> 4]);
    hex.push_back(kDigits[static_cast<unsigned char>(byte) & 15]);
  }
  return hex;
}

struct ArchiveStage : SetStage {
  explicit ArchiveStage(Strings redis_options = {}) : SetStage(std::move(redis_options)) {}

  void Migrate() const {
    const CommandResult migrated = Run("migrate");
    INFO(migrated);
    REQUIRE(migrated.exit_code == 0);
  }
  std::string Add(const std::string& stream, const Strings& fields) const {
    Strings command{"XADD", stream, "*"};
    command.insert(command.end(), fields.begin(), fields.end());
    return redis.Call(command).text;
  }
  void AddMany(const std::string& stream, int count, const std::string& prefix = "e") const {
    RespClient client = redis.Connect();
    std::vector<Command> commands;
    for (int i = 0; i < count; ++i) {
      const std::string name = prefix + std::to_string(i);
      commands.push_back(
          {"XADD", stream, "*", "event_id", name, "data", R"({"user":"u)" + std::to_string(i % 7) + "\"}"});
    }
    for (const Reply& reply : client.Pipeline(commands)) REQUIRE(!reply.text.empty());
  }
  std::string Value(const std::string& sql) const { return postgres.Value(database, sql); }
  std::string PendingOf(const std::string& stream, const std::string& group = "archive") const {
    return std::to_string(redis.Call({"XPENDING", stream, group}).elements.at(0).integer);
  }
  CommandResult Archive(const Strings& more = {}) const {
    Strings words{"--stream", "s", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return Run("archive", words);
  }
  /// Stream and log, id by id and byte by byte. Entries that are in dead_letters count as the log's.
  void ExpectLogIsStream(const std::string& stream) const {
    std::map<std::string, std::string> in_stream;
    for (const Reply& entry : redis.Call({"XRANGE", stream, "-", "+"}).elements) {
      std::string& raw = in_stream[entry.elements[0].text];
      for (const Reply& part : entry.elements[1].elements) raw += Hex(part.text) + ",";
    }
    std::map<std::string, std::string> in_log;
    for (const auto& row : postgres.Query(
             database,
             "SELECT id, (SELECT string_agg(encode(part, 'hex') || ',', '' ORDER BY place) FROM unnest(raw) WITH "
             "ORDINALITY AS parts (part, place)) FROM (SELECT stream, id, fields AS raw FROM sprockets.entries) AS "
             "entries WHERE stream = '" +
                 stream + "'"))
      in_log[row[0]] = row[1];
    CHECK(in_log == in_stream);
  }
};

TEST_CASE("entries of any bytes are in the log byte by byte, and a new group at 0 changes nothing", "[archive]") {
  ArchiveStage stage;
  const CommandResult early = stage.Archive();
  INFO(early);
  CHECK(early.exit_code == 4);
  CHECK(early.Says("run migrate"));
  stage.Migrate();
  const std::string nul("a\0b", 3);
  stage.Add("s", {"plain", "text"});
  stage.Add("s", {"nul", nul});
  stage.Add("s", {"\xff\xfe", "invalid"});
  stage.Add("s", {"twice", "1", "twice", "2"});
  stage.Add("s", {"large", std::string(1 << 20, 'x')});
  stage.Add("s", {"event_id", "\xff", "v", "1"});
  stage.Add("s", {"empty", ""});
  Strings many;
  for (int i = 0; i < 10'000; ++i) many.insert(many.end(), {"f" + std::to_string(i), "v"});
  stage.Add("s", many);
  stage.redis.Call({"XADD", "s", "18446744073709551615-0", "late", "id"});
  const CommandResult archived = stage.Archive();
  INFO(archived);
  CHECK(archived.exit_code == 0);
  CHECK(archived.Summary().at("result") == "verified");
  CHECK(archived.Summary().at("archived") == 9);
  stage.ExpectLogIsStream("s");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log WHERE fields IS NULL") == "4");
  CHECK(stage.Value("SELECT fields->>'plain' FROM sprockets.log WHERE fields ? 'plain'") == "text");
  CHECK(stage.Value("SELECT event_id FROM sprockets.log WHERE event_id IS NOT NULL") == "\\xff");
  CHECK(stage.PendingOf("s") == "0");

  const std::string before = stage.Value("SELECT md5(string_agg(l::text, '' ORDER BY position)) FROM sprockets.log l");
  const CommandResult again = stage.Archive({"--group", "other"});
  INFO(again);
  CHECK(again.exit_code == 0);
  CHECK(again.Summary().at("archived") == 0);
  CHECK(again.Summary().at("known") == 9);
  CHECK(stage.Value("SELECT md5(string_agg(l::text, '' ORDER BY position)) FROM sprockets.log l") == before);
  CHECK(stage.PendingOf("s", "other") == "0");
}

TEST_CASE("of 1 000 entries one that a handler does not take is put aside with its reason, and can be retried",
          "[archive]") {
  ArchiveStage stage;
  stage.Write("migrations/001_typed.sql",
              "CREATE TABLE sprockets.typed (position bigint PRIMARY KEY, n int NOT NULL);");
  stage.Write("archive/10_typed.sql",
              "-- archive: s\nINSERT INTO typed SELECT position, (fields->>'n')::int FROM batch ORDER BY position");
  stage.Migrate();
  for (int i = 0; i < 1'000; ++i) stage.Add("s", {"n", i == 613 ? "many" : std::to_string(i)});
  const CommandResult archived = stage.Archive();
  INFO(archived);
  CHECK(archived.exit_code == 1);
  CHECK(archived.Summary().at("dead") == 1);
  CHECK(archived.Says("10_typed.sql"));
  CHECK(archived.Says("n=many"));
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log") == "999");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.typed JOIN sprockets.log USING (position)") == "999");
  CHECK(stage.Value("SELECT sqlstate || handler FROM sprockets.dead_letters") == "22P0210_typed.sql");
  CHECK(stage.PendingOf("s") == "0");
  // Delivered again, it is the same dead letter.
  const CommandResult again = stage.Archive({"--group", "other"});
  CHECK(again.exit_code == 0);
  CHECK(again.Summary().at("archived") == 0);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.dead_letters") == "1");

  const CommandResult still = stage.Archive({"--retry-dead"});
  CHECK(still.exit_code == 1);
  CHECK(still.Summary().at("dead") == 1);
  stage.Write("archive/10_typed.sql",
              "-- archive: s\nINSERT INTO typed SELECT position, CASE fields->>'n' WHEN 'many' THEN 0 ELSE "
              "(fields->>'n')::int END FROM sprockets.batch");
  const CommandResult retried = stage.Archive({"--retry-dead"});
  INFO(retried);
  CHECK(retried.exit_code == 0);
  CHECK(retried.Summary().at("archived") == 1);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.typed JOIN sprockets.log USING (position)") == "1000");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.dead_letters WHERE retried_at IS NOT NULL") == "1");
  CHECK(stage.Archive({"--retry-dead"}).Summary().at("read") == 0);
}

TEST_CASE("half of all entries poisonous: the other half goes through, and JSON that is none is found before SQL",
          "[archive]") {
  ArchiveStage stage;
  stage.Write("archive/10_json.sql",
              "-- archive: s\n-- json: data\nINSERT INTO sprockets.typed SELECT position, "
              "((fields->>'data')::jsonb->>'n')::int FROM batch");
  stage.Write("migrations/001_typed.sql",
              "CREATE TABLE sprockets.typed (position bigint PRIMARY KEY, n int NOT NULL);");
  stage.Migrate();
  for (int i = 0; i < 400; ++i)
    stage.Add("s", {"data", i % 4 == 0 ? "{broken" : i % 4 == 1 ? R"({"n":"x"})" : R"({"n":5})"});
  const CommandResult archived = stage.Archive();
  INFO(archived);
  CHECK(archived.exit_code == 1);
  CHECK(archived.Summary().at("archived") == 200);
  CHECK(archived.Summary().at("dead") == 200);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.typed") == "200");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.dead_letters WHERE sqlstate IS NULL") == "100");
  CHECK(stage.PendingOf("s") == "0");
}

TEST_CASE("a table that was altered stops its stream and dead-letters nothing; others go on", "[archive]") {
  ArchiveStage stage;
  stage.Write("migrations/001_typed.sql", "CREATE TABLE sprockets.typed (position bigint PRIMARY KEY, v text);");
  stage.Write("archive/10_typed.sql", "-- archive: s\nINSERT INTO typed SELECT position,\n  fields->>'v' FROM batch");
  stage.Migrate();
  stage.Sql("ALTER TABLE sprockets.typed DROP COLUMN v");
  stage.AddMany("s", 20);
  stage.AddMany("t", 20);
  const CommandResult stopped = stage.Archive({"--stream", "t"});
  INFO(stopped);
  CHECK(stopped.exit_code == 1);
  CHECK(stopped.Says("stream-stopped"));
  CHECK(stopped.Says("archive/10_typed.sql"));
  CHECK(stage.Value("SELECT count(*) FROM sprockets.dead_letters") == "0");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log WHERE stream = 's'") == "0");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log WHERE stream = 't'") == "20");
  CHECK(stage.PendingOf("s") == "20");
  CHECK(stage.PendingOf("t") == "0");
  stage.Sql("ALTER TABLE sprockets.typed ADD COLUMN v text");
  const CommandResult healed = stage.Archive({"--stream", "t"});
  INFO(healed);
  CHECK(healed.exit_code == 0);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.typed") == "20");
}

TEST_CASE("an event that comes twice is archived once, and one with another payload is kept and told", "[archive]") {
  ArchiveStage stage;
  stage.Migrate();
  stage.Add("s", {"event_id", "a", "v", "1"});
  REQUIRE(stage.Archive().exit_code == 0);
  stage.Add("s", {"event_id", "a", "v", "1"});
  stage.Add("s", {"event_id", "a", "v", "2"});
  stage.Add("s", {"event_id", "b", "v", "1"});
  stage.Add("s", {"event_id", "b", "v", "1"});
  const CommandResult archived = stage.Archive();
  INFO(archived);
  CHECK(archived.exit_code == 1);
  CHECK(archived.Summary().at("archived") == 1);
  CHECK(archived.Summary().at("known") == 2);
  CHECK(archived.Summary().at("dead") == 1);
  CHECK(archived.Says("another payload"));
  CHECK(stage.Value("SELECT encode(raw[4], 'escape') FROM sprockets.dead_letters") == "2");
  CHECK(stage.PendingOf("s") == "0");
  // All five stand in the stream, so the stream comes back with all five, whoever reads it again.
  const auto expect_all = [&] {
    std::string ids;
    for (const Reply& entry : stage.redis.Call({"XRANGE", "s", "-", "+"}).elements)
      ids += (ids.empty() ? "" : ",") + entry.elements[0].text;
    CHECK(stage.Value("SELECT string_agg(id, ',' ORDER BY split_part(id, '-', 1)::bigint, split_part(id, '-', "
                      "2)::bigint) FROM sprockets.entries WHERE stream = 's'") == ids);
    CHECK(stage.Value("SELECT count(*) FROM sprockets.repeats") == "2");
    CHECK(stage.Value("SELECT count(*) FROM sprockets.entries AS e JOIN sprockets.log AS l ON e.fields = l.raw") ==
          "4");
  };
  expect_all();
  CHECK(stage.Archive({"--group", "again"}).exit_code == 0);
  expect_all();
}

TEST_CASE("a group that is lost begins where reading began, so what was pending in it is archived", "[archive]") {
  ArchiveStage stage;
  stage.Write("access/groups.conf", "s archive $\n");
  stage.Migrate();
  stage.Add("s", {"v", "not wanted"});
  REQUIRE(stage.Archive().exit_code == 0);
  stage.Add("s", {"event_id", "first", "v", "1"});
  // Another consumer has it; what came later is archived; then everything that Redis knew of the group is gone.
  stage.redis.Call({"XREADGROUP", "GROUP", "archive", "dead", "STREAMS", "s", ">"});
  stage.Add("s", {"event_id", "second", "v", "1"});
  Process follower = stage.Begin("archive", {"--stream", "s", "--follow"});
  Await("the later one to be archived", [&] { return stage.Value("SELECT count(*) FROM sprockets.log") == "1"; });
  stage.redis.Call({"XGROUP", "DESTROY", "s", "archive"});
  Await("the other to be archived", [&] { return stage.Value("SELECT count(*) FROM sprockets.log") == "2"; });
  follower.Signal(SIGTERM);
  follower.Wait();
  CHECK(stage.Value("SELECT string_agg(event_id, ',' ORDER BY event_id) FROM sprockets.log") == "first,second");
}

TEST_CASE("entries of a dead consumer are claimed, and those that were deleted meanwhile are not waited for",
          "[archive]") {
  ArchiveStage stage;
  stage.Migrate();
  stage.AddMany("s", 30);
  stage.redis.Call({"XGROUP", "CREATE", "s", "archive", "0"});
  const auto read = stage.redis.Call({"XREADGROUP", "GROUP", "archive", "dead", "STREAMS", "s", ">"});
  const std::string gone = read.elements[0].elements[1].elements[7].elements[0].text;
  stage.redis.Call({"XDEL", "s", gone});
  // One of our own, too.
  stage.AddMany("s", 2, "own");
  const auto own = stage.redis.Call({"XREADGROUP", "GROUP", "archive", "me", "STREAMS", "s", ">"});
  stage.redis.Call({"XDEL", "s", own.elements[0].elements[1].elements[0].elements[0].text});
  const CommandResult archived = stage.Archive({"--consumer", "me", "--claim-idle", "300ms"});
  INFO(archived);
  CHECK(archived.exit_code == 0);
  CHECK(archived.Summary().at("archived") == 30);
  CHECK(archived.Summary().at("deleted") == 2);
  CHECK(stage.PendingOf("s") == "0");
  stage.ExpectLogIsStream("s");
}

TEST_CASE("scores reach Redis from the transaction of their batch, and what a crash left is published", "[archive]") {
  ArchiveStage stage;
  stage.Write("migrations/001_totals.sql",
              "CREATE TABLE sprockets.totals (member text PRIMARY KEY, score int NOT NULL);");
  stage.Write(
      "archive/10_scores.sql",
      "-- archive: s\n-- returns: scores\n"
      "WITH added AS (SELECT (fields->>'data')::jsonb->>'user' AS member, count(*) AS n FROM batch GROUP BY 1 ORDER "
      "BY 1), changed AS (INSERT INTO totals SELECT member, n FROM added ON CONFLICT (member) DO UPDATE SET score "
      "= totals.score + EXCLUDED.score RETURNING member, score)\n"
      "SELECT 'board' AS key, member, score, '2199-01-01'::timestamptz AS expire_at FROM changed");
  stage.Migrate();
  stage.AddMany("s", 70);
  const CommandResult archived = stage.Archive();
  INFO(archived);
  CHECK(archived.exit_code == 0);
  CHECK(archived.Summary().at("published") == 7);
  CHECK(stage.redis.Call({"ZSCORE", "board", "u3"}).text == "10");
  CHECK(stage.redis.Call({"PEXPIRETIME", "board"}).integer == 7'226'582'400'000);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.outbox") == "0");
  // A crash between COMMIT and ZADD; a key of another type keeps only its own scores waiting.
  stage.Sql(
      "INSERT INTO sprockets.outbox VALUES ('board', 'late', 4.25, NULL, 1), ('taken', 'x', 1, NULL, 2), "
      "('past', 'x', 1, '2001-01-01', 3)");
  stage.redis.Call({"SET", "taken", "text"});
  const CommandResult waits = stage.Archive();
  INFO(waits);
  CHECK(waits.exit_code == 1);
  CHECK(waits.Summary().at("published") == 2);
  CHECK(stage.redis.Call({"ZSCORE", "board", "late"}).text == "4.25");
  CHECK(stage.redis.Call({"EXISTS", "past"}).integer == 0);
  CHECK(stage.Value("SELECT string_agg(key, ',') FROM sprockets.outbox") == "taken");
  stage.redis.Call({"DEL", "taken"});
  // What waits is no difference; the same member is one when it waits no more.
  stage.Write("rebuild/board.sql", "-- redis: zset taken\nSELECT 'x' AS member, 1 AS score");
  const CommandResult on_its_way = stage.Run("verify", {"--only", "board"});
  INFO(on_its_way);
  CHECK(on_its_way.exit_code == 0);
  stage.Sql("UPDATE sprockets.outbox SET member = 'y'");
  stage.redis.Call({"ZADD", "taken", "1", "z"});
  CHECK(stage.Run("verify", {"--only", "board"}).exit_code == 1);
  stage.Sql("UPDATE sprockets.outbox SET member = 'x'");
  CHECK(stage.Archive().exit_code == 0);
  CHECK(stage.redis.Call({"ZSCORE", "taken", "x"}).text == "1");
}

TEST_CASE("a score that changes while an older one is written stays in the outbox until it is written, too",
          "[archive]") {
  ArchiveStage stage;
  stage.Write("archive/10_none.sql",
              "-- archive: s\n-- returns: scores\nSELECT id AS key, id AS member, 1 AS score FROM batch WHERE false");
  stage.Migrate();
  // Between the ZADD and the row's end there is time for another instance's batch.
  stage.Sql(
      "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;"
      "CREATE TRIGGER slow BEFORE DELETE ON sprockets.outbox FOR EACH STATEMENT EXECUTE FUNCTION slow();"
      "INSERT INTO sprockets.outbox VALUES ('board', 'm', 1, NULL, 1)");
  Process archive = stage.Begin("archive", {"--stream", "s"});
  stage.AwaitSleepingQuery();
  CHECK(stage.redis.Call({"ZSCORE", "board", "m"}).text == "1");
  stage.Sql("UPDATE sprockets.outbox SET score = 2, version = 2");
  CHECK(archive.Wait() == 0);
  CHECK(stage.redis.Call({"ZSCORE", "board", "m"}).text == "2");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.outbox") == "0");
}

TEST_CASE("what was archived is trimmed below every group's first pending entry, and nothing else", "[archive]") {
  ArchiveStage stage;
  stage.Migrate();
  stage.AddMany("s", 1'200);
  stage.redis.Call({"XGROUP", "CREATE", "s", "slow", "0"});
  stage.redis.Call({"XREADGROUP", "GROUP", "slow", "c", "COUNT", "700", "STREAMS", "s", ">"});
  const CommandResult none = stage.Archive({"--trim"});
  INFO(none);
  CHECK(none.exit_code == 0);
  CHECK(none.Summary().at("trimmed") == 0);
  const auto first = stage.redis.Call({"XRANGE", "s", "-", "+", "COUNT", "600"}).elements;
  Strings ack{"XACK", "s", "slow"};
  for (const Reply& entry : first) ack.push_back(entry.elements[0].text);
  stage.redis.Call(ack);
  CHECK(stage.Archive({"--trim"}).Summary().at("trimmed") == 600);
  CHECK(stage.redis.Call({"XLEN", "s"}).integer == 600);
  // Acknowledged by a stranger, and not in the log: it stays.
  stage.Sql("DELETE FROM sprockets.log WHERE event_id = 'e650'");
  stage.redis.Call({"XGROUP", "DESTROY", "s", "slow"});
  const CommandResult kept = stage.Archive({"--trim"});
  INFO(kept);
  CHECK(kept.Says("not-trimmed"));
  CHECK(stage.redis.Call({"XLEN", "s"}).integer == 550);
}

TEST_CASE("a COMMIT whose answer is lost is found in the log, and counted once", "[archive]") {
  ArchiveStage stage;
  stage.Write("migrations/001_totals.sql",
              "CREATE TABLE sprockets.counted (n int NOT NULL); INSERT INTO sprockets.counted VALUES (0);");
  stage.Write("archive/10_count.sql", "-- archive: s\nUPDATE counted SET n = n + (SELECT count(*) FROM batch)");
  stage.Migrate();
  // A COMMIT that takes its time.
  stage.Sql(
      "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$;"
      "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON sprockets.counted DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
      "EXECUTE FUNCTION slow()");
  stage.AddMany("s", 50);
  Proxy proxy(stage.postgres.folder() / ".s.PGSQL.5432");
  stage.postgres_url = "postgres://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + stage.database;
  Process archive = stage.Begin("archive", {"--stream", "s", "--json"});
  Await("the COMMIT to be at work", [&] {
    return stage.Value(
               "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' AND datname = "
               "current_database()") == "1";
  });
  proxy.HoldRequests();
  proxy.CutClients();
  CHECK(archive.Wait() == 0);
  INFO(archive.Stdout() << archive.Stderr());
  CHECK(nlohmann::json::parse(archive.Stdout()).at("known") == 50);
  CHECK(stage.Value("SELECT n FROM sprockets.counted") == "50");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log") == "50");
  CHECK(stage.PendingOf("s") == "0");
  proxy.ReleaseRequests();
}

TEST_CASE("a signal lets the batch finish, and a store that is away ends the run with 3, or is waited for",
          "[archive]") {
  ArchiveStage stage;
  stage.Migrate();
  stage.Write("archive/10_slow.sql", "-- archive: s\nSELECT pg_sleep(1) FROM (SELECT count(*) FROM batch) AS one");
  stage.AddMany("s", 10);
  Process archive = stage.Begin("archive", {"--stream", "s", "--follow", "--json"});
  stage.AwaitSleepingQuery();
  archive.Signal(SIGTERM);
  CHECK(archive.Wait() == 0);
  INFO(archive.Stdout() << archive.Stderr());
  CHECK(nlohmann::json::parse(archive.Stdout()).at("archived") == 10);
  CHECK(stage.PendingOf("s") == "0");
  std::filesystem::remove(stage.set / "archive/10_slow.sql");

  Process follower = stage.Begin("archive", {"--stream", "s", "--follow", "--json"});
  stage.redis.Kill9();
  const CommandResult gone = stage.Archive();
  CHECK(gone.exit_code == 3);
  std::this_thread::sleep_for(500ms);
  stage.redis.Start();  // empty: it keeps nothing
  stage.Add("s", {"v", "after the loss"});
  Await("the entry to be archived", [&] { return stage.Value("SELECT count(*) FROM sprockets.log") == "11"; });
  stage.redis.Call({"FLUSHALL"});
  stage.Add("s", {"v", "after FLUSHALL"});
  Await("the entry to be archived", [&] { return stage.Value("SELECT count(*) FROM sprockets.log") == "12"; });
  stage.redis.Call({"XGROUP", "DESTROY", "s", "archive"});
  stage.Add("s", {"v", "after XGROUP DESTROY"});
  Await("the entry to be archived", [&] { return stage.Value("SELECT count(*) FROM sprockets.log") == "13"; });
  follower.Signal(SIGTERM);
  CHECK(follower.Wait() == 0);
  INFO(follower.Stderr());
}

}  // namespace
}  // namespace sprockets::harness
