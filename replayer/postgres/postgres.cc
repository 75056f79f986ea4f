#include "replayer/postgres/postgres.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <utility>

#include <libpq-fe.h>

#include "replayer/postgres/pq.h"
#include "replayer/terminal/stop.h"
#include "shared/base/backoff.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

std::string OneLine(const char* message) {
  std::string text(message == nullptr ? "" : message);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// The parameters of a URL; empty where libpq does not understand it.
std::map<std::string, std::string> ParametersOf(const std::string& url) {
  std::map<std::string, std::string> parameters;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), nullptr);
  if (options == nullptr) return parameters;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) parameters[option->keyword] = option->val;
  }
  PQconninfoFree(options);
  return parameters;
}

/// A server that sleeps, restarts or cannot be reached may be there in a moment; one that says no will say it again.
bool IsWorthAnotherTry(std::string_view message) {
  // libpq tells a refused login by its words alone. The last three are pgbouncer's.
  for (const std::string_view final :
       {"authentication failed", "does not exist", "no pg_hba.conf entry", "server does not support SSL",
        "certificate verify failed", "server certificate for", "certificate file", "no password supplied",
        "permission denied for database", "no such database", "no such user", "unsupported startup parameter"}) {
    if (message.find(final) != std::string_view::npos) return false;
  }
  // Everything else may pass, a connection among it that broke while it spoke TLS.
  return true;
}

/// Neon's hosts, its poolers too.
bool IsOfNeon(std::string_view host) {
  return host.ends_with(".neon.tech");
}

/// The last result of a command, as PQexec returns it: of a COPY the one that begins it.
PgResult LastResult(PGconn* connection) {
  PgResult last;
  while (PgResult next{PQgetResult(connection)}) {
    last = std::move(next);
    const ExecStatusType status = PQresultStatus(last.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) break;
  }
  return last;
}

}  // namespace

std::string PostgresUrl::ForLogs() const {
  const auto parameters = ParametersOf(text);
  const auto value_of = [&](const char* name) {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string() : found->second;
  };
  std::string shown = "postgres://" + value_of("host");
  if (!value_of("port").empty()) shown += ":" + value_of("port");
  return shown + "/" + value_of("dbname");
}

Result<PostgresUrl> ParsePostgresUrl(std::string_view text) {
  if (!text.starts_with("postgres://") && !text.starts_with("postgresql://")) {
    return Error{ErrorCode::kUsage, "write postgres://[user[:password]@]host[:port]/database"};
  }
  // libpq would take a part of the password for the host or the database, and say so in its errors.
  const std::string_view behind_scheme = text.substr(text.find("://") + 3);
  const size_t first_at = behind_scheme.find('@');
  const bool in_its_place = first_at == std::string_view::npos || first_at < behind_scheme.find_first_of("/?");
  if (!in_its_place || first_at != behind_scheme.rfind('@'))
    return Error{ErrorCode::kUsage,
                 "special characters in the user's name and the password are written %XX: @ %40, "
                 "/ %2F, ? %3F, : %3A"};
  PostgresUrl url{std::string(text), ""};
  if (ParametersOf(url.text).empty())
    return Error{ErrorCode::kUsage, "libpq cannot read it; special characters in its parts are written %XX"};
  return url;
}

void Postgres::Closer::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

