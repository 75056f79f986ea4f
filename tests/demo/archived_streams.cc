#include "tests/demo/archived_streams.h"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "shared/base/text.h"
#include "tests/demo/story.h"
#include "tests/demo/total_loss.h"
#include "tests/harness/postgres_server.h"
#include "tests/harness/sidecar.h"

namespace sprockets::harness {
namespace {

namespace fs = std::filesystem;

/// Every key as Redis says it, with its expiry; of streams the groups, too, and what each has left to do.
std::map<std::string, std::string> ContentOf(const RedisServer& redis) {
  RespClient connection = redis.Connect();
  const auto flat = [](const auto& self, const Reply& reply) -> std::string {
    if (reply.elements.empty()) return reply.text + ":" + std::to_string(reply.integer);
    std::string all = "[";
    for (const Reply& element : reply.elements) all += self(self, element) + ",";
    return all + "]";
  };
  std::map<std::string, std::string> content;
  for (const Reply& key : connection.Call({"KEYS", "*"}).elements) {
    if (key.text.starts_with("sprockets:")) continue;  // the replayer's own
    std::string& said = content[key.text];
    const bool is_stream = connection.Call({"TYPE", key.text}).text == "stream";
    said = is_stream ? flat(flat, connection.Call({"XRANGE", key.text, "-", "+"}))
                     : flat(flat, connection.Call({"ZRANGE", key.text, "0", "-1", "WITHSCORES"}));
    said += flat(flat, connection.Call({"PEXPIRETIME", key.text}));
    if (!is_stream) continue;
    for (const Reply& group : connection.Call({"XINFO", "GROUPS", key.text}).elements) {
      const std::string& name = group.elements.at(1).text;
      said += name + group.elements.at(7).text + flat(flat, connection.Call({"XPENDING", key.text, name}));
    }
  }
  return content;
}

/// The set `leaderboard`, and one file more: every other stream comes back, too.
fs::path MakeSet(const TempDir& folder) {
  fs::path set = folder / "archived-set";
  fs::copy(fs::path(SPROCKETS_SCHEMA_DIR) / "leaderboard", set, fs::copy_options::recursive);
  std::ofstream(set / "rebuild" / "streams.sql")
      << "-- redis: stream\nSELECT stream AS key, id, fields FROM sprockets.entries WHERE stream <> 'contributions'\n";
  return set;
}

nlohmann::json Summary(const TempDir& folder, std::vector<std::string> words) {
  const std::string command = words.at(0);
  words.emplace_back("--json");
  const RunResult run = RunReplayer(folder.path(), std::move(words));
  if (run.exit_code != 0)
    throw std::runtime_error(command + ": exit " + std::to_string(run.exit_code) + ": " + run.out + run.err);
  return nlohmann::json::parse(run.out);
}

std::string Figure(const nlohmann::json& summary, const char* name) {
  return FormatCount(summary.at(name).get<uint64_t>());
}

}  // namespace

void TellOfArchivedStreams(const TempDir& folder, RedisServer& redis) {
  std::printf("\n");
  TellTitle("What passes through streams is archived, and comes back, too");
  PostgresServer& postgres = PostgresServer::Shared();
  const std::vector<std::string> stores{"--redis", redis.Url(), "--postgres", postgres.Url(postgres.CreateDatabase())};
  const std::string set = MakeSet(folder);
  const auto replay = [&](std::vector<std::string> words) {
    words.insert(words.end(), stores.begin() + (words[0] == "migrate" ? 2 : 0), stores.end());
    return Summary(folder, std::move(words));
  };
  std::vector<std::string> archive{"archive", "--schema", set};
  for (const Reply& key : redis.Call({"KEYS", "*"}).elements) archive.insert(archive.end(), {"--stream", key.text});
  replay({"migrate", "--schema", set});
  const nlohmann::json archived = replay(archive);
  Tell("sprockets-replayer archive", Figure(archived, "archived") + " entries of " +
                                         std::to_string(archived.at("streams").size()) +
                                         " streams are in PostgreSQL, " + Figure(archived, "dead") + " dead letters");
  Tell("handlers count, boards are published",
       Figure(archived, "published") + " scores in " +
           std::to_string(redis.Call({"KEYS", "leaderboard:*"}).elements.size()) + " sorted sets");
  replay({"snapshot"});
  Tell("sprockets-replayer snapshot", "notes where the groups stand");
  const std::map<std::string, std::string> before = ContentOf(redis);
  Empty(redis);
  replay({"restore", "--schema", set});
  const std::map<std::string, std::string> after = ContentOf(redis);
  Tell("sprockets-replayer restore", FormatCount(after.size()) + " keys are there again");
  uint64_t differences = after.size() > before.size() ? after.size() - before.size() : 0;
  for (const auto& [key, said] : before) differences += after.contains(key) && after.at(key) == said ? 0 : 1;
  Tell("compared: entries, scores, groups", FormatCount(differences) + " differences");
  const nlohmann::json again = replay(archive);
  Tell("sprockets-replayer archive", Figure(again, "archived") + " entries are new");
  if (differences > 0 || archived.at("published") == 0 || again.at("read") != 0)
    throw std::runtime_error("Redis is not what it was");
}

}  // namespace sprockets::harness
