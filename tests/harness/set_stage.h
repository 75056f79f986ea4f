// What tests of schema sets begin with: a Redis, a database, and a set of their own or one of the repository's.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/harness/postgres_server.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

/// schema/<name> of the repository.
std::filesystem::path SchemaFolder(const std::string& name);

struct CommandResult {
  int exit_code = -1;
  std::string out;
  std::string err;

  bool Says(const std::string& words) const { return err.find(words) != std::string::npos; }
  /// The lines of --json; the last one is the summary.
  std::vector<nlohmann::json> Lines() const;
  nlohmann::json Summary() const { return Lines().back(); }
  /// Of `rebuild --json`: what became of each structure, by name.
  std::map<std::string, std::string> States() const;
};
std::ostream& operator<<(std::ostream& out, const CommandResult& result);

class SetStage {
 public:
  /// Redis is up, the database is empty, the set has no file.
  explicit SetStage(std::vector<std::string> redis_options = {});

  TempDir folder;
  RedisServer redis;
  PostgresServer& postgres;
  const std::string database;
  std::filesystem::path set;
  std::string redis_url;  // as whom the commands log in; default: nobody
  std::string postgres_url;

  /// Writes a file of the set: rebuild/board.sql.
  void Write(const std::string& file, const std::string& text) const;
  void Sql(const std::string& sql) const { postgres.Execute(database, sql); }
  /// A table log(id, entry) that notifies of its new rows.
  void MakeLog() const;
  /// A file that follows it into the stream `log`.
  void WriteLog(bool listens) const;

  /// migrate, rebuild, verify or access over the set.
  CommandResult Run(const std::string& command, const std::vector<std::string>& more = {}) const;
  /// The same, not waited for.
  Process Begin(const std::string& command, const std::vector<std::string>& more = {}) const;

  /// Until a query of the database is at its pg_sleep.
  void AwaitSleepingQuery() const;

  /// Every key with its DUMP, without what the replayer keeps for itself.
  std::map<std::string, std::string> Dump(RespClient client) const;
  std::map<std::string, std::string> Dump() const { return Dump(redis.Connect()); }
  /// The keys that the replayer keeps for itself; not its lock, which passes by itself.
  std::vector<std::string> OwnKeys() const;

 private:
  std::vector<std::string> Words(const std::string& command, const std::vector<std::string>& more) const;
};

}  // namespace sprockets::harness
