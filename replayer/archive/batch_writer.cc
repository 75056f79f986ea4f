#include "replayer/archive/batch_writer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "replayer/archive/bisection.h"
#include "replayer/archive/own_migrations.h"
#include "replayer/archive/sql_state.h"
#include "replayer/postgres/binary.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kFinishMs = 10'000;  // for a batch at work, after a request to stop
constexpr int kMostAsks = 5;           // so often others may archive the same entries meanwhile
constexpr int kMostDeadTold = 5;       // of a batch, each in a line
constexpr std::string_view kUniqueViolation = "23505";

// READ COMMITTED, so that what others commit while we wait for them is seen. Handlers get one way to write times, and
// our schema behind whatever search_path there is. Entries are acknowledged after the COMMIT, so it has to be on a
// disk. To compile a handler for each batch anew costs more than it saves.
constexpr const char* kBegin =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL TimeZone TO 'UTC'; SET LOCAL DateStyle TO 'ISO, MDY'; "
    "SET LOCAL IntervalStyle TO 'postgres'; SET LOCAL jit TO off";
constexpr const char* kSettings =
    "SELECT set_config('search_path', CASE WHEN current_setting('search_path') = '' THEN 'sprockets' ELSE "
    "current_setting('search_path') || ', sprockets' END, true), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE "
    "current_setting('synchronous_commit') END, true), nextval('sprockets.log_blocks'), (SELECT coalesce(max(number), "
    "0) FROM "
    "sprockets.dead_letters)";

PayloadHash HashOfHex(std::string_view hex) {
  PayloadHash hash{};
  for (size_t i = 0; i < hash.size() && 2 * i + 2 <= hex.size(); ++i)
    hash[i] = HexByte(hex.substr(2 * i, 2)).value_or('\0');
  return hash;
}

std::string WordOf(EntryOutcome outcome) {
  return outcome == EntryOutcome::kConflict ? "conflict" : "dead-letter";
}

}  // namespace

struct BatchWriter::Work {
  EntryBatch& batch;
  Written& written;
  std::vector<const Handler*> handlers;
  int64_t block = 0;
  std::vector<EntryFailure> failures;  // of entries that are put aside; none of the others
  std::set<size_t> repeats = {};       // entries whose event has another id in the log
  std::string last_letter = {};        // the highest number of a dead letter before the handlers ran

  int64_t PositionOf(size_t entry) const {
    return block * static_cast<int64_t>(kMostBatchEntries) + static_cast<int64_t>(entry);
  }
  void PutAside(size_t entry, EntryOutcome outcome, EntryFailure failure) {
    written.outcomes[entry] = outcome;
    failures[entry] = std::move(failure);
  }
};

Error BatchWriter::Failure::ForStream() const {
  Error what = error;
  return handler == nullptr ? std::move(what).Prefixed("sprockets.log")
                            : std::move(what).Prefixed(handler->declared.file.native());
}

Status BatchWriter::Connect(int64_t patience_ms) {
  if (postgres_) return {};
  ASSIGN_OR_RETURN(Postgres postgres, Postgres::Connect(target_.url, patience_ms));
  postgres_.emplace(std::move(postgres));
  postgres_->FinishFirst(kFinishMs);
  Status ready = RequireTables();
  if (ready.ok()) ready = Prepare();
  if (!ready.ok()) Disconnect();
  connections_ += ready.ok() ? 1 : 0;
  return ready;
}

Status BatchWriter::RequireTables() {
  ASSIGN_OR_RETURN(const Postgres::Rows rows,
                   postgres_->Query("SELECT current_setting('server_encoding'), "
                                    "pg_catalog.to_regclass('sprockets.migrations') IS NOT NULL"));
  if (rows[0][0] != "UTF8")
    return Error{ErrorCode::kRefused, "the database's encoding is " + rows[0][0].value_or("") +
                                          ", which cannot hold every text: archive into one with UTF8"};
  std::string applied = "0";
  if (rows[0][1] == "t") {
    const std::vector<std::string> own{std::string(kOwnSetName)};
    ASSIGN_OR_RETURN(const Postgres::Rows count,
                     postgres_->Query("SELECT count(*) FROM sprockets.migrations WHERE set_name = $1", own));
    applied = count[0][0].value_or("0");
  }
  if (std::stoull(applied) >= OwnMigrations().size()) return {};
  return Error{ErrorCode::kRefused, "this database does not have the archive's tables yet: run migrate"};
}

