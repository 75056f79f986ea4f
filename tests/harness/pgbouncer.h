// A private pgbouncer in front of the tests' PostgreSQL, as Neon's `-pooler` hosts are: a Unix socket in a folder of
// its own and no TCP, gone with its object.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "tests/harness/postgres_server.h"
#include "tests/harness/process.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

/// It pools transactions and hands them to its sessions in turn: the next one comes to another session than the last,
/// so nothing of a session is found again by luck.
class PgBouncer {
 public:
  static constexpr int kSessions = 4;  // of each database

  explicit PgBouncer(const PostgresServer& postgres);

  std::string Url(const std::string& database) const;

 private:
  TempDir folder_;
  std::unique_ptr<Process> process_;
};

}  // namespace sprockets::harness
