// The migrate command: numbered SQL files, each once, in order.
#include <string>
#include <vector>

#include "replayer/commands.h"
#include "replayer/postgres.h"
#include "replayer/schema_set.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/text.h"

namespace sprockets {
namespace {

// Of transactions, because behind a pooler there is no session; two runs at once take turns.
constexpr const char* kLock = "SELECT pg_advisory_xact_lock(hashtext('sprockets migrations'))";
constexpr const char* kCreateTable =
    "CREATE TABLE IF NOT EXISTS sprockets_migrations (set_name text NOT NULL, number int NOT NULL, name text NOT NULL, "
    "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (set_name, number))";

struct Migrated {
  int applied = 0;
  int already_there = 0;
};

class Migrator {
 public:
  Migrator(Postgres& postgres, const std::filesystem::path& folder, bool dry_run)
      : postgres_(postgres), set_(std::filesystem::weakly_canonical(folder).filename()), dry_run_(dry_run) {}

  Status Run(const std::vector<Migration>& migrations, Migrated* migrated) {
    for (const Migration& migration : migrations) {
      Status applied = ApplyOnce(migration, migrated);
      postgres_.Rollback();
      if (!applied.ok()) return std::move(applied).Prefixed("migrations/" + migration.name);
    }
    return {};
  }

 private:
  /// Everything of one migration is in one transaction, the note that it was applied too.
  Status ApplyOnce(const Migration& migration, Migrated* migrated) {
    RETURN_IF_ERROR(postgres_.Execute("BEGIN"));
    RETURN_IF_ERROR(postgres_.Execute(kLock));
    RETURN_IF_ERROR(postgres_.Execute(kCreateTable));
    const std::vector<std::string> key{set_, std::to_string(migration.number), migration.sql};
    ASSIGN_OR_RETURN(const auto known,
                     postgres_.Query("SELECT checksum = encode(sha256(convert_to($3, 'UTF8')), 'hex') FROM "
                                     "sprockets_migrations WHERE set_name = $1 AND number = $2::int",
                                     key));
    if (!known.empty()) {
      if (known[0][0] != "t") {
        return Error{ErrorCode::kRefused,
                     "it was changed after it had been applied: put it back as it was, and make the "
                     "change a migration of its own"};
      }
      ++migrated->already_there;
      return {};
    }
    ++migrated->applied;
    LogInfo(dry_run_ ? "would-apply" : "applying", {{"migration", migration.name}});
    if (dry_run_) return {};
    RETURN_IF_ERROR(postgres_.Execute(migration.sql));
    if (!postgres_.InTransaction()) {
      return Error{ErrorCode::kRefused,
                   "it ends the transaction that it runs in (COMMIT or ROLLBACK), so it can neither be taken back nor "
                   "noted: take that line out, undo by hand what it did, and run migrate again"};
    }
    const std::vector<std::string> row{set_, std::to_string(migration.number), migration.name, migration.sql};
    ASSIGN_OR_RETURN(const auto noted,
                     postgres_.Query("INSERT INTO sprockets_migrations (set_name, number, name, checksum) VALUES ($1, "
                                     "$2::int, $3, encode(sha256(convert_to($4, 'UTF8')), 'hex'))",
                                     row));
    static_cast<void>(noted);
    return postgres_.Commit();
  }

  Postgres& postgres_;
  const std::string set_;
  const bool dry_run_;
};

Result<Migrated> Migrate(const Config& config) {
  ASSIGN_OR_RETURN(const std::vector<Migration> migrations, ReadMigrations(config.set.folder));
  ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(*config.postgres, config.set.postgres_wait_ms));
  Migrated migrated;
  RETURN_IF_ERROR(Migrator(postgres, config.set.folder, config.set.dry_run).Run(migrations, &migrated));
  return migrated;
}

}  // namespace

int RunMigrate(const Config& config, std::ostream& out) {
  const int64_t begun_ms = SteadyClockMs();
  const Result<Migrated> migrated = Migrate(config);
  if (!migrated.ok()) return Fail(config, "migrate", migrated.error(), out);
  const auto& [applied, already_there] = migrated.value();
  const bool waits = config.set.dry_run && applied > 0;
  const std::string result = waits ? "left" : "verified";
  if (config.json) {
    out << R"({"command":"migrate","applied":)" << applied << R"(,"already_there":)" << already_there
        << R"(,"duration_ms":)" << SteadyClockMs() - begun_ms << R"(,"result":")" << result << "\"}\n";
  } else {
    out << "migrate: " << applied << (config.set.dry_run ? " would be applied, " : " applied, ") << already_there
        << " already there\n"
        << result << "\n";
  }
  return waits ? 1 : 0;
}

}  // namespace sprockets