Status BatchWriter::Prepare() {
  handlers_.clear();
  for (const ArchiveHandler& declared : declared_) {
    if (declared.if_table) {
      const std::vector<std::string> table{*declared.if_table};
      ASSIGN_OR_RETURN(const Postgres::Rows rows,
                       postgres_->Query("SELECT pg_catalog.to_regclass($1) IS NOT NULL", table));
      if (rows[0][0] != "t") {
        LogInfo("handler-passed-over", {{"file", declared.name}, {"no_table", *declared.if_table}});
        continue;
      }
    }
    Handler handler{declared, declared.sql, {}};
    if (declared.returns_scores) {
      const Status prepared = PrepareScores(handler);
      postgres_->Rollback();
      if (!prepared.ok() && FaultOf(prepared.error()) == SqlFault::kPasses) return prepared;
      if (!prepared.ok()) handler.why = prepared.error();
    }
    handlers_.push_back(std::move(handler));
  }
  return {};
}

/// A statement that changes data may not stand in another one, so a function runs it; and it has to be told which
/// columns of which types come back.
Status BatchWriter::PrepareScores(Handler& handler) {
  RETURN_IF_ERROR(postgres_->Execute(kBegin));
  ASSIGN_OR_RETURN(const Postgres::Rows settings, postgres_->Query(kSettings));
  static_cast<void>(settings);
  ASSIGN_OR_RETURN(const auto columns, postgres_->DescribeStatement(handler.declared.sql));
  std::string types;
  std::vector<std::string> names;
  for (const Postgres::Column& column : columns) {
    const std::vector<std::string> oid{std::to_string(column.type)};
    ASSIGN_OR_RETURN(const Postgres::Rows type, postgres_->Query("SELECT format_type($1::oid, NULL)", oid));
    types.append(types.empty() ? "" : ", ").append(QuoteIdentifier(column.name)).append(" ");
    types.append(type[0][0].value_or("text"));
    names.push_back(column.name);
  }
  const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  const bool has_expiry = has("expire_at");
  if (!has("key") || !has("member") || !has("score") || names.size() != (has_expiry ? 4U : 3U))
    return Error{ErrorCode::kRefused,
                 "-- returns: scores: the statement has to return key, member, score and, if the "
                 "key expires, expire_at"};
  handler.sql =
      "INSERT INTO sprockets.outbox (key, member, score, expire_at, version) "
      "SELECT key, member, score, expire_at, nextval('sprockets.outbox_versions') FROM (SELECT key::text COLLATE \"C\" "
      "AS key, member::text COLLATE \"C\" AS member, score::float8 AS score, " +
      std::string(has_expiry ? "expire_at::timestamptz" : "NULL::timestamptz") +
      " AS expire_at FROM sprockets.rows_of($1) AS returned (" + types +
      ") ORDER BY 1, 2) AS scores "
      "ON CONFLICT (key, member) DO UPDATE SET score = EXCLUDED.score, expire_at = EXCLUDED.expire_at, "
      "version = EXCLUDED.version";
  return {};
}

bool BatchWriter::has_score_handlers() const {
  return std::any_of(declared_.begin(), declared_.end(),
                     [](const ArchiveHandler& each) { return each.returns_scores; });
}

std::vector<const ArchiveHandler*> BatchWriter::JsonHandlersOf(std::string_view stream) const {
  std::vector<const ArchiveHandler*> handlers;
  for (const ArchiveHandler& handler : declared_) {
    if (!handler.json_fields.empty() && GlobMatch(handler.streams, stream)) handlers.push_back(&handler);
  }
  return handlers;
}

