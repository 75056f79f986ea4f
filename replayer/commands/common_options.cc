#include "replayer/commands/common_options.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <utility>

#include "replayer/redis/server.h"
#include "shared/base/limits.h"
#include "shared/base/options.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

/// None where none was given.
Result<std::optional<RedisUrl>> ReadRedis(const Options& given) {
  if (given.Text("redis").empty()) {
    if (given.Has("redis-password-file")) return UsageError("--redis-password-file needs --redis");
    return std::optional<RedisUrl>();
  }
  ASSIGN_OR_RETURN(RedisUrl url, ParseRedisUrl(given.Text("redis")).Prefixed(given.Origin("redis")));
  if (!given.Has("redis-password-file")) return std::optional(std::move(url));
  if (!url.password.empty()) return UsageError("a password is given by the URL and by --redis-password-file; give one");
  ASSIGN_OR_RETURN(url.password,
                   ReadPasswordFile(given.Text("redis-password-file")).Prefixed(given.Origin("redis-password-file")));
  return std::optional(std::move(url));
}

void AddRedisUrl(OptionTable& options, std::function<void(RedisUrl)> take) {
  options.Add({.name = "redis", .value = "URL", .help = "redis://[user:password@]host[:port][/db] or unix:///path"},
              [take = std::move(take)](const Options& given) -> Status {
                ASSIGN_OR_RETURN(std::optional<RedisUrl> url, ReadRedis(given));
                if (url) take(*std::move(url));
                return {};
              });
  options.Add({.name = "redis-password-file", .value = "FILE", .help = "a file that holds the password of --redis"});
}

Result<std::string> AskRedis(const RedisTarget& redis) {
  ASSIGN_OR_RETURN([[maybe_unused]] const class Server server, Server::Connect(redis.url, redis.deadline_ms));
  return "redis: " + redis.url.ForLogs() + " answers, is a master and takes the login";
}

/// One that sleeps is given the time to wake up, but a wrong address is no reason to wait long.
Result<std::string> AskPostgres(const PostgresTarget& postgres) {
  constexpr int64_t kMostWaitMs = 5'000;
  if (postgres.url.text.empty()) return std::string();
  ASSIGN_OR_RETURN(Postgres connection, Postgres::Connect(postgres.url, std::min(postgres.wait_ms, kMostWaitMs)));
  ASSIGN_OR_RETURN(const auto rows, connection.Query("SELECT current_database(), current_setting('server_version')"));
  return "postgres: database " + Escape(rows[0][0].value_or("")) + " of PostgreSQL " + rows[0][1].value_or("") +
         " takes the login";
}

Status ReadPostgres(const Options& given, PostgresUrl* url) {
  if (given.Text("postgres").empty()) return {};
  ASSIGN_OR_RETURN(*url, ParsePostgresUrl(given.Text("postgres")).Prefixed(given.Origin("postgres")));
  if (!given.Has("postgres-password-file")) return {};
  ASSIGN_OR_RETURN(
      url->password,
      ReadPasswordFile(given.Text("postgres-password-file")).Prefixed(given.Origin("postgres-password-file")));
  return {};
}

}  // namespace

void AddSpillDir(OptionTable& options, std::filesystem::path* folder) {
  options.Path("spill-dir", "DIR", "the sidecar's spill folder", folder);
  options.Require("spill-dir");
}

void AddSocket(OptionTable& options, std::string* path) {
  options.Add({.name = "socket", .value = "PATH", .help = "the sidecar's socket"},
              [path](const Options& given) -> Status {
                *path = given.Text("socket");
                if (path->size() <= kMaxSocketPathBytes) return {};
                return UsageError(given.Origin("socket") + ": the path is over 107 bytes");
              });
}

void AddRedis(OptionTable& options, RedisTarget* redis, const bool* unless) {
  AddRedisUrl(options, [redis](RedisUrl url) { redis->url = std::move(url); });
  options.Require("redis", unless);
  options.Server([redis]() -> Result<std::string> {
    const bool is_given = !redis->url.host.empty() || !redis->url.socket_path.empty();
    return is_given ? AskRedis(*redis) : Result<std::string>(std::string());
  });
}

void AddOptionalRedis(OptionTable& options, std::optional<RedisTarget>* redis) {
  AddRedisUrl(options, [redis](RedisUrl url) { redis->emplace().url = std::move(url); });
  options.Server([redis]() { return *redis ? AskRedis(**redis) : Result<std::string>(std::string()); });
}

void AddPostgres(OptionTable& options, PostgresTarget* postgres, const bool* unless) {
  options.Add({.name = "postgres", .value = "URL", .help = "postgres://[user[:password]@]host[:port]/database"},
              [postgres](const Options& given) { return ReadPostgres(given, &postgres->url); });
  options.Add(
      {.name = "postgres-password-file", .value = "FILE", .help = "a file that holds the password of --postgres"});
  options.Duration("postgres-wait", "how long to keep trying while PostgreSQL does not answer", &postgres->wait_ms);
  options.Require("postgres", unless);
  options.Server([postgres] { return AskPostgres(*postgres); });
}

void AddSchema(OptionTable& options, std::filesystem::path* folder, const bool* unless) {
  AddOptionalSchema(options, folder);
  options.Require("schema", unless);
}

void AddOptionalSchema(OptionTable& options, std::filesystem::path* folder) {
  options.Path("schema", "DIR", "the folder of the schema set, for example schema/season_of_code", folder);
}

void AddStructures(OptionTable& options, Stores* stores, std::string* only, const bool* unless) {
  AddPostgres(options, &stores->postgres, unless);
  AddRedis(options, &stores->redis);
  options.Text("only", "GLOB", "only files of rebuild/ whose name matches, without .sql", only);
}

void AddAdmin(OptionTable& options, std::optional<ListenAddress>* address) {
  options.Add({.name = "admin",
               .value = "[HOST:]PORT",
               .help = "health and metrics by HTTP on this address; it changes nothing, asks for no password, and "
                       "without HOST listens on 127.0.0.1; without --admin nothing listens"},
              [address](const Options& given) -> Status {
                if (!given.Has("admin")) return {};
                ASSIGN_OR_RETURN(*address, ParseListenAddress(given.Text("admin")).Prefixed(given.Origin("admin")));
                return {};
              });
}

void AddProgress(OptionTable& options, ProgressStyle* style) {
  static constexpr std::array<std::string_view, 3> kStyles{"auto", "plain", "none"};
  options.Choice("progress", kStyles, "how to show progress on stderr", style);
}

}  // namespace sprockets
