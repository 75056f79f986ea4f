// A schema set of the repository on real servers, for its tests.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/set_stage.h"

namespace sprockets::harness {

using Strings = std::vector<std::string>;

inline constexpr const char* kSecret = "s3cret-of-";  // of every user, its name behind

/// A set of the repository, its tables made and filled, and secrets for its users.
struct Deployment {
  SetStage stage;

  explicit Deployment(const std::string& name, Strings redis_options = {}) : stage(std::move(redis_options)) {
    stage.set = SchemaFolder(name);
    for (const char* user : {"ADMIN", "ALFRED", "SIDECAR", "DEVPOOL", "GRAVEMIND", "PULSE", "REPLAYER", "ARCHIVER",
                             "BACKEND", "WEBSOCKET"}) {
      setenv((std::string("REDIS_") + user + "_PASSWORD").c_str(), (std::string(kSecret) + user).c_str(), 1);
    }
  }

  void Fill() const {
    const CommandResult migrated = stage.Run("migrate");
    INFO(migrated);
    REQUIRE(migrated.exit_code == 0);
    stage.postgres.ExecuteFile(stage.database, stage.set / "demo/tables.sql");
    stage.postgres.ExecuteFile(stage.database, stage.set / "demo/seed.sql");
  }
  void Expect(const std::string& command, int exit_code, const Strings& more = {}) const {
    const CommandResult run = stage.Run(command, more);
    INFO(command << ": " << run);
    CHECK(run.exit_code == exit_code);
    // No secret of any user is said by any of the commands.
    CHECK((run.out + run.err).find(kSecret) == std::string::npos);
  }
  /// From now on the commands log in as this user.
  void LogInAs(const std::string& user) {
    stage.redis_url = "redis://" + user + ":" + SecretOf(user) + "@127.0.0.1:" + std::to_string(stage.redis.port());
  }
  RespClient ConnectAs(const std::string& user) const {
    RespClient client = stage.redis.Connect();
    const Reply reply = client.Call({"AUTH", user, SecretOf(user)});
    INFO(user << " " << reply);
    REQUIRE(reply.text == "OK");
    return client;
  }
  void RestartRedis() {
    stage.redis.Kill9();
    stage.redis.StartWithoutWaiting();
    // A stranger is refused before it is told that Redis is still loading.
    Await("Redis to be back", [&] {
      try {
        RespClient client = stage.redis.Connect();
        client.Call({"AUTH", "admin", SecretOf("admin")});
        return client.Call({"PING"}).text == "PONG";
      } catch (const ConnectionClosed&) {
        return false;
      }
    });
  }
  static std::string SecretOf(const std::string& user) {
    std::string secret = kSecret;
    for (const char letter : user) secret += letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
    return secret;
  }
  std::vector<Strings> Differences(const CommandResult& verified) const {
    std::vector<Strings> found;
    for (const auto& line : verified.Lines()) {
      if (line.contains("command")) continue;
      found.push_back(
          {line.at("type"), line.at("key"), line.at("member").is_null() ? "" : line.at("member"), line.at("problem")});
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

}  // namespace sprockets::harness
