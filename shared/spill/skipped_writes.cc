#include "shared/spill/skipped_writes.h"

#include <optional>
#include <utility>

#include "shared/base/text.h"
#include "shared/spill/sqlite.h"

namespace sprockets {
namespace {

constexpr int32_t kSkippedId = 0x5350534b;  // "SPSK"
constexpr int32_t kSkippedVersion = 1;
constexpr int kPatienceWithOtherMs = 1'000;  // with the other program, which holds the file for moments only

constexpr std::string_view kSkippedTable = R"sql(
CREATE TABLE skipped (
  key      ANY PRIMARY KEY,   -- of Redis
  writes   INTEGER NOT NULL,  -- that were answered and not stored
  first_ms INTEGER NOT NULL,  -- when, as Unix time
  last_ms  INTEGER NOT NULL,
  command  TEXT NOT NULL      -- the last one
) STRICT, WITHOUT ROWID;
)sql";

Result<Database> OpenFile(const std::filesystem::path& path, bool create) {
  Database::Options options;
  options.busy_timeout_ms = kPatienceWithOtherMs;
  options.application_id = kSkippedId;
  options.user_version = kSkippedVersion;
  if (create) options.initialize = [](Database& database) { return database.Execute(kSkippedTable); };
  Result<Database> opened = Database::Open(path, options);
  if (opened.ok() || opened.error().code != ErrorCode::kCorrupt) return opened;
  Error error = std::move(opened).error();
  error.message += ": move " + path.native() + " away, and rebuild every key that may have been written to";
  return error;
}

/// Commits what `change` does, or nothing.
template <typename Change>
Status Commit(Database& database, const Change& change) {
  RETURN_IF_ERROR(database.Begin());
  Status changed = change();
  if (changed.ok()) changed = database.Commit();
  if (!changed.ok()) database.Rollback();
  return changed;
}

}  // namespace

Result<SkippedWrites::Added> SkippedWrites::Add(std::span<const SkippedKey> skipped) const {
  ASSIGN_OR_RETURN(Database database, OpenFile(path_, /*create=*/true));
  Added added;
  const Status committed = Commit(database, [&]() -> Status {
    ASSIGN_OR_RETURN(Statement count_on,
                     database.Prepare("UPDATE skipped SET writes = writes + ?2, last_ms = max(last_ms, ?3), "
                                      "command = ?4 WHERE key = ?1"));
    ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO skipped VALUES (?1, ?2, ?3, ?4, ?5)"));
    std::optional<int64_t> listed;  // counted for the first key that is not on the list
    for (const SkippedKey& each : skipped) {
      count_on.BindBytes(1, each.key);
      count_on.BindInteger(2, each.writes);
      count_on.BindInteger(3, each.last_ms);
      count_on.BindBytes(4, each.command);
      RETURN_IF_ERROR(count_on.Run());
      if (database.Changes() > 0) continue;
      if (!listed) {
        ASSIGN_OR_RETURN(listed, database.QueryInteger("SELECT count(*) FROM skipped"));
      }
      const bool has_room = *listed < kMostKeys;
      (has_room ? added.fresh : added.refused).push_back(each.key);
      if (!has_room) continue;
      insert.BindBytes(1, each.key);
      insert.BindInteger(2, each.writes);
      insert.BindInteger(3, each.first_ms);
      insert.BindInteger(4, each.last_ms);
      insert.BindBytes(5, each.command);
      RETURN_IF_ERROR(insert.Run());
      ++*listed;
    }
    return {};
  });
  RETURN_IF_ERROR(committed);
  return added;
}

Result<std::vector<SkippedKey>> SkippedWrites::List() const {
  std::vector<SkippedKey> keys;
  // One that was never committed to: a full disk, or a kill, came in between.
  std::error_code error;
  if (std::filesystem::file_size(path_, error) == 0 && !error) return keys;
  Result<Database> opened = OpenFile(path_, /*create=*/false);
  if (!opened.ok() && opened.error().code == ErrorCode::kNotFound) return keys;
  if (!opened.ok()) return std::move(opened).error();
  ASSIGN_OR_RETURN(Statement select,
                   opened.value().Prepare("SELECT key, writes, first_ms, last_ms, command FROM skipped "
                                          "ORDER BY first_ms, key"));
  while (true) {
    ASSIGN_OR_RETURN(const bool has_row, select.Step());
    if (!has_row) return keys;
    keys.push_back({std::string(select.Bytes(0)), select.Integer(1), select.Integer(2), select.Integer(3),
                    std::string(select.Bytes(4))});
  }
}

Status SkippedWrites::StrikeOff(std::span<const SkippedKey> restored) const {
  if (restored.empty()) return {};
  ASSIGN_OR_RETURN(Database database, OpenFile(path_, /*create=*/false));
  return Commit(database, [&]() -> Status {
    ASSIGN_OR_RETURN(Statement remove,
                     database.Prepare("DELETE FROM skipped WHERE key = ?1 AND writes <= ?2 AND first_ms = ?3"));
    ASSIGN_OR_RETURN(Statement lessen, database.Prepare("UPDATE skipped SET writes = writes - ?2, first_ms = ?4 "
                                                        "WHERE key = ?1 AND writes > ?2 AND first_ms = ?3"));
    for (const SkippedKey& each : restored) {
      remove.BindBytes(1, each.key);
      remove.BindInteger(2, each.writes);
      remove.BindInteger(3, each.first_ms);
      lessen.BindBytes(1, each.key);
      lessen.BindInteger(2, each.writes);
      lessen.BindInteger(3, each.first_ms);
      lessen.BindInteger(4, each.last_ms + 1);  // another one: whoever has seen the same list takes off nothing more
      // The other way round, what is left of a count would be taken for the whole.
      RETURN_IF_ERROR(remove.Run());
      RETURN_IF_ERROR(lessen.Run());
    }
    return {};
  });
}

}  // namespace sprockets
