#include "tests/demo/total_loss.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <sys/random.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "shared/base/text.h"
#include "tests/demo/story.h"
#include "tests/harness/postgres_server.h"
#include "tests/harness/sidecar.h"

namespace sprockets::harness {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSchema = SPROCKETS_SCHEMA_DIR "/season_of_code";
constexpr const char* kAdmin = "REDIS_ADMIN_PASSWORD";

std::string RandomSecret() {
  unsigned char bytes[24];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw std::runtime_error("getrandom");
  std::string secret;
  for (const unsigned char byte : bytes)
    secret += "0123456789abcdef"[byte >> 4], secret += "0123456789abcdef"[byte & 15];
  return secret;
}

void SetEnvironment(const std::string& name, const std::string& value) {
  setenv(name.c_str(), value.c_str(), 1);
}

/// What access/users.acl asks the environment for.
void MakeSecrets() {
  for (const char* user : {"ADMIN", "ALFRED", "SIDECAR", "DEVPOOL", "GRAVEMIND", "PULSE", "REPLAYER", "ARCHIVER"})
    SetEnvironment(std::string("REDIS_") + user + "_PASSWORD", RandomSecret());
}

/// A command of sprockets-replayer over the set; its addresses are in the environment, passwords with them. The summary
/// is the last line of its output.
nlohmann::json Replay(const TempDir& folder, const std::string& command, int expected_exit_code = 0,
                      const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{command, "--schema", kSchema, "--json"};
  words.insert(words.end(), more.begin(), more.end());
  const RunResult run = RunReplayer(folder.path(), words);
  const size_t end = run.out.find_last_not_of('\n');
  const size_t before = end == std::string::npos ? end : run.out.find_last_of('\n', end);
  const auto summary = nlohmann::json::parse(run.out.substr(before == std::string::npos ? 0 : before + 1), nullptr,
                                             /*allow_exceptions=*/false);
  if (run.exit_code != expected_exit_code || summary.is_discarded())
    throw std::runtime_error(command + ": exit " + std::to_string(run.exit_code) + ": " + run.out + run.err);
  return summary;
}

std::string Count(const nlohmann::json& summary, const char* name) {
  return FormatCount(summary.at(name).get<uint64_t>());
}

/// As `default` while the server knows nobody; from then on as the user that gives rights.
void GiveAccess(const TempDir& folder, const RedisServer& redis) {
  SetEnvironment("SPROCKETS_REDIS", redis.Url());
  const nlohmann::json access = Replay(folder, "access", /*expected_exit_code=*/0, {"--close-default"});
  Tell("sprockets-replayer access --close-default", Count(access, "users_changed") + " users, " +
                                                        Count(access, "groups_created") + " groups, " +
                                                        Count(access, "checks") + " checks of rights hold");
  SetEnvironment("SPROCKETS_REDIS",
                 "redis://admin:" + std::string(std::getenv(kAdmin)) + "@127.0.0.1:" + std::to_string(redis.port()));
}

void RebuildAndVerify(const TempDir& folder) {
  const nlohmann::json rebuilt = Replay(folder, "rebuild");
  uint64_t keys = 0;
  for (const nlohmann::json& structure : rebuilt.at("structures")) keys += structure.at("keys").get<uint64_t>();
  Tell("sprockets-replayer rebuild", Count(rebuilt, "read") + " rows of SQL are " + FormatCount(keys) + " keys");
  const nlohmann::json verified = Replay(folder, "verify");
  Tell("sprockets-replayer verify",
       Count(verified, "differences") + " differences: " + verified.at("result").get<std::string>());
}

void EmptyAndVerify(const TempDir& folder, RedisServer& redis) {
  Empty(redis);
  SetEnvironment("SPROCKETS_REDIS", redis.Url());
  const nlohmann::json lost = Replay(folder, "verify", /*expected_exit_code=*/1);
  Tell("sprockets-replayer verify", Count(lost, "differences") + " differences");
}

}  // namespace

void Empty(RedisServer& redis) {
  redis.Kill9();
  for (const fs::directory_entry& file : fs::directory_iterator(redis.socket_path().parent_path()))
    fs::remove_all(file.path());
  redis.Start();
  RespClient connection = redis.Connect();
  const int64_t keys = connection.Call({"DBSIZE"}).integer;
  const size_t users = connection.Call({"ACL", "USERS"}).elements.size();
  if (keys != 0 || users != 1) throw std::runtime_error("Redis was not emptied");
  Tell("Redis emptied: no file, no user, no group", FormatCount(static_cast<uint64_t>(keys)) + " keys");
}

void TellTheTotalLoss(const TempDir& folder, RedisServer& redis) {
  PostgresServer& postgres = PostgresServer::Shared();
  const std::string database = postgres.CreateDatabase();
  SetEnvironment("SPROCKETS_POSTGRES", postgres.Url(database));
  MakeSecrets();
  Replay(folder, "migrate");
  for (const char* file : {"tables.sql", "seed.sql"}) postgres.ExecuteFile(database, fs::path(kSchema) / "demo" / file);
  Tell("PostgreSQL with a season of code",
       postgres.Value(database, "SELECT count(*) FROM user_account") + " accounts, " +
           postgres.Value(database, "SELECT count(DISTINCT url) FROM solutions WHERE is_merged") +
           " merged pull requests");
  GiveAccess(folder, redis);
  RebuildAndVerify(folder);
  EmptyAndVerify(folder, redis);
  GiveAccess(folder, redis);
  RebuildAndVerify(folder);
}

}  // namespace sprockets::harness