std::vector<const BatchWriter::Handler*> BatchWriter::HandlersOf(std::string_view stream) const {
  std::vector<const Handler*> handlers;
  for (const Handler& handler : handlers_) {
    if (GlobMatch(handler.declared.streams, stream)) handlers.push_back(&handler);
  }
  return handlers;
}

Result<Written> BatchWriter::Write(EntryBatch& batch) {
  SPROCKETS_ASSERT(postgres_ && batch.entries.size() <= kMostBatchEntries);
  Written written;
  if (batch.entries.empty()) return written;
  const Status status = WriteInTransaction(batch, &written);
  if (status.ok()) return written;
  if (status.error().code == ErrorCode::kUnreachable) {
    Disconnect();
  } else {
    postgres_->Rollback();
  }
  return status.error();
}

Status BatchWriter::WriteInTransaction(EntryBatch& batch, Written* written) {
  written->outcomes.assign(batch.entries.size(), EntryOutcome::kArchived);
  Work work{batch, *written, HandlersOf(batch.stream), 0, {}};
  work.failures.resize(batch.entries.size(), {Error{ErrorCode::kRefused, ""}, ""});
  for (const Handler* handler : work.handlers) {
    if (handler->why) return Failure{*handler->why, handler}.ForStream();
  }
  RETURN_IF_ERROR(postgres_->Execute(kBegin));
  ASSIGN_OR_RETURN(const Postgres::Rows settings, postgres_->Query(kSettings));
  work.block = std::stoll(settings[0][2].value_or("0"));
  work.last_letter = settings[0][3].value_or("0");
  RETURN_IF_ERROR(ArchiveNew(work));
  if (!work.handlers.empty()) RETURN_IF_ERROR(CountDeadParts(work));
  RETURN_IF_ERROR(KeepRepeats(work));
  RETURN_IF_ERROR(KeepDead(work));
  if (also_do_) RETURN_IF_ERROR(also_do_(*postgres_, written->outcomes, work.failures));
  RETURN_IF_ERROR(postgres_->Commit());
  for (const EntryOutcome outcome : written->outcomes) {
    written->archived += outcome == EntryOutcome::kArchived ? 1 : 0;
    written->known += outcome == EntryOutcome::kKnown ? 1 : 0;
  }
  return {};
}

/// First as if every entry were new, which is nearly always so. Only when the log says that one is not, it is asked
/// which ones these are.
Status BatchWriter::ArchiveNew(Work& work) {
  const std::vector<ArchiveEntry>& entries = work.batch.entries;
  const auto is_broken = [](const ArchiveEntry& entry) { return entry.broken.has_value(); };
  bool ask = expects_known_ || std::any_of(entries.begin(), entries.end(), is_broken);
  for (int asked = 0; asked < kMostAsks; ++asked) {
    std::vector<Fate> fates(entries.size(), Fate::kNew);
    if (ask) {
      ASSIGN_OR_RETURN(const std::vector<KnownEntry> known, AskKnown(work.batch));
      fates = SortOut(entries, known);
    }
    std::vector<size_t> fresh;
    work.repeats.clear();
    for (size_t i = 0; i < entries.size(); ++i) {
      if (fates[i] == Fate::kKnown || fates[i] == Fate::kRepeat) {
        work.written.outcomes[i] = EntryOutcome::kKnown;
        if (fates[i] == Fate::kRepeat) work.repeats.insert(i);
      } else if (fates[i] == Fate::kConflict) {
        Error why{ErrorCode::kRefused, "the log has its id or its event id with another payload",
                  std::string(kUniqueViolation)};
        work.PutAside(i, EntryOutcome::kConflict, {std::move(why), ""});
      } else if (entries[i].broken) {
        work.PutAside(i, EntryOutcome::kDead,
                      {Error{ErrorCode::kRefused, entries[i].broken->why}, entries[i].broken->handler});
      } else {
        fresh.push_back(i);
      }
    }
    expects_known_ = ask && fresh.size() < entries.size();
    const std::optional<Failure> failure = Try(work, fresh);
    if (!failure) return {};
    const bool some_known = failure->handler == nullptr && failure->error.sqlstate == kUniqueViolation;
    if (!some_known && FaultOf(failure->error) == SqlFault::kEntry) return Bisect(work, fresh, *failure);
    if (!some_known) return failure->ForStream();
    ask = true;
  }
  return Error{ErrorCode::kBusy, "others archive the same entries at the same time"};
}

