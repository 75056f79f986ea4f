// The migrate command: numbered SQL files, each once, in order.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "replayer/archive/own_migrations.h"
#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/postgres/postgres.h"
#include "replayer/schema_set/schema_set.h"
#include "shared/base/log.h"

namespace sprockets {
namespace {

// Of transactions, because behind a pooler there is no session; two runs at once take turns.
constexpr const char* kMigrationLock = "SELECT pg_advisory_xact_lock(hashtext('sprockets migrations'))";
// What is ours is in a schema of our own: services drop and make `public` as they like. Earlier versions had the notes
// there.
constexpr const char* kCreateTable = R"(
DO $$ BEGIN
  IF pg_catalog.to_regclass('sprockets.migrations') IS NOT NULL THEN RETURN; END IF;
  IF pg_catalog.to_regnamespace('sprockets') IS NULL THEN CREATE SCHEMA sprockets; END IF;
  IF pg_catalog.to_regclass('public.sprockets_migrations') IS NOT NULL THEN
    ALTER TABLE public.sprockets_migrations SET SCHEMA sprockets;
    ALTER TABLE sprockets.sprockets_migrations RENAME TO migrations;
  ELSE
    CREATE TABLE sprockets.migrations (set_name text NOT NULL, number int NOT NULL, name text NOT NULL,
      checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (set_name, number));
  END IF;
END $$)";

struct Migrated {
  int applied = 0;
  int already_there = 0;
};

class Migrator {
 public:
  /// `folder`: where the files are, for errors.
  Migrator(Postgres& postgres, SetConf set, std::string folder, bool dry_run)
      : postgres_(postgres), set_(std::move(set)), folder_(std::move(folder)), dry_run_(dry_run) {}

  Status Run(const std::vector<Migration>& migrations, Migrated* migrated) {
    const Status fits = RefuseGaps(migrations);
    postgres_.Rollback();
    RETURN_IF_ERROR(fits);
    for (const Migration& migration : migrations) {
      Status applied = ApplyOnce(migration, migrated);
      postgres_.Rollback();
      if (!applied.ok()) return std::move(applied).Prefixed(folder_ + migration.name);
    }
    return {};
  }

 private:
  /// What was applied must be here, and what is new must come behind it: in any other order the tables are not those
  /// that the files make.
  Status RefuseGaps(const std::vector<Migration>& migrations) {
    RETURN_IF_ERROR(postgres_.Execute("BEGIN"));
    RETURN_IF_ERROR(postgres_.Execute(kMigrationLock));
    RETURN_IF_ERROR(postgres_.Execute(kCreateTable));
    const std::vector<std::string> key{set_.name};
    ASSIGN_OR_RETURN(const auto rows,
                     postgres_.Query("SELECT number, name FROM sprockets.migrations WHERE set_name = $1 "
                                     "ORDER BY number",
                                     key));
    std::set<int64_t> applied;
    for (const auto& row : rows) {
      const int64_t number = std::strtoll(row[0].value_or("0").c_str(), nullptr, 10);
      applied.insert(number);
      const auto is_it = [&](const Migration& migration) { return migration.number == number; };
      if (std::any_of(migrations.begin(), migrations.end(), is_it)) continue;
      const auto& retired = set_.retired;
      if (std::find(retired.begin(), retired.end(), row[1].value_or("")) != retired.end()) continue;
      return Error{ErrorCode::kRefused, folder_ + row[1].value_or("") +
                                            " was applied and is not in the set any more: put it back, since a new "
                                            "database would not get what it made"};
    }
    for (const Migration& migration : migrations) {
      if (applied.empty() || applied.contains(migration.number) || migration.number > *applied.rbegin()) continue;
      return Error{ErrorCode::kRefused, folder_ + migration.name + " comes late: number " +
                                            std::to_string(*applied.rbegin()) +
                                            " was applied before it. Give it a number above that"};
    }
    return {};
  }

  /// Which transaction is this? A file that commits and begins anew is in another one afterwards.
  Result<std::string> TransactionNumber() {
    ASSIGN_OR_RETURN(const auto rows, postgres_.Query("SELECT pg_catalog.txid_current()"));
    return rows[0][0].value_or("");
  }

