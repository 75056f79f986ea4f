#include "tests/harness/set_stage.h"

#include <atomic>
#include <fstream>
#include <sstream>
#include <utility>

namespace sprockets::harness {
namespace {

// One that would be another without its quotes.
constexpr const char* kChannel = R"(New "rows")";
constexpr const char* kQuotedChannel = R"("New ""rows""")";

}  // namespace

std::filesystem::path SchemaFolder(const std::string& name) {
  return std::filesystem::path(SPROCKETS_SCHEMA_DIR) / name;
}

std::vector<nlohmann::json> CommandResult::Lines() const {
  std::vector<nlohmann::json> lines;
  std::istringstream stream(out);
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

std::map<std::string, std::string> CommandResult::States() const {
  std::map<std::string, std::string> states;
  const nlohmann::json summary = Summary();  // the loop below would outlive a temporary one
  for (const auto& structure : summary.at("structures")) states[structure.at("name")] = structure.at("state");
  return states;
}

std::ostream& operator<<(std::ostream& out, const CommandResult& result) {
  return out << "exit " << result.exit_code << "\n" << result.out << result.err;
}

SetStage::SetStage(std::vector<std::string> redis_options)
    : redis(folder.path(),
            [&] {
              std::vector<std::string> all{"--appendonly", "no"};
              all.insert(all.end(), redis_options.begin(), redis_options.end());
              return all;
            }()),
      postgres(PostgresServer::Shared()),
      database(postgres.CreateDatabase()),
      set(folder / "set"),
      redis_url(redis.Url()),
      postgres_url(postgres.Url(database)) {
  std::filesystem::create_directories(set / "rebuild");
  redis.Start();
}

void SetStage::Write(const std::string& file, const std::string& text) const {
  std::filesystem::create_directories((set / file).parent_path());
  std::ofstream(set / file, std::ios::binary) << text;
}

void SetStage::MakeLog() const {
  Sql("CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry text NOT NULL);"
      "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY " +
      std::string(kQuotedChannel) +
      "; RETURN NULL; END $$;"
      "CREATE TRIGGER tell AFTER INSERT ON log EXECUTE FUNCTION tell()");
}

void SetStage::WriteLog(bool listens) const {
  Write("rebuild/log.sql", "-- redis: stream log\n-- follow: log id\n" +
                               (listens ? "-- listen: " + std::string(kChannel) + "\n" : std::string()) +
                               "SELECT '0-' || id AS id, entry FROM log");
}

std::vector<std::string> SetStage::Words(const std::string& command, const std::vector<std::string>& more) const {
  std::vector<std::string> words{command, "--schema", set};
  if (command != "access") words.insert(words.end(), {"--postgres", postgres_url, "--postgres-wait", "0s"});
  if (command != "migrate") words.insert(words.end(), {"--redis", redis_url});
  if (command == "rebuild" || command == "verify") words.insert(words.end(), {"--progress", "none"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

CommandResult SetStage::Run(const std::string& command, const std::vector<std::string>& more) const {
  RunResult run = RunReplayer(folder.path(), Words(command, more));
  return {run.exit_code, std::move(run.out), std::move(run.err)};
}

Process SetStage::Begin(const std::string& command, const std::vector<std::string>& more) const {
  static std::atomic<int> runs = 0;
  return Process({.command = ReplayerCommand(Words(command, more)),
                  .output = folder / ("begun-" + std::to_string(++runs)),
                  .environment = {}});
}

void SetStage::AwaitSleepingQuery() const {
  Await("a query to sleep", [this] {
    return postgres.Value(database,
                          "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event "
                          "= 'PgSleep'") == "t";
  });
}

std::map<std::string, std::string> SetStage::Dump(RespClient client) const {
  std::map<std::string, std::string> dump;
  for (const Reply& key : client.Call({"KEYS", "*"}).elements) {
    if (!key.text.starts_with("sprockets:")) dump[key.text] = client.Call({"DUMP", key.text}).text;
  }
  return dump;
}

std::vector<std::string> SetStage::OwnKeys() const {
  std::vector<std::string> names;
  for (const Reply& key : redis.Call({"KEYS", "sprockets:*"}).elements) {
    if (key.text != "sprockets:rebuild:lock") names.push_back(key.text);
  }
  return names;
}

}  // namespace sprockets::harness