/// After `failure`, which is the fault of one of `entries`, or of several.
Status BatchWriter::Bisect(Work& work, const std::vector<size_t>& entries, const Failure& failure) {
  if (entries.size() == 1) work.PutAside(entries[0], EntryOutcome::kDead, failure.ForEntry());
  Bisection bisection(entries.size(), /*has_failed=*/true);
  while (const std::optional<Bisection::Range> range = bisection.Next()) {
    const std::span<const size_t> part(entries.data() + range->begin, range->end - range->begin);
    const std::optional<Failure> failed = Try(work, part);
    if (failed && FaultOf(failed->error) != SqlFault::kEntry) return failed->ForStream();
    if (failed && failed->handler == nullptr && failed->error.sqlstate == kUniqueViolation)
      return Error{ErrorCode::kBusy, "others archive the same entries at the same time"};
    if (failed && part.size() == 1) work.PutAside(part[0], EntryOutcome::kDead, failed->ForEntry());
    bisection.Take(!failed);
  }
  return {};
}

/// All of it or nothing. None: it went through.
std::optional<BatchWriter::Failure> BatchWriter::Try(Work& work, std::span<const size_t> entries) {
  if (entries.empty()) return {};
  if (Status begun = postgres_->Execute("SAVEPOINT part"); !begun.ok()) return Failure{begun.error()};
  const auto go_back = [&](Failure failure) {
    // Where even this fails, the connection is gone, and that is what counts.
    const Status back = postgres_->Execute("ROLLBACK TO part; RELEASE part");
    return back.ok() ? failure : Failure{back.error()};
  };
  if (const Status copied = Copy(work, entries); !copied.ok()) return go_back({copied.error()});
  if (!work.handlers.empty()) {
    const std::vector<std::string> bounds{std::to_string(work.PositionOf(entries.front())),
                                          std::to_string(work.PositionOf(entries.back()))};
    const auto set = postgres_->Query(
        "SELECT set_config('sprockets.batch_first', $1, true), set_config('sprockets.batch_last', $2, true)", bounds);
    if (!set.ok()) return go_back({set.error()});
  }
  for (const Handler* handler : work.handlers) {
    if (const Status run = RunHandler(*handler); !run.ok()) return go_back({run.error(), handler});
    work.written.has_scores |= handler->declared.returns_scores;
  }
  if (Status released = postgres_->Execute("RELEASE part"); !released.ok()) return Failure{released.error()};
  return {};
}

Status BatchWriter::Copy(Work& work, std::span<const size_t> entries) {
  for (const size_t i : entries) SetPosition(work.batch, work.batch.entries[i], work.PositionOf(i));
  size_t at = 0;
  // Neighbours go together.
  const auto next = [&]() -> std::string_view {
    if (at == entries.size()) return {};
    const size_t begin = work.batch.entries[entries[at]].row_begin;
    size_t end = begin;
    for (; at < entries.size() && work.batch.entries[entries[at]].row_begin == end; ++at)
      end = work.batch.entries[entries[at]].row_end;
    return std::string_view(work.batch.rows).substr(begin, end - begin);
  };
  return postgres_->CopyIn(kLogColumns, next);
}

