// Streams whose entries have ordered and repeated fields, from a column of bytea[].
#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/set_stage.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

constexpr const char* kQuery =
    "-- redis: stream\n-- if-table: entries\n"
    "SELECT stream AS key, id, fields FROM entries\n";

/// Fields of an entry as the text of a bytea[].
std::string ArrayOf(const Strings& fields) {
  std::string array;
  for (const std::string& field : fields) {
    std::string hex;
    for (const char byte : field) {
      constexpr const char* kDigits = "0123456789abcdef";
      hex += kDigits[static_cast<unsigned char>(byte) >> 4];
      hex += kDigits[static_cast<unsigned char>(byte) & 15];
    }
    array += (array.empty() ? "" : ",") + std::string("decode('") + hex + "', 'hex')";
  }
  return "ARRAY[" + array + "]::bytea[]";
}

Strings FieldsOf(const SetStage& stage, const std::string& stream, const std::string& id) {
  const Reply reply = stage.redis.Call({"XRANGE", stream, id, id});
  Strings fields;
  if (reply.elements.size() != 1) return fields;
  for (const Reply& field : reply.elements[0].elements[1].elements) fields.push_back(field.text);
  return fields;
}

struct EntryStage : SetStage {
  EntryStage() {
    Sql("CREATE TABLE entries (stream text, id text, fields bytea[])");
    Write("rebuild/entries.sql", kQuery);
  }
  void Insert(const std::string& id, const Strings& fields) const {
    Sql("INSERT INTO entries VALUES ('events', '" + id + "', " + ArrayOf(fields) + ")");
  }
};

TEST_CASE("entries come back under their ids with every field: in order, repeated, empty, of any bytes",
          "[stream_fields]") {
  const EntryStage stage;
  const std::string bytes("\0\xff\r\n\"", 5);
  const std::vector<std::pair<std::string, Strings>> entries{
      {"1-0", {"b", "1", "a", "2", "b", "3", "b", "1"}},
      {"1-1", {"", ""}},
      {"5-18446744073709551615", {bytes, bytes, "empty", ""}},
      {"18446744073709551615-1", {"data", std::string(300'000, 'x')}},
  };
  for (const auto& [id, fields] : entries) stage.Insert(id, fields);
  const CommandResult rebuilt = stage.Run("rebuild");
  INFO(rebuilt);
  REQUIRE(rebuilt.exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "events"}).integer == 4);
  for (const auto& [id, fields] : entries) CHECK(FieldsOf(stage, "events", id) == fields);
  CHECK(stage.Run("verify").exit_code == 0);
  CHECK(stage.Run("rebuild", {"--json"}).States().at("entries") == "unchanged");
}

TEST_CASE("verify sees the order of an entry's fields and how often each comes", "[stream_fields]") {
  const EntryStage stage;
  stage.Insert("1-0", {"a", "1", "b", "2"});
  stage.Insert("2-0", {"a", "1", "a", "1"});
  stage.redis.Call({"XADD", "events", "1-0", "b", "2", "a", "1"});
  stage.redis.Call({"XADD", "events", "2-0", "a", "1"});
  const CommandResult verified = stage.Run("verify", {"--json"});
  INFO(verified);
  CHECK(verified.exit_code == 1);
  REQUIRE(verified.Lines().size() == 3);
  for (int i = 0; i < 2; ++i) CHECK(verified.Lines()[i].at("problem") == "different");
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(FieldsOf(stage, "events", "1-0") == Strings{"a", "1", "b", "2"});
  CHECK(FieldsOf(stage, "events", "2-0") == Strings{"a", "1", "a", "1"});
}

TEST_CASE("a field that the live entry has once more than the source is not taken from it", "[stream_fields]") {
  const EntryStage stage;
  stage.Insert("1-0", {"a", "1"});
  stage.redis.Call({"XADD", "events", "1-0", "a", "1", "a", "2"});
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("an entry of the live stream has what the source does not give it, a of 1-0 of events"));
  CHECK(FieldsOf(stage, "events", "1-0") == Strings{"a", "1", "a", "2"});
}

