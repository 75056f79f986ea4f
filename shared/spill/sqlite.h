// SQLite with its sharp edges taken off: owned handles, errors as Results, and the settings that a file needs that
// must not lie. Everything in the project that uses SQLite does so through this header, and through sqlite_batch.h.
// A Database and its Statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shared/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sprockets {

/// SQLite keeps these bytes as TEXT, so that people can read what can be read; all others as BLOB: with a NUL inside,
/// TEXT would be cut short by everything that shows it.
bool IsSqlText(std::string_view bytes);

/// A prepared statement, made for repeated use. Views that it returns live until the next Step, Reset or destruction.
/// It must be destroyed before its Database.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&&) = default;
  Statement& operator=(Statement&&) = default;

  // Parameters count from 1; binding views keeps them alive on the caller's side until Reset.
  void BindNull(int index);
  void BindInteger(int index, int64_t value);
  /// As TEXT or as BLOB: see IsSqlText.
  void BindBytes(int index, std::string_view bytes);
  void BindBlob(int index, std::string_view bytes);

  /// True: a row is there. False: done. After an error, Reset before the next use.
  Result<bool> Step();
  /// Runs a statement that returns no rows, then resets it (also after an error).
  Status Run();
  void Reset();

  // Columns count from 0.
  bool IsNull(int column) const;
  int64_t Integer(int column) const;
  std::string_view Bytes(int column) const;

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  Error Failure() const;

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

class Database {
 public:
  static constexpr int64_t kPageBytes = 4096;  // unless asked for others
  enum class Journal {
    kWal,     // one process, exclusive: locking_mode=EXCLUSIVE, no shared memory file
    kDelete,  // rollback journal, may be read by another process meanwhile; a file left in WAL mode is recovered and
              // leaves it
  };
  struct Options {
    Journal journal = Journal::kDelete;
    /// Set: a file that is missing or empty is created (mode 0600), with what this does to it in the creating
    /// transaction, so that a killed process leaves either nothing or everything. Not set: missing is kNotFound, empty
    /// kCorrupt.
    std::function<Status(Database&)> initialize;
    /// A WAL in which commits stand behind a damaged frame is kCorrupt, for SQLite would drop them without a word.
    /// True: it may.
    bool accept_damaged_wal = false;
    /// False: a commit is in the WAL, and outlasts a kill; a power cut only after SyncWal.
    bool sync_commits = true;
    /// The version of files whose commits were not synced: of these a power cut loses the last ones in any order, and
    /// their WAL is accepted as if it were damaged. 0: there are none.
    int32_t late_synced_version = 0;
    int64_t max_bytes = 0;            // of the database without its WAL (max_page_count); beyond it kFull. 0: no limit
    int64_t page_bytes = kPageBytes;  // of a file that is created; one that is there keeps its own
    int64_t cache_bytes = 2 * 1024 * 1024;
    int busy_timeout_ms = 5000;
    int32_t application_id = 0;   // written when created; another one on opening is kForeign
    int32_t user_version = 0;     // written when created; a greater one on opening is kForeign
    int32_t created_version = 0;  // what is written instead, so that programs of before can open it; 0: user_version
  };

  /// Opens with NOFOLLOW (of the whole path: bring a canonical one) and EXRESCODE, DEFENSIVE on, double-quoted strings
  /// off, trusted_schema off, cell_size_check on, synchronous=EXTRA, no automatic checkpoint, temporary
  /// data in memory; every pragma is read back and one that did not take is an error. A file that is no database or is
  /// damaged is kCorrupt. kForeign is found out before anything is written, a rollback or a recovery included.
  static Result<Database> Open(const std::filesystem::path& path, const Options& options);

  Database(Database&&) = default;
  Database& operator=(Database&&) = default;

  Status Execute(std::string_view sql);  // one or more statements without parameters or rows
  Result<Statement> Prepare(std::string_view sql);
  /// The first column of the first row; nothing if there is no row.
  Result<std::optional<int64_t>> QueryInteger(std::string_view sql);

  Status Begin();   // BEGIN IMMEDIATE
  Status Commit();  // an error here leaves the outcome in doubt
  void Rollback();  // never fails as far as the caller is concerned
  int64_t Changes() const;

  enum class WalRoom {
    kRelease,  // the WAL is truncated to nothing
    kKeep,     // the WAL keeps its blocks and is written again from its beginning: the next commits need no free space
  };
  /// Moves the WAL into the database and syncs.
  Status Checkpoint(WalRoom room = WalRoom::kRelease);
  /// With sync_commits off: what was committed outlasts a power cut.
  Status SyncWal();
  /// From now on, each commit does.
  Status SyncEachCommit() { return SetPragma("synchronous", "3"); }
  /// From WAL to rollback journal; afterwards there is no -wal file and other processes may open it. Call after
  /// Checkpoint.
  Status LeaveWal();
  /// PRAGMA quick_check; kCorrupt with its first line.
  Status QuickCheck();
  /// Database and WAL, in bytes, as on disk now.
  int64_t FileBytes() const;
  int64_t WalBytes() const;
  /// Of the WAL, what commits have written since the last Checkpoint.
  int64_t UncheckpointedBytes() const;
  const std::filesystem::path& path() const { return path_; }
  /// For BatchTable.
  sqlite3* handle() const { return database_.get(); }
  /// Which commits of the WAL were out of reach when it was accepted as damaged, in words; empty: none.
  const std::string& wal_damage() const { return wal_damage_; }

 private:
  struct Closer {
    void operator()(sqlite3* database) const;
  };
  Database() = default;

  Error Failure() const;
  Status Configure(const Options& options);
  Status InspectHeader(const Options& options, bool* is_wal);
  Status Create(const Options& options);
  Status EnterJournal(const Options& options);
  Status RefuseDamagedWal();
  Result<std::string> QueryText(std::string_view sql);
  Status LimitSize(const Options& options);
  Status SetPragma(std::string_view name, std::string_view value);
  int64_t WalFrameBytes() const;

  std::filesystem::path path_;
  std::string wal_damage_;
  bool late_synced_ = false;
  int64_t page_bytes_ = 0;
  std::unique_ptr<int> wal_pages_;  // SQLite counts here, so it must not move
  std::unique_ptr<sqlite3, Closer> database_;
};

}  // namespace sprockets
