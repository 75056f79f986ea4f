// What the sources of this room share about libpq. Nobody else includes it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <poll.h>

#include <libpq-fe.h>

namespace sprockets {

inline constexpr int kPgPollMs = 200;  // how soon a request to stop is noticed

struct PgResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, PgResultDeleter>;

/// Asks the server to give up what it is at work on.
inline void CancelQuery(PGconn* connection) {
  PGcancel* cancel = PQgetCancel(connection);
  if (cancel == nullptr) return;
  char why[256];
  PQcancel(cancel, why, sizeof why);
  PQfreeCancel(cancel);
}

/// Until something has come from the server or, if that is wanted, there is room to write; but not for long.
inline void AwaitSocket(PGconn* connection, bool wants_to_write, int64_t at_most_ms = kPgPollMs) {
  const short wanted = wants_to_write ? POLLIN | POLLOUT : POLLIN;
  pollfd poll_fd{.fd = PQsocket(connection), .events = wanted, .revents = 0};
  poll(&poll_fd, 1, static_cast<int>(std::min<int64_t>(at_most_ms, kPgPollMs)));
}

}  // namespace sprockets