Result<Postgres> Postgres::Connect(const PostgresUrl& url, int64_t patience_ms) {
  auto parameters = ParametersOf(url.text);
  if (!url.password.empty()) parameters["password"] = url.password;
  // A peer that has vanished is noticed, also while a query computes; a server that demands TLS gets it.
  parameters.try_emplace("connect_timeout", "10");
  parameters.try_emplace("keepalives_idle", "15");
  parameters.try_emplace("keepalives_interval", "5");
  parameters.try_emplace("keepalives_count", "3");
  parameters.try_emplace("tcp_user_timeout", "30000");
  parameters.try_emplace("application_name", "sprockets-replayer");
  parameters["client_encoding"] = "UTF8";
  if (IsOfNeon(parameters["host"])) parameters.try_emplace("sslmode", "require");
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);

  Backoff backoff(200, 4'000);
  std::minstd_rand random(std::random_device{}());
  const int64_t begun_ms = SteadyClockMs();
  while (true) {
    Postgres postgres(PQconnectdbParams(names.data(), values.data(), 0));
    if (PQstatus(postgres.connection_.get()) == CONNECTION_OK) {
      PQsetNoticeProcessor(
          postgres.connection_.get(), [](void*, const char*) {}, nullptr);  // errors come with results
      return postgres;
    }
    const std::string why = OneLine(PQerrorMessage(postgres.connection_.get()));
    const bool again = IsWorthAnotherTry(why);
    const int64_t left_ms = begun_ms + patience_ms - SteadyClockMs();
    if (!again || left_ms <= 0) {
      std::string message = "connecting to " + url.ForLogs() + ": " + why;
      if (why.find("SSL") != std::string::npos)
        message += " (TLS is chosen by ?sslmode=require or =disable in the URL)";
      return Error{again ? ErrorCode::kUnreachable : ErrorCode::kRefused, std::move(message)};
    }
    LogWarning("postgres-not-ready", {{"server", url.ForLogs()}, {"why", why}, {"next", "tried again"}});
    if (!SleepUnlessStopped(std::min(left_ms, backoff.NextMs(random()))))
      return Error{ErrorCode::kRefused, "stopped while waiting for PostgreSQL"};
  }
}

/// PostgreSQL's words, and the line of `sql` that they are about.
Error Postgres::Failure(void* raw, std::string_view sql) const {
  const auto* result = static_cast<const PGresult*>(raw);
  if (PQstatus(connection_.get()) == CONNECTION_BAD) {
    return {ErrorCode::kUnreachable, "PostgreSQL is gone: " + OneLine(PQerrorMessage(connection_.get()))};
  }
  const auto field = [&](int code) {
    const char* text = result == nullptr ? nullptr : PQresultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  std::string message = field(PG_DIAG_MESSAGE_PRIMARY);
  if (message.empty()) message = OneLine(PQerrorMessage(connection_.get()));
  for (const int code : {PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT}) {
    if (!field(code).empty()) message += " (" + field(code) + ")";
  }
  // Of a statement that a function runs, PostgreSQL names another place, and the statement, which is the caller's then.
  std::string position = field(PG_DIAG_STATEMENT_POSITION);
  const std::string inner = field(PG_DIAG_INTERNAL_QUERY);
  if (position.empty() && !inner.empty()) {
    position = field(PG_DIAG_INTERNAL_POSITION);
    sql = inner;
  }
  if (!position.empty() && !sql.empty()) {
    const auto characters = static_cast<size_t>(std::strtoul(position.c_str(), nullptr, 10));
    const auto before = sql.substr(0, std::min(characters, sql.size()));  // characters for bytes: a line is all we want
    message = "line " + std::to_string(1 + std::count(before.begin(), before.end(), '\n')) + ": " + message;
  }
  // By code: a statement that was cancelled or timed out, resources, a conflict with somebody else, a lock. These pass.
  const std::string state = field(PG_DIAG_SQLSTATE);
  const bool may_pass =
      state.starts_with("57") || state.starts_with("53") || state.starts_with("40") || state == "55P03";
  return {may_pass ? ErrorCode::kBusy : ErrorCode::kRefused, std::move(message), state};
}

/// Has somebody asked to stop, and was there time enough since to finish?
bool Postgres::IsStopped() {
  if (!StopRequested() && !(stop_ && stop_())) return false;
  if (finish_ms_ == 0) return true;
  if (!stop_heard_ms_) stop_heard_ms_ = SteadyClockMs();
  return SteadyClockMs() - *stop_heard_ms_ >= finish_ms_;
}

/// Until more of an answer is there (or room to write, if that is wanted), or a while has passed.
Status Postgres::AwaitMore(std::string_view sql, bool wants_to_write) {
  AwaitSocket(connection_.get(), wants_to_write);
  if (work_) work_();
  if (IsStopped()) {
    // The cancelled answer is not waited for: a pooler without a free session would not give one.
    CancelQuery(connection_.get());
    connection_.reset();
    return Error{ErrorCode::kRefused, "stopped"};
  }
  if (PQconsumeInput(connection_.get()) == 0) return Failure(nullptr, sql);
  return {};
}

/// To what a function of libpq has sent; `sent` is what it returned.
Status Postgres::AwaitAnswer(int sent, std::string_view sql) {
  if (sent == 0) return Failure(nullptr, sql);
  while (PQisBusy(connection_.get()) != 0) RETURN_IF_ERROR(AwaitMore(sql));
  return {};
}

Status Postgres::Execute(const std::string& sql) {
  RETURN_IF_ERROR(AwaitAnswer(PQsendQuery(connection_.get(), sql.c_str()), sql));
  const PgResult result = LastResult(connection_.get());
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) return {};
  return Failure(result.get(), sql);
}

