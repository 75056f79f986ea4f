#include "tests/harness/pgbouncer.h"

#include <fstream>
#include <stdexcept>
#include <vector>

#include <libpq-fe.h>

#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

constexpr const char* kProgram = "/usr/sbin/pgbouncer";  // Debian keeps it out of a user's PATH
constexpr const char* kPort = "6432";                    // only names the socket

}  // namespace

PgBouncer::PgBouncer(const PostgresServer& postgres) {
  GiveToPostgres(folder_.path());
  // It opens its sessions before they are needed, and asks nobody for a password.
  std::ofstream(folder_ / "pgbouncer.ini") << "[databases]\n* = host=" << postgres.folder().string()
                                           << " user=postgres\n[pgbouncer]\npool_mode = transaction\n"
                                           << "default_pool_size = " << kSessions << "\nmin_pool_size = " << kSessions
                                           << "\nserver_round_robin = 1\nauth_type = any\nlisten_port = " << kPort
                                           << "\nunix_socket_dir = " << folder_.path().string() << "\n";
  std::vector<std::string> command = AsPostgres("KILL");
  command.insert(command.end(), {kProgram, folder_ / "pgbouncer.ini"});
  process_ = std::make_unique<Process>(
      Process::Options{.command = std::move(command), .output = folder_ / "pgbouncer", .environment = {}});
  const bool up = WaitUntil([this] { return !process_->Running() || PQping(Url("pgbouncer").c_str()) == PQPING_OK; });
  if (!up || !process_->Running()) throw std::runtime_error("pgbouncer did not start: " + process_->Stderr());
}

std::string PgBouncer::Url(const std::string& database) const {
  return "postgres://postgres@/" + database + "?host=" + folder_.path().string() + "&port=" + kPort;
}

}  // namespace sprockets::harness
