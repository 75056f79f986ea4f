#include "replayer/postgres/postgres.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <poll.h>
#include <random>
#include <utility>

#include <libpq-fe.h>

#include "replayer/terminal/stop.h"
#include "shared/base/backoff.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int kPollMs = 200;  // how soon a request to stop is noticed
constexpr std::string_view kCopySignature{"PGCOPY\n\377\r\n\0", 11};
constexpr size_t kCopyHeaderBytes = 11 + 4 + 4;

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ResultDeleter>;

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

uint32_t BigEndian32(std::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
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

void Cancel(PGconn* connection) {
  PGcancel* cancel = PQgetCancel(connection);
  if (cancel == nullptr) return;
  char why[256];
  PQcancel(cancel, why, sizeof why);
  PQfreeCancel(cancel);
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

/// Until something has come from the server, but not for long.
void AwaitInput(PGconn* connection, int64_t at_most_ms = kPollMs) {
  pollfd poll_fd{.fd = PQsocket(connection), .events = POLLIN, .revents = 0};
  poll(&poll_fd, 1, static_cast<int>(std::min<int64_t>(at_most_ms, kPollMs)));
}

}  // namespace

int64_t PgInt8(std::string_view bytes) {
  return static_cast<int64_t>(uint64_t{BigEndian32(bytes)} << 32 | BigEndian32(bytes.substr(4)));
}

double PgFloat8(std::string_view bytes) {
  return std::bit_cast<double>(PgInt8(bytes));
}

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
  if (const std::string position = field(PG_DIAG_STATEMENT_POSITION); !position.empty() && !sql.empty()) {
    const auto characters = static_cast<size_t>(std::strtoul(position.c_str(), nullptr, 10));
    const auto before = sql.substr(0, std::min(characters, sql.size()));  // characters for bytes: a line is all we want
    message = "line " + std::to_string(1 + std::count(before.begin(), before.end(), '\n')) + ": " + message;
  }
  // By code: a statement that was cancelled or timed out, resources, a conflict with somebody else, a lock. These pass.
  const std::string state = field(PG_DIAG_SQLSTATE);
  const bool may_pass =
      state.starts_with("57") || state.starts_with("53") || state.starts_with("40") || state == "55P03";
  return {may_pass ? ErrorCode::kBusy : ErrorCode::kRefused, std::move(message)};
}