Status BatchWriter::RunHandler(const Handler& handler) {
  // One statement: with parameters or without, this refuses more.
  std::vector<Postgres::Parameter> parameters;
  if (handler.declared.returns_scores) parameters.push_back({.bytes = handler.declared.sql});
  const Result<Postgres::Rows> run = postgres_->Query(handler.sql, parameters);
  if (!run.ok()) return run.error();
  if (postgres_->InTransaction()) return {};
  return Error{ErrorCode::kRefused, "it ends the transaction of its batch: take COMMIT or ROLLBACK out of it"};
}

Result<std::vector<KnownEntry>> BatchWriter::AskKnown(const EntryBatch& batch) {
  std::vector<std::string> texts;
  texts.reserve(batch.entries.size());
  std::vector<std::string_view> event_ids;
  for (const ArchiveEntry& entry : batch.entries) {
    texts.push_back(ToString(entry.id));
    if (entry.event_id) event_ids.push_back(*entry.event_id);
  }
  const std::vector<std::string_view> ids(texts.begin(), texts.end());
  const std::string id_array = PgTextArray(ids);
  const std::string event_id_array = PgTextArray(event_ids);
  const std::vector<Postgres::Parameter> parameters{
      {.bytes = batch.stream}, {.bytes = id_array, .is_binary = true}, {.bytes = event_id_array, .is_binary = true}};
  ASSIGN_OR_RETURN(
      const Postgres::Rows rows,
      postgres_->Query("SELECT id, event_id, encode(payload_hash, 'hex') FROM sprockets.log WHERE stream = $1 AND id = "
                       "ANY ($2::text[]) UNION SELECT id, event_id, encode(payload_hash, 'hex') FROM sprockets.log "
                       "WHERE stream = $1 AND event_id = ANY ($3::text[]) UNION SELECT id, event_id, "
                       "encode(payload_hash, 'hex') FROM sprockets.repeats WHERE stream = $1 AND id = ANY ($2::text[])",
                       parameters));
  std::vector<KnownEntry> known;
  for (const auto& row : rows) {
    const std::optional<StreamId> id = ParseStreamId(row[0].value_or(""));
    if (id) known.push_back({*id, row[1], HashOfHex(row[2].value_or(""))});
  }
  return known;
}

Result<size_t> BatchWriter::CountArchived(const EntryBatch& batch) {
  SPROCKETS_ASSERT(postgres_);
  const auto lost = [this](Error error) {
    if (error.code == ErrorCode::kUnreachable) Disconnect();
    return error;
  };
  Result<std::vector<KnownEntry>> known = AskKnown(batch);
  if (!known.ok()) return lost(known.error());
  const std::vector<Fate> fates = SortOut(batch.entries, known.value());
  size_t archived = 0;
  for (; archived < fates.size(); ++archived) {
    if (fates[archived] == Fate::kKnown) continue;
    const ArchiveEntry& entry = batch.entries[archived];
    const std::string id = ToString(entry.id);
    const std::vector<Postgres::Parameter> key{
        {.bytes = batch.stream},
        {.bytes = id},
        {.bytes = std::string_view(entry.hash.data(), entry.hash.size()), .is_binary = true}};
    const auto dead = postgres_->Query(
        "SELECT FROM sprockets.dead_letters WHERE stream = $1 AND id = $2 AND payload_hash = $3::bytea", key);
    if (!dead.ok()) return lost(dead.error());
    if (dead.value().empty()) break;
  }
  return archived;
}

Status BatchWriter::KeepRepeats(const Work& work) {
  for (const size_t i : work.repeats) {
    const ArchiveEntry& entry = work.batch.entries[i];
    const std::string id = ToString(entry.id);
    const std::vector<Postgres::Parameter> row{
        {.bytes = work.batch.stream},
        {.bytes = id},
        {.bytes = *entry.event_id},
        {.bytes = work.batch.Raw(entry), .is_binary = true},
        {.bytes = std::string_view(entry.hash.data(), entry.hash.size()), .is_binary = true}};
    const auto kept = postgres_->Query(
        "INSERT INTO sprockets.repeats (stream, id, event_id, raw, payload_hash) VALUES ($1, $2, $3, $4::bytea[], "
        "$5::bytea) ON CONFLICT (stream, id) DO NOTHING",
        row);
    if (!kept.ok()) return kept.error();
  }
  return {};
}