TEST_CASE("fields that are no pairs are refused with file and row, and nothing is written", "[stream_fields]") {
  const EntryStage stage;
  stage.Insert("1-0", {"a", "1"});
  const auto refuses = [&](const std::string& array, const std::string& why) {
    INFO(array);
    stage.Sql("DELETE FROM entries WHERE id = '2-0'; INSERT INTO entries VALUES ('events', '2-0', " + array + ")");
    const CommandResult refused = stage.Run("rebuild");
    INFO(refused);
    CHECK(refused.exit_code == 4);
    CHECK(refused.Says("entries.sql: row 2 (key events): " + why));
    CHECK(stage.redis.Call({"EXISTS", "events"}).integer == 0);
    CHECK(stage.OwnKeys().empty());
  };
  refuses("ARRAY['a', NULL]::bytea[]", "fields has an element that is NULL");
  refuses("ARRAY[NULL, 'a']::bytea[]", "fields has an element that is NULL");
  refuses("ARRAY['a', 'b', 'c']::bytea[]", "fields has 3 elements");
  refuses("'{}'", "fields is empty");
  refuses("NULL", "fields is NULL");
  refuses("ARRAY[ARRAY['a', 'b'], ARRAY['c', 'd']]::bytea[]", "fields has more than one dimension");

  stage.Write("rebuild/entries.sql", "-- redis: stream\nSELECT stream AS key, id, fields, id AS more FROM entries\n");
  const CommandResult refused = stage.Run("rebuild");
  INFO(refused);
  CHECK(refused.exit_code == 4);
  CHECK(refused.Says("or id and one column fields of type bytea[]"));
}

TEST_CASE("a column fields of any other type is a field of this name", "[stream_fields]") {
  const EntryStage stage;
  stage.Write("rebuild/entries.sql",
              "-- redis: stream\nSELECT 'events' AS key, '1-1' AS id, ARRAY['a', 'b'] AS fields\n");
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(FieldsOf(stage, "events", "1-1") == Strings{"fields", "{a,b}"});
}

// ---- Trimmed streams ----

struct TrimmedStage : EntryStage {
  TrimmedStage() {
    Write("rebuild/entries.sql",
          "-- redis: stream\n-- trimmed: allowed\nSELECT stream AS key, id, fields FROM entries\n");
    Sql("INSERT INTO entries SELECT 'events', i || '-0', ARRAY['n', i::text]::bytea[] FROM generate_series(1, 100) i");
    const CommandResult rebuilt = Run("rebuild");
    INFO(rebuilt);
    REQUIRE(rebuilt.exit_code == 0);
    CHECK(redis.Call({"XLEN", "events"}).integer == 100);
  }
};

TEST_CASE("where the file says so, a stream may be trimmed, and its lost middle or end is still missed",
          "[stream_fields]") {
  const TrimmedStage stage;
  stage.redis.Call({"XTRIM", "events", "MINID", "41"});
  CHECK(stage.Run("verify").exit_code == 0);
  CHECK(stage.Run("rebuild", {"--json"}).States().at("entries") == "unchanged");
  CHECK(stage.redis.Call({"XLEN", "events"}).integer == 60);
  stage.redis.Call({"XDEL", "events", "70-0", "100-0"});
  const CommandResult verified = stage.Run("verify", {"--json"});
  INFO(verified);
  CHECK(verified.exit_code == 1);
  REQUIRE(verified.Lines().size() == 3);
  CHECK(verified.Lines()[0].at("member") == "70-0");
  CHECK(verified.Lines()[1].at("member") == "100-0");
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "events"}).integer == 100);
}

TEST_CASE("a stream that was trimmed to nothing is right, and one that is gone comes back", "[stream_fields]") {
  const TrimmedStage stage;
  stage.redis.Call({"XTRIM", "events", "MAXLEN", "0"});
  CHECK(stage.Run("verify").exit_code == 0);
  stage.redis.Call({"DEL", "events"});
  CHECK(stage.Run("verify").exit_code == 1);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "events"}).integer == 100);
}

TEST_CASE("a stream that began anew after a loss is not taken for a trimmed one", "[stream_fields]") {
  const TrimmedStage stage;
  stage.redis.Call({"DEL", "events"});
  stage.redis.Call({"XGROUP", "CREATE", "events", "group", "0", "MKSTREAM"});
  CHECK(stage.Run("verify").exit_code == 1);
  stage.redis.Call({"XADD", "events", "101-0", "n", "101"});
  stage.Sql("INSERT INTO entries VALUES ('events', '101-0', ARRAY['n', '101']::bytea[])");
  const CommandResult verified = stage.Run("verify", {"--json"});
  CHECK(verified.exit_code == 1);
  CHECK(verified.Lines().size() == 101);
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", "events"}).integer == 101);
}

}  // namespace
}  // namespace sprockets::harness