Result<Postgres::Rows> Postgres::Query(const std::string& sql, std::span<const std::string> parameters) {
  std::vector<Parameter> values;
  for (const std::string& parameter : parameters) {
    if (parameter.find('\0') != std::string::npos)
      return Error{ErrorCode::kRefused,
                   "a value holds a NUL byte, which PostgreSQL's text cannot: " + Escape(parameter)};
    values.push_back({.bytes = parameter});
  }
  return Query(sql, values);
}

Result<Postgres::Rows> Postgres::Query(const std::string& sql, std::span<const Parameter> parameters) {
  std::vector<std::string> texts;  // libpq takes those up to their NUL
  texts.reserve(parameters.size());
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
  for (const Parameter& parameter : parameters) {
    const char* value = nullptr;
    if (parameter.bytes && parameter.is_binary) value = parameter.bytes->data();
    if (parameter.bytes && !parameter.is_binary) value = texts.emplace_back(*parameter.bytes).c_str();
    values.push_back(value);
    lengths.push_back(parameter.bytes ? static_cast<int>(parameter.bytes->size()) : 0);
    formats.push_back(parameter.is_binary ? 1 : 0);
  }
  RETURN_IF_ERROR(AwaitAnswer(PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                                                nullptr, values.data(), lengths.data(), formats.data(), 0),
                              sql));
  const PgResult result = LastResult(connection_.get());
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK && PQresultStatus(result.get()) != PGRES_COMMAND_OK)
    return Failure(result.get(), sql);
  std::vector<std::vector<Value>> rows(static_cast<size_t>(PQntuples(result.get())));
  for (size_t row = 0; row < rows.size(); ++row) {
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      const int at = static_cast<int>(row);
      Value value;
      if (PQgetisnull(result.get(), at, column) == 0) {
        value.emplace(PQgetvalue(result.get(), at, column), static_cast<size_t>(PQgetlength(result.get(), at, column)));
      }
      rows[row].push_back(std::move(value));
    }
  }
  return rows;
}

Result<std::vector<Postgres::Column>> Postgres::Describe(const std::string& query) {
  const std::string sql = "SELECT * FROM (" + query + "\n) AS described LIMIT 0";
  std::vector<Column> columns;
  const auto describe = [&]() -> Status {
    RETURN_IF_ERROR(AwaitAnswer(PQsendQuery(connection_.get(), sql.c_str()), sql));
    const PgResult result = LastResult(connection_.get());
    if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) return Failure(result.get(), sql);
    for (int i = 0; i < PQnfields(result.get()); ++i) {
      columns.push_back({PQfname(result.get(), i), PQftype(result.get(), i)});
    }
    return {};
  };
  RETURN_IF_ERROR(InSavepoint(describe));
  return columns;
}

