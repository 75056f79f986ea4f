// Dead letters: those that a handler writes itself are told, and --where chooses which ones are offered again.
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

struct LetterStage : SetStage {
  LetterStage() {
    Write("migrations/001_typed.sql",
          "CREATE TABLE sprockets.typed (position bigint PRIMARY KEY, n int CHECK (n < 100));");
  }
  void Add(const std::string& stream, const std::vector<std::string>& values) const {
    for (const std::string& value : values) redis.Call({"XADD", stream, "*", "n", value});
  }
  std::string Value(const std::string& sql) const { return postgres.Value(database, sql); }
};

TEST_CASE("an entry of which a handler puts a part aside is archived, and the part is told", "[dead_letters]") {
  const LetterStage stage;
  stage.Write("archive/10_parts.sql",
              "-- archive: s\n"
              "WITH bad AS (INSERT INTO dead_letters (stream, id, raw, error, sqlstate, handler) SELECT stream, id, "
              "raw, 'not a number', '22023', 'parts' FROM batch WHERE fields->>'n' !~ '^[0-9]+$' RETURNING id)\n"
              "INSERT INTO typed SELECT position, (fields->>'n')::int FROM batch WHERE fields->>'n' ~ '^[0-9]+$'");
  REQUIRE(stage.Run("migrate").exit_code == 0);
  stage.Add("s", {"1", "x", "2", "y"});
  // About a stream of another name, and an entry that is none of the batch's.
  stage.Sql(
      "INSERT INTO sprockets.dead_letters (stream, id, raw, error) VALUES ('s', '1-1', ARRAY['a'::bytea, 'b'], 'old')");
  const CommandResult archived = stage.Run("archive", {"--stream", "s", "--json"});
  INFO(archived);
  CHECK(archived.exit_code == 1);
  CHECK(archived.Summary().at("result") == "left");
  CHECK(archived.Summary().at("archived") == 4);
  CHECK(archived.Summary().at("dead") == 0);
  CHECK(archived.Summary().at("dead_parts") == 2);
  CHECK(archived.Says("dead-part"));
  CHECK(archived.Says("not a number"));
  const CommandResult again = stage.Run("archive", {"--stream", "s", "--group", "other", "--json"});
  INFO(again);
  CHECK(again.exit_code == 0);
}

TEST_CASE("--where chooses dead letters by SQL, of the streams that are named, and can change nothing",
          "[dead_letters]") {
  const LetterStage stage;
  stage.Write("archive/10_typed.sql",
              "-- archive: *\nINSERT INTO typed SELECT position, (fields->>'n')::int FROM batch ORDER BY position");
  REQUIRE(stage.Run("migrate").exit_code == 0);
  stage.Add("s", {"1", "x", "700", "y"});
  stage.Add("t", {"z"});
  REQUIRE(stage.Run("archive", {"--stream", "s", "--stream", "t"}).exit_code == 1);
  REQUIRE(stage.Value("SELECT string_agg(sqlstate, ' ' ORDER BY number) FROM sprockets.dead_letters") ==
          "22P02 23514 22P02 22P02");
  const auto retry = [&](const std::string& where) {
    return stage.Run("archive", {"--stream", "s", "--json", "--retry-dead", "--where", where});
  };
  CHECK(retry("sqlstate = '22P02'").Summary().at("read") == 2);
  CHECK(retry("died_at < now() - interval '1 day'").Summary().at("read") == 0);
  CHECK(retry("sqlstate = '23514' -- the limit was wrong").Summary().at("read") == 1);
  // However it ends the condition: letters of another stream are not offered as this one's.
  CHECK(retry("false) OR (true").Summary().at("read") == 3);
  for (const char* wrong : {"no_such_column", "true); DELETE FROM sprockets.dead_letters; SELECT (1",
                            "nextval('sprockets.log_blocks') > 0"}) {
    const CommandResult refused = retry(wrong);
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("--where"));
  }
  CHECK(stage.Run("archive", {"--stream", "s", "--where", "true"}).exit_code == 2);
  stage.Sql("ALTER TABLE sprockets.typed DROP CONSTRAINT typed_n_check");
  const CommandResult done = retry("handler = '10_typed.sql' AND error LIKE '%check constraint%'");
  INFO(done);
  CHECK(done.exit_code == 0);
  CHECK(done.Summary().at("archived") == 1);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.dead_letters WHERE retried_at IS NULL") == "3");
}

}  // namespace
}  // namespace sprockets::harness
