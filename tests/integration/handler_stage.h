// The handlers of a set over entries in a log, without the archive: a batch by hand, as psql could do it.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "shared/base/text.h"
#include "tests/harness/set_stage.h"

namespace sprockets::harness {

/// A set of the repository that has handlers; its tables are made.
struct HandlerStage : SetStage {
  using Fields = std::vector<std::string>;

  explicit HandlerStage(const std::string& name) {
    set = SchemaFolder(name);
    const CommandResult migrated = Run("migrate");
    INFO(migrated);
    REQUIRE(migrated.exit_code == 0);
  }
  std::string Value(const std::string& sql) const { return postgres.Value(database, sql); }
  /// The values of one column.
  Fields Column(const std::string& sql) const {
    Fields column;
    for (const auto& row : postgres.Query(database, sql)) column.push_back(row.at(0));
    return column;
  }

  static std::string Quote(const std::string& text) {
    std::string quoted = "'";
    for (const char letter : text) quoted += letter == '\'' ? std::string("''") : std::string(1, letter);
    return quoted + "'";
  }
  static std::string Bytes(const std::string& bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string hex;
    for (const char byte : bytes) {
      hex += kDigits[static_cast<unsigned char>(byte) >> 4];
      hex += kDigits[static_cast<unsigned char>(byte) & 15];
    }
    return "'\\x" + hex + "'::bytea";
  }

  /// Entries of the stream that the log does not know become one batch, and `handler` takes it. The rows that it
  /// returns.
  std::vector<Fields> Take(const std::string& stream, const std::string& handler) const {
    const std::string block = Value("SELECT nextval('sprockets.log_blocks') * 65536");
    int64_t position = std::stoll(block);
    std::string insert;
    for (const Reply& entry : redis.Call({"XRANGE", stream, "-", "+"}).elements) {
      nlohmann::json object = nlohmann::json::object();
      std::string raw;
      std::string event_id = "NULL";
      bool is_text = true;
      const auto& words = entry.elements[1].elements;
      for (size_t i = 0; i < words.size(); i += 2) {
        const std::string& value = words[i + 1].text;
        raw += (i == 0 ? "" : ",") + Bytes(words[i].text) + "," + Bytes(value);
        is_text = is_text && IsUtf8(value) && value.find('\0') == std::string::npos && !object.contains(words[i].text);
        if (words[i].text == "event_id") event_id = Quote(value);
        if (is_text) object[words[i].text] = value;
      }
      insert += "INSERT INTO sprockets.log VALUES (" + std::to_string(++position) + "," + Quote(stream) + "," +
                Quote(entry.elements[0].text) + "," + event_id + ", now(), " +
                (is_text ? Quote(object.dump()) : "NULL") + ", ARRAY[" + raw + "], '\\x00') ON CONFLICT DO NOTHING;";
    }
    std::string sql;
    std::ifstream file(set / "archive" / handler);
    std::getline(file, sql, '\0');
    return postgres.Query(database,
                          "SELECT set_config('search_path', current_setting('search_path') || ', sprockets', true), "
                          "set_config('sprockets.batch_first', '" +
                              block +
                              "', true), "
                              "set_config('sprockets.batch_last', '" +
                              std::to_string(position) + "', true);" + insert + sql);
  }
  /// The same of a handler that returns scores, which are then written to Redis.
  void TakeScores(const std::string& stream, const std::string& handler) const {
    for (const Fields& row : Take(stream, handler)) {
      redis.Call({"ZADD", row.at(0), row.at(2), row.at(1)});
      if (row.at(3).empty()) continue;
      redis.Call({"PEXPIREAT", row.at(0),
                  Value("SELECT (extract(epoch FROM '" + row.at(3) + "'::timestamptz) * 1000)::bigint"), "NX"});
    }
  }
};

}  // namespace sprockets::harness