Result<std::vector<Postgres::Column>> Postgres::DescribeStatement(const std::string& sql) {
  PGconn* connection = connection_.get();
  RETURN_IF_ERROR(AwaitAnswer(PQsendPrepare(connection, "", sql.c_str(), 0, nullptr), sql));
  if (const PgResult prepared = LastResult(connection); PQresultStatus(prepared.get()) != PGRES_COMMAND_OK)
    return Failure(prepared.get(), sql);
  RETURN_IF_ERROR(AwaitAnswer(PQsendDescribePrepared(connection, ""), sql));
  const PgResult described = LastResult(connection);
  if (PQresultStatus(described.get()) != PGRES_COMMAND_OK) return Failure(described.get(), sql);
  std::vector<Column> columns;
  for (int i = 0; i < PQnfields(described.get()); ++i)
    columns.push_back({PQfname(described.get(), i), PQftype(described.get(), i)});
  return columns;
}

/// An error of `work` does not end an open transaction, nor give up its locks.
Status Postgres::InSavepoint(const std::function<Status()>& work) {
  if (!InTransaction()) return work();
  RETURN_IF_ERROR(Execute("SAVEPOINT before_work"));
  Status worked = work();
  Status released = Execute(worked.ok() ? "RELEASE before_work" : "ROLLBACK TO before_work; RELEASE before_work");
  return worked.ok() ? released : worked;
}

// What a value looks like as text must not hang on what somebody has set for a role or a database. In the transaction,
// since a pooler gives each one to another session.
Status Postgres::BeginSnapshot() {
  return Execute(
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
      "SET LOCAL TimeZone TO 'UTC'; SET LOCAL DateStyle TO 'ISO, MDY'; SET LOCAL IntervalStyle TO 'postgres';"
      "SET LOCAL extra_float_digits TO 1; SET LOCAL bytea_output TO 'hex'");
}

Result<std::string> Postgres::ExportSnapshot() {
  ASSIGN_OR_RETURN(const auto exported, Query("SELECT pg_export_snapshot()"));
  return exported[0][0].value_or("");
}

Status Postgres::JoinSnapshot(const std::string& snapshot) {
  RETURN_IF_ERROR(BeginSnapshot());
  return Execute("SET TRANSACTION SNAPSHOT '" + snapshot + "'");
}

bool Postgres::InTransaction() const {
  return PQtransactionStatus(connection_.get()) == PQTRANS_INTRANS;
}

void Postgres::Rollback() {
  if (PQtransactionStatus(connection_.get()) == PQTRANS_IDLE) return;
  static_cast<void>(Execute("ROLLBACK"));
}

/// Behind a pooler, the process that answers is not the one that let us in. Behind Neon's proxy it never is, but there
/// the host's name says whether it pools.
Result<bool> Postgres::KeepsItsSession() {
  const std::string_view host = PQhost(connection_.get());
  if (IsOfNeon(host)) return host.find("-pooler.") == std::string_view::npos;
  ASSIGN_OR_RETURN(const auto rows, Query("SELECT pg_backend_pid()"));
  return rows[0][0] == std::to_string(PQbackendPID(connection_.get()));
}

Status Postgres::Listen(const std::string& channel) {
  ASSIGN_OR_RETURN(const bool keeps_its_session, KeepsItsSession());
  if (!keeps_its_session)
    return Error{ErrorCode::kRefused, "a pooler is between, which gives each transaction another session"};
  const std::unique_ptr<char, decltype(&PQfreemem)> name(
      PQescapeIdentifier(connection_.get(), channel.data(), channel.size()), PQfreemem);
  if (!name) return Failure(nullptr, "");
  return Execute(std::string("LISTEN ") + name.get());
}

Status Postgres::AwaitNotification(int64_t ms) {
  PGconn* connection = connection_.get();
  const int64_t until_ms = SteadyClockMs() + ms;
  while (!StopRequested()) {
    if (PQconsumeInput(connection) == 0) return Failure(nullptr, "");
    bool notified = false;
    while (PGnotify* notification = PQnotifies(connection)) {
      PQfreemem(notification);
      notified = true;
    }
    const int64_t left_ms = until_ms - SteadyClockMs();
    if (notified || left_ms <= 0) return {};
    AwaitSocket(connection, /*wants_to_write=*/false, left_ms);
  }
  return {};
}

}  // namespace sprockets
