// A private PostgreSQL: a cluster in a folder of its own, a Unix socket and no TCP, gone with the test program.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/harness/process.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

/// PostgreSQL and its poolers refuse to run as root, so they become the package's user `postgres` then, whose their
/// folder must be. Nothing happens to it where we are somebody else.
void GiveToPostgres(const std::filesystem::path& folder);
/// What stands before the command of such a server: who it becomes, and which signal it gets when we die.
std::vector<std::string> AsPostgres(const std::string& signal);

/// The rows of a query, asked at any URL; NULL is empty. Throws with PostgreSQL's words.
std::vector<std::vector<std::string>> QueryAt(const std::string& url, const std::string& sql);

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
  /// Where its socket lies, and everything else of it.
  const std::filesystem::path& folder() const { return folder_.path(); }

  /// Statements without parameters, in one transaction; throws with PostgreSQL's words.
  void Execute(const std::string& database, const std::string& sql) const;
  void ExecuteFile(const std::string& database, const std::filesystem::path& file) const;
  /// The rows of a query; NULL is empty.
  std::vector<std::vector<std::string>> Query(const std::string& database, const std::string& sql) const {
    return QueryAt(Url(database), sql);
  }
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
