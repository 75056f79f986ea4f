// A batch of entries into PostgreSQL: the log, the set's handlers, what is put aside, all in one transaction. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/archive/entry_rows.h"
#include "replayer/archive/sort_out.h"
#include "replayer/postgres/postgres.h"
#include "replayer/schema_set/archive_handlers.h"
#include "shared/base/result.h"

namespace sprockets {

/// What became of an entry that may now be acknowledged.
enum class EntryOutcome {
  kArchived,
  kKnown,     // the log had it
  kDead,      // PostgreSQL does not take it: it is in dead_letters
  kConflict,  // the log has its id with another payload: it is in dead_letters
};

struct Written {
  std::vector<EntryOutcome> outcomes;  // one for each entry of the batch
  uint64_t archived = 0;
  uint64_t known = 0;       // dead letters that are delivered again among them
  uint64_t dead = 0;        // that were no dead letters before, conflicts among them
  uint64_t dead_parts = 0;  // dead letters that handlers wrote themselves, about entries that are in the log
  bool has_scores = false;  // the outbox may have got something
};

/// Why PostgreSQL does not take an entry.
struct EntryFailure {
  Error error;
  std::string handler;  // its file; empty: the log itself
};

class BatchWriter {
 public:
  BatchWriter(PostgresTarget target, std::vector<ArchiveHandler> handlers)
      : target_(std::move(target)), declared_(std::move(handlers)) {}

  /// If there is no connection: makes one, looks whether the archive's tables are there, and asks PostgreSQL what the
  /// handlers return. kUnreachable after `patience_ms`; kRefused where `migrate` has to be run first.
  Status Connect(int64_t patience_ms);
  void Disconnect() { postgres_.reset(); }
  bool has_score_handlers() const;
  /// How many were made.
  uint64_t connections() const { return connections_; }

  /// The handlers of a stream that want fields to be JSON. They live as long as this.
  std::vector<const ArchiveHandler*> JsonHandlersOf(std::string_view stream) const;

  /// Archives a batch in one transaction; again after an error, also one of the COMMIT itself, of which nobody knows
  /// whether it happened: then everything is known. FaultOf says what an error means: never an entry's fault. Needs a
  /// connection.
  Result<Written> Write(EntryBatch& batch);

  /// How many of the first entries of a batch are in the log under their id or their event id, with this payload, or
  /// are dead letters. Needs a connection.
  Result<size_t> CountArchived(const EntryBatch& batch);

  /// What else is done in the transaction of each batch, for whoever offers dead letters again.
  using AlsoDo = std::function<Status(Postgres&, std::span<const EntryOutcome>, std::span<const EntryFailure>)>;
  void set_also_do(AlsoDo also_do) { also_do_ = std::move(also_do); }

 private:
  struct Handler {
    ArchiveHandler declared;
    std::string sql;           // as it is run
    std::optional<Error> why;  // it cannot be run
  };
  struct Failure {
    Error error;
    const Handler* handler = nullptr;  // none: the log itself

    EntryFailure ForEntry() const { return {error, handler == nullptr ? "" : handler->declared.name}; }
    Error ForStream() const;
  };
  /// What is known of a batch while it is being written.
  struct Work;

  Status RequireTables();
  Status Prepare();
  Status PrepareScores(Handler& handler);
  Status WriteInTransaction(EntryBatch& batch, Written* written);
  Status ArchiveNew(Work& work);
  Status Bisect(Work& work, const std::vector<size_t>& entries, const Failure& failure);
  std::optional<Failure> Try(Work& work, std::span<const size_t> entries);
  Status Copy(Work& work, std::span<const size_t> entries);
  Status RunHandler(const Handler& handler);
  Result<std::vector<KnownEntry>> AskKnown(const EntryBatch& batch);
  Status KeepRepeats(const Work& work);
  Status KeepDead(Work& work);
  Status CountDeadParts(Work& work);
  std::vector<const Handler*> HandlersOf(std::string_view stream) const;

  const PostgresTarget target_;
  const std::vector<ArchiveHandler> declared_;
  AlsoDo also_do_;  // may be none
  std::optional<Postgres> postgres_;
  uint64_t connections_ = 0;
  std::vector<Handler> handlers_;  // whose tables are there
  // The last batch had entries that the log knew: then it is asked first, since it is likely again.
  bool expects_known_ = false;
};

}  // namespace sprockets