/// Until more of an answer is there, or a while has passed.
Status Postgres::AwaitMore(std::string_view sql) {
  AwaitInput(connection_.get());
  if (work_) work_();
  if (StopRequested() || (stop_ && stop_())) {
    // The cancelled answer is not waited for: a pooler without a free session would not give one.
    Cancel(connection_.get());
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

Result<std::vector<std::vector<Postgres::Value>>> Postgres::Query(const std::string& sql,
                                                                  std::span<const std::string> parameters) {
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  RETURN_IF_ERROR(AwaitAnswer(PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                                                nullptr, values.data(), nullptr, nullptr, 0),
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

namespace {

/// Takes the binary format apart, however its bytes are cut into messages. Throws nothing: false is "not the format".
class CopyReader {
 public:
  explicit CopyReader(const std::function<Status(std::span<const Postgres::ValueView>)>& visitor) : visitor_(visitor) {}

  Status Take(std::string_view bytes) {
    if (buffer_.empty()) {
      ASSIGN_OR_RETURN(const size_t used, Read(bytes));
      buffer_ = bytes.substr(used);
      return {};
    }
    buffer_.append(bytes);
    ASSIGN_OR_RETURN(const size_t used, Read(buffer_));
    buffer_.erase(0, used);
    return {};
  }
  bool at_end() const { return at_end_; }

 private:
  Result<size_t> Read(std::string_view bytes) {
    size_t used = 0;
    if (!header_read_) {
      if (bytes.size() < kCopyHeaderBytes) return used;
      if (!bytes.starts_with(kCopySignature)) return Error{ErrorCode::kRefused, "PostgreSQL sent no binary COPY"};
      used = kCopyHeaderBytes + BigEndian32(bytes.substr(15));
      header_read_ = true;
    }
    while (!at_end_) {
      const std::optional<size_t> row = ReadRow(bytes.substr(std::min(used, bytes.size())));
      if (!row) break;
      used += *row;
      if (at_end_) break;
      RETURN_IF_ERROR(visitor_(values_));
    }
    return std::min(used, bytes.size());
  }

  /// Bytes of the row at the beginning; none: not all of it is there.
  std::optional<size_t> ReadRow(std::string_view bytes) {
    if (bytes.size() < 2) return std::nullopt;
    const auto count = static_cast<int16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
    size_t at = 2;
    at_end_ = count < 0;
    values_.clear();
    for (int i = 0; i < count; ++i) {
      if (bytes.size() - at < 4) return std::nullopt;
      const auto size = static_cast<int32_t>(BigEndian32(bytes.substr(at)));
      at += 4;
      if (size < 0) {
        values_.emplace_back();
        continue;
      }
      if (bytes.size() - at < static_cast<size_t>(size)) return std::nullopt;
      values_.emplace_back(bytes.substr(at, static_cast<size_t>(size)));
      at += static_cast<size_t>(size);
    }
    return at;
  }

  const std::function<Status(std::span<const Postgres::ValueView>)>& visitor_;
  std::string buffer_;  // of a row that has not arrived whole
  std::vector<Postgres::ValueView> values_;
  bool header_read_ = false;
  bool at_end_ = false;
};

/// Ends what the server is still sending, so that the connection can be used again.
void CancelCopy(PGconn* connection) {
  Cancel(connection);
  // The COPY may not have begun when it is cancelled: each result that begins one is repeated until its data is read.
  char* rest = nullptr;
  do {
    while (PQgetCopyData(connection, &rest, 0) > 0) PQfreemem(rest);
  } while (PgResult(PQgetResult(connection)) != nullptr);
}

}  // namespace

Status Postgres::CopyOut(const std::string& query, const std::function<Status(std::span<const ValueView>)>& visitor) {
  // What ends the COPY, a visitor that has seen enough too, aborts the transaction.
  return InSavepoint([&] { return CopyRows(query, visitor); });
}

/// An error of `work` does not end an open transaction, nor give up its locks.
Status Postgres::InSavepoint(const std::function<Status()>& work) {
  if (!InTransaction()) return work();
  RETURN_IF_ERROR(Execute("SAVEPOINT before_work"));
  Status worked = work();
  Status released = Execute(worked.ok() ? "RELEASE before_work" : "ROLLBACK TO before_work; RELEASE before_work");
  return worked.ok() ? released : worked;
}

Status Postgres::CopyRows(const std::string& query, const std::function<Status(std::span<const ValueView>)>& visitor) {
  PGconn* connection = connection_.get();
  const std::string sql = "COPY (" + query + "\n) TO STDOUT (FORMAT binary)";
  RETURN_IF_ERROR(AwaitAnswer(PQsendQuery(connection, sql.c_str()), sql));
  const PgResult begun(PQgetResult(connection));
  if (PQresultStatus(begun.get()) != PGRES_COPY_OUT) {
    Error failure = Failure(begun.get(), sql);
    while (PGresult* rest = PQgetResult(connection)) PQclear(rest);
    return failure;
  }
  CopyReader reader(visitor);
  while (true) {
    char* bytes = nullptr;
    const int size = PQgetCopyData(connection, &bytes, 1);
    if (size == 0) {
      RETURN_IF_ERROR(AwaitMore(sql));
      continue;
    }
    if (size < 0) break;
    const Status taken = reader.Take({bytes, static_cast<size_t>(size)});
    PQfreemem(bytes);
    if (!taken.ok()) {
      CancelCopy(connection);
      return taken;
    }
  }
  // Only the last result says that the rows were all of them.
  Status ended;
  while (true) {
    const PgResult result(PQgetResult(connection));
    if (!result) break;
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK && ended.ok()) ended = Failure(result.get(), sql);
  }
  if (ended.ok() && !reader.at_end())
    return Error{ErrorCode::kUnreachable, "PostgreSQL stopped in the middle of the rows"};
  return ended;
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
    AwaitInput(connection, left_ms);
  }
  return {};
}

}  // namespace sprockets
