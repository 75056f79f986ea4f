// COPY, out and in.
#include <string>
#include <utility>

#include <libpq-fe.h>

#include "replayer/postgres/binary.h"
#include "replayer/postgres/postgres.h"
#include "replayer/postgres/pq.h"

namespace sprockets {
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
      if (bytes.size() < kPgCopyHeaderBytes) return used;
      if (!bytes.starts_with(kPgCopySignature)) return Error{ErrorCode::kRefused, "PostgreSQL sent no binary COPY"};
      used = kPgCopyHeaderBytes + PgUint32(bytes.substr(15));
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
      const auto size = static_cast<int32_t>(PgUint32(bytes.substr(at)));
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
  CancelQuery(connection);
  // The COPY may not have begun when it is cancelled: each result that begins one is repeated until its data is read.
  char* rest = nullptr;
  do {
    while (PQgetCopyData(connection, &rest, 0) > 0) PQfreemem(rest);
  } while (PgResult(PQgetResult(connection)) != nullptr);
}

/// libpq may not have noticed yet that the connection is gone.
Error CannotSend(PGconn* connection) {
  return {ErrorCode::kUnreachable, std::string("PostgreSQL is gone: ") + PQerrorMessage(connection)};
}

}  // namespace

Status Postgres::CopyOut(const std::string& query, const std::function<Status(std::span<const ValueView>)>& visitor) {
  // What ends the COPY, a visitor that has seen enough too, aborts the transaction.
  return InSavepoint([&] { return CopyRows(query, visitor); });
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

/// Into libpq's buffer, and from there to the server: libpq would keep whatever the server does not take yet.
Status Postgres::Put(std::string_view bytes, std::string_view sql) {
  constexpr size_t kPieceBytes = 64 * 1024;
  PGconn* connection = connection_.get();
  for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    const std::string_view piece = bytes.substr(at, kPieceBytes);
    if (PQputCopyData(connection, piece.data(), static_cast<int>(piece.size())) != 1) return CannotSend(connection);
    while (true) {
      const int left = PQflush(connection);
      if (left < 0) return CannotSend(connection);
      if (left == 0) break;
      RETURN_IF_ERROR(AwaitMore(sql, /*wants_to_write=*/true));
    }
  }
  return {};
}

Status Postgres::CopyIn(const std::string& target, const std::function<std::string_view()>& next_piece) {
  PGconn* connection = connection_.get();
  const std::string sql = "COPY " + target + " FROM STDIN (FORMAT binary)";
  RETURN_IF_ERROR(AwaitAnswer(PQsendQuery(connection, sql.c_str()), sql));
  const PgResult begun(PQgetResult(connection));
  if (PQresultStatus(begun.get()) != PGRES_COPY_IN) {
    Error failure = Failure(begun.get(), sql);
    while (PGresult* rest = PQgetResult(connection)) PQclear(rest);
    return failure;
  }
  // Else libpq would wait for room to write where no request to stop is heard.
  PQsetnonblocking(connection, 1);
  const auto send = [&]() -> Status {
    std::string header(kPgCopySignature);
    AppendPgInt4(header, 0);  // flags
    AppendPgInt4(header, 0);  // no extension
    RETURN_IF_ERROR(Put(header, sql));
    for (std::string_view piece = next_piece(); !piece.empty(); piece = next_piece()) RETURN_IF_ERROR(Put(piece, sql));
    std::string trailer;
    AppendPgInt2(trailer, -1);
    RETURN_IF_ERROR(Put(trailer, sql));
    if (PQputCopyEnd(connection, nullptr) != 1) return CannotSend(connection);
    int left = 0;
    while ((left = PQflush(connection)) > 0) RETURN_IF_ERROR(AwaitMore(sql, /*wants_to_write=*/true));
    if (left < 0) return CannotSend(connection);
    return AwaitAnswer(1, sql);
  };
  const Status sent = send();
  if (connection_) PQsetnonblocking(connection, 0);
  RETURN_IF_ERROR(sent);
  // The server's error about a row comes here, too: what was sent behind that row it has passed over.
  Status ended;
  while (true) {
    const PgResult result(PQgetResult(connection));
    if (!result) break;
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK && ended.ok()) ended = Failure(result.get(), sql);
  }
  return ended;
}

}  // namespace sprockets