/// A handler may take an entry and put a part of it aside. Nobody else can have written about these entries: they are
/// new to the log.
Status BatchWriter::CountDeadParts(Work& work) {
  const std::vector<std::string> parameters{work.last_letter, work.batch.stream};
  ASSIGN_OR_RETURN(const Postgres::Rows letters,
                   postgres_->Query("SELECT id, handler, sqlstate, error FROM sprockets.dead_letters WHERE number > "
                                    "$1::bigint AND stream = $2 AND payload_hash IS NULL ORDER BY number",
                                    parameters));
  if (letters.empty()) return {};
  std::set<std::string> ids;
  for (const ArchiveEntry& entry : work.batch.entries) ids.insert(ToString(entry.id));
  for (const auto& letter : letters) {
    if (!ids.contains(letter[0].value_or("")) || ++work.written.dead_parts > kMostDeadTold) continue;
    LogWarning("dead-part", {{"stream", work.batch.stream},
                             {"id", letter[0].value_or("")},
                             {"handler", letter[1].value_or("")},
                             {"sqlstate", letter[2].value_or("")},
                             {"why", letter[3].value_or("")}});
  }
  if (work.written.dead_parts > kMostDeadTold)
    LogWarning("dead-parts", {{"stream", work.batch.stream}, {"in_this_batch", work.written.dead_parts}});
  return {};
}

/// An entry that was put aside before, and was delivered again, is the same dead letter.
Status BatchWriter::KeepDead(Work& work) {
  for (size_t i = 0; i < work.batch.entries.size(); ++i) {
    const EntryOutcome outcome = work.written.outcomes[i];
    if (outcome != EntryOutcome::kDead && outcome != EntryOutcome::kConflict) continue;
    const ArchiveEntry& entry = work.batch.entries[i];
    const EntryFailure& failure = work.failures[i];
    const std::string id = ToString(entry.id);
    const auto text = [](const std::string& value) {
      return value.empty() ? Postgres::Parameter{} : Postgres::Parameter{.bytes = value};
    };
    const std::vector<Postgres::Parameter> row{
        {.bytes = work.batch.stream},
        {.bytes = id},
        entry.event_id ? Postgres::Parameter{.bytes = *entry.event_id} : Postgres::Parameter{},
        {.bytes = work.batch.Raw(entry), .is_binary = true},
        {.bytes = std::string_view(entry.hash.data(), entry.hash.size()), .is_binary = true},
        {.bytes = failure.error.message},
        text(failure.error.sqlstate),
        text(failure.handler)};
    ASSIGN_OR_RETURN(
        const Postgres::Rows kept,
        postgres_->Query("INSERT INTO sprockets.dead_letters (stream, id, event_id, raw, payload_hash, "
                         "error, sqlstate, handler) VALUES ($1, $2, $3, $4::bytea[], $5::bytea, $6, $7, $8) "
                         "ON CONFLICT (stream, id, payload_hash) DO NOTHING RETURNING number",
                         row));
    if (kept.empty()) {
      ++work.written.known;
      continue;
    }
    if (++work.written.dead > kMostDeadTold) continue;
    LogWarning(WordOf(outcome), {{"stream", work.batch.stream},
                                 {"id", id},
                                 {"handler", failure.handler},
                                 {"sqlstate", failure.error.sqlstate},
                                 {"why", failure.error.message},
                                 {"entry", DescribeRaw(work.batch.Raw(entry))}});
  }
  if (work.written.dead > kMostDeadTold)
    LogWarning("dead-letters", {{"stream", work.batch.stream}, {"in_this_batch", work.written.dead}});
  return {};
}

}  // namespace sprockets
