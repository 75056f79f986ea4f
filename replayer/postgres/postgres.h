// A connection to PostgreSQL: the only place that speaks libpq. Nothing of a session is relied on beyond the
// transaction that is open, so it works behind a transaction pooler; Listen alone does not, and says so. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/result.h"

struct pg_conn;

namespace sprockets {

/// postgres://[user[:password]@]host[:port]/database[?parameters], or the same with postgresql://.
struct PostgresUrl {
  std::string text;      // may hold a password
  std::string password;  // from elsewhere; empty: the URL's, PGPASSWORD or ~/.pgpass
  std::string ForLogs() const;
};

/// Which database a command speaks to, and how patient it is.
struct PostgresTarget {
  PostgresUrl url;
  int64_t wait_ms = 30'000;  // how long one that sleeps may take to wake up
};

/// The error is kUsage and repeats nothing of the text.
Result<PostgresUrl> ParsePostgresUrl(std::string_view text);

/// A request to stop is heard whatever holds an answer up, a lock, a full pool or a long query: it is kRefused, and
/// ends the connection.
class Postgres {
 public:
  using Value = std::optional<std::string>;  // none: NULL
  using ValueView = std::optional<std::string_view>;
  using Rows = std::vector<std::vector<Value>>;
  struct Parameter {
    ValueView bytes;         // none: NULL
    bool is_binary = false;  // as PostgreSQL's binary format has the value; may hold any byte. Else text without NUL
  };

  /// Tries again with a growing pause for `patience_ms` where nobody answers: a database that sleeps takes seconds to
  /// wake up. A login that is refused is kRefused at once, else kUnreachable.
  static Result<Postgres> Connect(const PostgresUrl& url, int64_t patience_ms);
  /// From here on `stop`, once it says true, is heard like a request to stop. It is asked while an answer is waited
  /// for.
  void StopWhen(std::function<bool()> stop) { stop_ = std::move(stop); }

  /// From here on `work` is done again and again, some times a second, while an answer is waited for.
  void WhileWaiting(std::function<void()> work) { work_ = std::move(work); }

  /// From here on a request to stop lets what is at work go on for up to so long: a COMMIT that is cut off may have
  /// happened or not. 0: it ends at once.
  void FinishFirst(int64_t ms) { finish_ms_ = ms; }

  /// One or more statements without parameters or rows. kRefused: PostgreSQL said no, and why and in which line;
  /// kBusy: it did, and may say something else later; kUnreachable: the connection is gone. An error that PostgreSQL
  /// itself gave carries its SQLSTATE.
  Status Execute(const std::string& sql);
  /// One statement with text parameters; all of its rows at once, so only for few.
  Result<Rows> Query(const std::string& sql, std::span<const std::string> parameters = {});
  /// The same with values that may be NULL or binary; the rows are text.
  Result<Rows> Query(const std::string& sql, std::span<const Parameter> parameters);

  struct Column {
    std::string name;
    uint32_t type = 0;  // OID of pg_type
  };
  /// What a query would return, without running it. An open transaction goes on, whatever the end was.
  Result<std::vector<Column>> Describe(const std::string& query);

  /// Runs COPY (query) TO STDOUT in binary and hands over each row as it comes, its values as PostgreSQL's binary
  /// format has them; never holds more than a row. The visitor's error ends it and is returned. An open transaction
  /// goes on, whatever the end was.
  Status CopyOut(const std::string& query, const std::function<Status(std::span<const ValueView>)>& visitor);

  /// What a statement would return, one that changes data, too, without running it; no column: it returns none. An
  /// error aborts an open transaction.
  Result<std::vector<Column>> DescribeStatement(const std::string& sql);

  /// COPY `target` FROM STDIN in binary: rows of the table and columns that `target` names, quoted where they have to
  /// be. Each piece is whole rows of binary.h's format, and sent before the next one is asked for; an empty piece ends
  /// them. An error aborts an open transaction.
  Status CopyIn(const std::string& target, const std::function<std::string_view()>& next_piece);

  /// BEGIN … COMMIT, where everything sees one state of the database. Rolls back unless committed.
  Status BeginSnapshot();
  /// The name by which others can see that state, too, as long as this transaction is open.
  Result<std::string> ExportSnapshot();
  /// BeginSnapshot of the state that `snapshot` names.
  Status JoinSnapshot(const std::string& snapshot);
  Status Commit() { return Execute("COMMIT"); }
  void Rollback();
  /// Between BEGIN and its end, and not broken by an error.
  bool InTransaction() const;

  /// From here on a notification on this channel ends AwaitNotification. Outside of transactions only. kRefused: not
  /// allowed, or the session is a pooler's and would go on listening for others.
  Status Listen(const std::string& channel);
  /// Until a notification has come, `ms` have passed or a stop is requested. kUnreachable: the connection is gone.
  Status AwaitNotification(int64_t ms);

 private:
  struct Closer {
    void operator()(pg_conn* connection) const;
  };
  explicit Postgres(pg_conn* connection) : connection_(connection) {}
  Error Failure(void* result, std::string_view sql) const;
  Status AwaitAnswer(int sent, std::string_view sql);
  Status AwaitMore(std::string_view sql, bool wants_to_write = false);
  bool IsStopped();
  Status Put(std::string_view bytes, std::string_view sql);
  Result<bool> KeepsItsSession();
  Status InSavepoint(const std::function<Status()>& work);
  Status CopyRows(const std::string& query, const std::function<Status(std::span<const ValueView>)>& visitor);

  std::unique_ptr<pg_conn, Closer> connection_;
  std::function<bool()> stop_;  // may be none
  std::function<void()> work_;  // may be none
  int64_t finish_ms_ = 0;       // how long a request to stop waits for what is at work
  std::optional<int64_t> stop_heard_ms_;
};

// OIDs that never change (PostgreSQL's pg_type.dat).
inline constexpr uint32_t kPgBytea = 17;
inline constexpr uint32_t kPgInt8 = 20;
inline constexpr uint32_t kPgInt2 = 21;
inline constexpr uint32_t kPgInt4 = 23;
inline constexpr uint32_t kPgFloat4 = 700;
inline constexpr uint32_t kPgFloat8 = 701;
inline constexpr uint32_t kPgByteaArray = 1001;
inline constexpr uint32_t kPgTimestamp = 1114;
inline constexpr uint32_t kPgTimestamptz = 1184;
inline constexpr uint32_t kPgNumeric = 1700;

}  // namespace sprockets
