// A private PostgreSQL: a cluster in a folder of its own, a Unix socket and no TCP, gone with the test program.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/harness/process.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

/// PostgreSQL refuses to run as root, so it becomes the package's user `postgres` then.
class PostgresServer {
 public:
  /// The one of this program, started when first asked for: a cluster takes a second to make, a database of it a
  /// fraction of that.
  static PostgresServer& Shared();

  PostgresServer();
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  /// A new, empty database, and its name.
  std::string CreateDatabase();
  /// postgres://postgres@/database?host=…; `login` is user or user:password.
  std::string Url(const std::string& database, const std::string& login = "postgres") const;

  /// Statements without parameters, in one transaction; throws with PostgreSQL's words.
  void Execute(const std::string& database, const std::string& sql) const;
  void ExecuteFile(const std::string& database, const std::filesystem::path& file) const;
  /// The rows of a query; NULL is empty.
  std::vector<std::vector<std::string>> Query(const std::string& database, const std::string& sql) const;
  /// The first value of the first row.
  std::string Value(const std::string& database, const std::string& sql) const;

  /// As if the power had gone: every connection breaks, and nobody listens until Start.
  void Kill();
  /// Starts it over the files that are there, and waits until it answers.
  void Start();

 private:
  std::vector<std::string> AsItsUser(std::vector<std::string> command) const;

  TempDir folder_;
  int databases_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace sprockets::harness