  /// Everything of one migration is in one transaction, the note that it was applied too.
  Status ApplyOnce(const Migration& migration, Migrated* migrated) {
    RETURN_IF_ERROR(postgres_.Execute("BEGIN"));
    RETURN_IF_ERROR(postgres_.Execute(kMigrationLock));
    RETURN_IF_ERROR(postgres_.Execute(kCreateTable));
    const std::vector<std::string> key{set_.name, std::to_string(migration.number), migration.sql};
    ASSIGN_OR_RETURN(const auto known,
                     postgres_.Query("SELECT checksum = encode(sha256(convert_to($3, 'UTF8')), 'hex') FROM "
                                     "sprockets.migrations WHERE set_name = $1 AND number = $2::int",
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
    ASSIGN_OR_RETURN(const std::string transaction, TransactionNumber());
    ASSIGN_OR_RETURN(const auto path, postgres_.Query("SELECT pg_catalog.current_setting('search_path')"));
    RETURN_IF_ERROR(postgres_.Execute(migration.sql));
    bool same_transaction = postgres_.InTransaction();
    if (same_transaction) {
      ASSIGN_OR_RETURN(const std::string now, TransactionNumber());
      same_transaction = now == transaction;
      // As pg_dump's files leave it, it would lead past our own table and into the next file.
      ASSIGN_OR_RETURN(const auto left, postgres_.Query("SELECT pg_catalog.current_setting('search_path')"));
      if (left != path) RETURN_IF_ERROR(postgres_.Execute("RESET search_path"));
    }
    if (!same_transaction) {
      return Error{ErrorCode::kRefused,
                   "it ends the transaction that it runs in (COMMIT or ROLLBACK), so it can neither be taken back nor "
                   "noted: take that line out, undo by hand what it did, and run migrate again"};
    }
    const std::vector<std::string> row{set_.name, std::to_string(migration.number), migration.name, migration.sql};
    ASSIGN_OR_RETURN(const auto noted,
                     postgres_.Query("INSERT INTO sprockets.migrations (set_name, number, name, checksum) VALUES ($1, "
                                     "$2::int, $3, encode(sha256(convert_to($4, 'UTF8')), 'hex'))",
                                     row));
    static_cast<void>(noted);
    return postgres_.Commit();
  }

  Postgres& postgres_;
  const SetConf set_;
  const std::string folder_;
  const bool dry_run_;
};

class Migrate : public Command {
 public:
  Migrate()
      : Command(
            "migrate",
            "Makes the tables of the archive in PostgreSQL, and applies the migrations of a schema set, each once.") {}

  void Declare(OptionTable& options) override {
    AddOptionalSchema(options, &folder_);
    AddPostgres(options, &target_);
    options.Flag("dry-run", "only say which files would be applied", &dry_run_);
  }

  Result<Outcome> Run(Output& output) override {
    std::vector<Migration> migrations;
    SetConf set;
    if (!folder_.empty()) {
      ASSIGN_OR_RETURN(migrations, ReadMigrations(folder_));
      ASSIGN_OR_RETURN(set, ReadSetConf(folder_));
      if (set.name == kOwnSetName)
        return Error{ErrorCode::kRefused, folder_.native() + ": the name " + set.name +
                                              " is that of the archive's own tables: give the set another one"};
    }
    ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(target_.url, target_.wait_ms));
    Migrated own;
    RETURN_IF_ERROR(
        Migrator(postgres, {std::string(kOwnSetName), {}}, "the archive's own ", dry_run_).Run(OwnMigrations(), &own));
    Migrated migrated;
    if (!folder_.empty())
      RETURN_IF_ERROR(Migrator(postgres, std::move(set), "migrations/", dry_run_).Run(migrations, &migrated));
    const bool waits = dry_run_ && migrated.applied + own.applied > 0;
    Outcome outcome;
    outcome.counts = {{"applied", migrated.applied}, {"already_there", migrated.already_there}};
    outcome.details["own"] = {{"applied", own.applied}, {"already_there", own.already_there}};
    outcome.duration_ms = output.ElapsedMs();
    outcome.result = waits ? "left" : "verified";
    outcome.text = "migrate: " + std::to_string(migrated.applied) + (dry_run_ ? " would be applied, " : " applied, ") +
                   std::to_string(migrated.already_there) + " already there";
    if (own.applied > 0)
      outcome.text += std::string("; tables of the archive ") + (dry_run_ ? "would be made" : "made");
    outcome.text += "\n" + outcome.result + "\n";
    if (waits) outcome.exit_code = ExitCode::kDiffers;
    return outcome;
  }

 private:
  std::filesystem::path folder_;
  PostgresTarget target_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> MigrateCommand() {
  return std::make_unique<Migrate>();
}

}  // namespace sprockets
