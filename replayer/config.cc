// The replayer's options, a table for each command.
#include "replayer/config.h"

#include <array>
#include <limits>
#include <span>
#include <vector>

#include "shared/base/limits.h"
#include "shared/base/options.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr Option kSpillDir{"spill-dir", "DIR", "the sidecar's spill folder", "", false};
constexpr Option kRedis{"redis", "URL", "redis://[user:password@]host:port/db or unix:///path", "", false};
constexpr Option kPasswordFile{"redis-password-file", "FILE", "a file that holds the password of --redis", "", false};
constexpr Option kSocket{"socket", "PATH", "the sidecar's socket", "", false};
constexpr Option kJson{"json", "", "print JSON", "", false};
constexpr Option kLogFormat{"log-format", "text|json", "of what goes to stderr", "text", false};
constexpr Option kCheckConfig{"check-config", "", "only check the options", "", false};

constexpr std::array kStatusOptions{
    kSpillDir, kRedis,     kPasswordFile, kSocket, Option{"watch", "", "again every second", "", false},
    kJson,     kLogFormat, kCheckConfig,
};
constexpr std::array kShowOptions{
    kSpillDir,
    Option{"stream", "NAME", "only events of this stream", "", false},
    Option{"limit", "N", "at most N events", "", false},
    kJson,
    kLogFormat,
    kCheckConfig,
};
constexpr std::array kDrainOptions{
    kSpillDir,
    kRedis,
    kPasswordFile,
    kSocket,
    Option{"streams", "GLOB", "only these streams", "*", false},
    Option{"rate", "EVENTS_PER_S", "no faster than this", "", false},
    Option{"keep", "DURATION", "how long drained files stay", "24h", false},
    Option{"follow", "", "go on until told to stop, for use as a service", "", false},
    Option{"file", "FILE", "offer this drained file again", "", false},
    Option{"force", "", "with --file: send the unproven, too; drain into another Redis than the sidecar's", "", false},
    Option{"salvage", "FILE", "take what is good out of this quarantined file, then drain", "", false},
    Option{"rename", "OLD=NEW", "lead what waits for stream OLD to NEW", "", true},
    Option{"fence-wait", "DURATION", "how long to wait where a connection cannot be fenced", "5s", false},
    Option{"dry-run", "", "only count what waits", "", false},
    Option{"progress", "auto|plain|none", "on stderr", "auto", false},
    kJson,
    kLogFormat,
    kCheckConfig,
};

constexpr int64_t kMostJobs = 16;  // each has a connection to either side

constexpr Option kPostgres{"postgres", "URL", "postgres://[user[:password]@]host[:port]/database", "", false};
constexpr Option kPostgresPasswordFile{"postgres-password-file", "FILE", "a file that holds the password of --postgres",
                                       "", false};
constexpr Option kPostgresWait{"postgres-wait", "DURATION", "how long a database that sleeps may take to wake up",
                               "30s", false};
constexpr Option kSchema{"schema", "DIR", "the schema set: schema/season_of_code", "", false};
constexpr Option kOnly{"only", "GLOB", "only these files of rebuild/, named without .sql", "*", false};
constexpr Option kProgress{"progress", "auto|plain|none", "on stderr", "auto", false};
constexpr std::array kMigrateOptions{
    kSchema,
    kPostgres,
    kPostgresPasswordFile,
    kPostgresWait,
    Option{"dry-run", "", "only say what would be applied", "", false},
    kJson,
    kLogFormat,
    kCheckConfig,
};
constexpr std::array kRebuildOptions{
    kSchema,
    kPostgres,
    kPostgresPasswordFile,
    kPostgresWait,
    kRedis,
    kPasswordFile,
    kOnly,
    Option{"jobs", "N", "build so many structures at once; they appear in the order of their files", "4", false},
    Option{"follow", "", "go on until told to stop, for use as a service: new rows of what says -- follow:", "", false},
    Option{"poll", "DURATION", "with --follow: how often to look for new rows that nobody announced", "250ms", false},
    Option{"into", "PREFIX", "a drill: write beside the live keys, verify, time, remove", "", false},
    Option{"force", "", "let an empty or much smaller source replace a key, and a stream lose events", "", false},
    Option{"dry-run", "", "only say what would change", "", false},
    kProgress,
    kJson,
    kLogFormat,
    kCheckConfig,
};
constexpr std::array kVerifyOptions{
    kSchema,
    kPostgres,
    kPostgresPasswordFile,
    kPostgresWait,
    kRedis,
    kPasswordFile,
    kOnly,
    Option{"repair", "", "mend what differs, and nothing else", "", false},
    kProgress,
    kJson,
    kLogFormat,
    kCheckConfig,
};
constexpr std::array kAccessOptions{
    kSchema, kRedis,     kPasswordFile, Option{"dry-run", "", "only say what would change", "", false},
    kJson,   kLogFormat, kCheckConfig,
};

struct CommandEntry {
  Config::Command command;
  std::string_view name;
  std::string_view words;  // that may follow, for the usage
  std::string_view about;
  std::span<const Option> options;
  size_t most_words;
};

constexpr std::array kCommands{
    CommandEntry{Config::Command::kStatus, "status", "",
                 "What is spilled, how old, in which files, and which stores answer. Changes nothing.", kStatusOptions,
                 0},
    CommandEntry{Config::Command::kShow, "show", " [FILE]",
                 "Prints spilled events as JSON lines: those that wait, or every one of FILE.", kShowOptions, 1},
    CommandEntry{Config::Command::kDrain, "drain", "",
                 "Moves spilled events into their Redis streams, each exactly once. May be stopped and begun again at "
                 "any point.",
                 kDrainOptions, 0},
    CommandEntry{Config::Command::kMigrate, "migrate", "",
                 "Creates or upgrades the tables of a schema set in PostgreSQL.", kMigrateOptions, 0},
    CommandEntry{
        Config::Command::kRebuild, "rebuild", "",
        "Builds the Redis structures of a schema set anew from PostgreSQL, verified before they take their place.",
        kRebuildOptions, 0},
    CommandEntry{Config::Command::kVerify, "verify", "",
                 "Compares Redis with PostgreSQL by value, and users and groups with the schema set.", kVerifyOptions,
                 0},
    CommandEntry{Config::Command::kAccess, "access", "",
                 "Gives Redis the users and consumer groups of a schema set, and proves what they may do.",
                 kAccessOptions, 0},
};

Error Usage(std::string message) {
  return {ErrorCode::kUsage, std::move(message)};
}

std::string GeneralHelp() {
  std::string text =
      "usage: sprockets-replayer <command> [options]\n\nMoves data between SQLite, Redis and PostgreSQL after an "
      "outage, "
      "and proves that it did.\n\n";
  for (const CommandEntry& entry : kCommands) {
    std::string left = "  " + std::string(entry.name);
    left.resize(12, ' ');
    text.append(left).append(entry.about).append("\n");
  }
  return text +
         "\nsprockets-replayer <command> --help has the options of a command. Exit codes: 0 done and verified,\n"
         "1 finished but something differs, is unproven, rejected or left, 2 usage, 3 a store is not reachable,\n"
         "4 refused by a guard or bad data.\n";
}

std::string CommandHelp(const CommandEntry& entry) {
  std::string usage = "sprockets-replayer ";
  usage.append(entry.name).append(entry.words).append(" [options]");
  return HelpText(usage, entry.about, entry.options);
}

Status ReadRedis(const Options& options, Config* config) {
  if (options.Text("redis").empty()) {
    if (options.Has("redis-password-file")) return Usage("--redis-password-file needs --redis");
    return {};
  }
  ASSIGN_OR_RETURN(config->redis, ParseRedisUrl(options.Text("redis")).Prefixed(options.Origin("redis")));
  if (!options.Has("redis-password-file")) return {};
  if (!config->redis->password.empty())
    return Usage("a password is given by the URL and by --redis-password-file; give one");
  ASSIGN_OR_RETURN(
      config->redis->password,
      ReadPasswordFile(options.Text("redis-password-file")).Prefixed(options.Origin("redis-password-file")));
  return {};
}

Status ReadCommon(const Options& options, Config* config) {
  constexpr std::array<std::string_view, 2> kFormats{"text", "json"};
  ASSIGN_OR_RETURN(const size_t format, options.Choice("log-format", kFormats));
  config->log_format = format == 0 ? LogFormat::kText : LogFormat::kJson;
  config->json = options.Flag("json");
  config->check_config = options.Flag("check-config");
  return {};
}

Status ReadSocket(const Options& options, Config* config) {
  config->socket_path = options.Text("socket");
  if (config->socket_path.size() > kMaxSocketPathBytes)
    return Usage(options.Origin("socket") + ": the path is over 107 bytes");
  return {};
}

Status ReadRename(std::string_view text, DrainConfig* drain) {
  const size_t equals = text.find('=');
  const bool is_pair = equals != std::string_view::npos && text.find('=', equals + 1) == std::string_view::npos;
  if (!is_pair || equals == 0 || equals + 1 == text.size()) return Usage("--rename: write OLD=NEW, two stream names");
  std::string from(text.substr(0, equals));
  std::string to(text.substr(equals + 1));
  if (from == to) return Usage("--rename: OLD and NEW are the same stream");
  if (to.size() > kMaxStreamNameBytes) return Usage("--rename: NEW is over 1024 bytes");
  if (!drain->renames.emplace(std::move(from), std::move(to)).second)
    return Usage("--rename: OLD is given more than once");
  return {};
}

/// What cannot be meant together.
Status CheckDrain(const Config& config) {
  const DrainConfig& drain = config.drain;
  const bool once = !drain.file.empty() || !drain.salvage.empty() || drain.dry_run;
  if (drain.follow && once)
    return Usage("--follow does not go with --file, --salvage or --dry-run: they are done once");
  if (!drain.file.empty() && !drain.salvage.empty()) return Usage("--file and --salvage are two runs; give one");
  if (drain.dry_run && (!drain.file.empty() || !drain.salvage.empty()))
    return Usage("--dry-run does not go with --file or --salvage");
  if (!config.redis && !drain.dry_run) return Usage("--redis is needed: where the streams are (or SPROCKETS_REDIS)");
  return {};
}

Status ReadDrain(const Options& options, Config* config) {
  constexpr std::array<std::string_view, 3> kStyles{"auto", "plain", "none"};
  DrainConfig& drain = config->drain;
  ASSIGN_OR_RETURN(const size_t style, options.Choice("progress", kStyles));
  config->progress = static_cast<ProgressStyle>(style);
  drain.streams = options.Text("streams");
  if (options.Has("rate")) {
    ASSIGN_OR_RETURN(drain.rate, options.Integer("rate", 1, 1'000'000'000));
  }
  ASSIGN_OR_RETURN(drain.keep_ms, options.DurationMs("keep"));
  ASSIGN_OR_RETURN(drain.fence_wait_ms, options.DurationMs("fence-wait"));
  drain.follow = options.Flag("follow");
  drain.force = options.Flag("force");
  drain.dry_run = options.Flag("dry-run");
  for (const std::string_view name : {"file", "salvage"}) {
    if (options.Has(name) && options.Text(name).empty()) {
      return Error{ErrorCode::kUsage, options.Origin(name) + ": the name of a file is missing"};
    }
  }
  drain.file = options.Text("file");
  drain.salvage = options.Text("salvage");
  for (const std::string& rename : options.All("rename")) RETURN_IF_ERROR(ReadRename(rename, &drain));
  return CheckDrain(*config);
}

Status ReadShow(const Options& options, Config* config) {
  if (!options.words().empty()) config->show.file = options.words().front();
  if (options.Has("stream")) config->show.stream = options.Text("stream");
  if (!options.Has("limit")) return {};
  ASSIGN_OR_RETURN(config->show.limit, options.Integer("limit", 1, std::numeric_limits<int64_t>::max()));
  return {};
}

Status ReadPostgres(const Options& options, Config* config) {
  if (options.Text("postgres").empty())
    return Usage("--postgres is needed: where the truth is (or SPROCKETS_POSTGRES)");
  ASSIGN_OR_RETURN(config->postgres, ParsePostgresUrl(options.Text("postgres")).Prefixed(options.Origin("postgres")));
  ASSIGN_OR_RETURN(config->set.postgres_wait_ms, options.DurationMs("postgres-wait"));
  if (!options.Has("postgres-password-file")) return {};
  ASSIGN_OR_RETURN(
      config->postgres->password,
      ReadPasswordFile(options.Text("postgres-password-file")).Prefixed(options.Origin("postgres-password-file")));
  return {};
}

/// migrate, rebuild, verify and access.
Status ReadSet(const CommandEntry& entry, const Options& options, Config* config) {
  using Command = Config::Command;
  SetConfig& set = config->set;
  set.folder = options.Text("schema");
  if (set.folder.empty())
    return Usage("--schema is needed: the folder of a schema set, for example schema/season_of_code");
  if (entry.command != Command::kAccess) RETURN_IF_ERROR(ReadPostgres(options, config));
  if (entry.command != Command::kMigrate) {
    RETURN_IF_ERROR(ReadRedis(options, config));
    if (!config->redis) return Usage("--redis is needed: what is rebuilt or compared (or SPROCKETS_REDIS)");
  }
  if (entry.command == Command::kRebuild || entry.command == Command::kVerify) {
    constexpr std::array<std::string_view, 3> kStyles{"auto", "plain", "none"};
    ASSIGN_OR_RETURN(const size_t style, options.Choice("progress", kStyles));
    config->progress = static_cast<ProgressStyle>(style);
    set.only = options.Text("only");
  }
  if (entry.command == Command::kVerify) {
    set.repair = options.Flag("repair");
    return {};
  }
  set.dry_run = options.Flag("dry-run");
  if (entry.command != Command::kRebuild) return {};
  ASSIGN_OR_RETURN(set.jobs, options.Integer("jobs", 1, kMostJobs));
  set.force = options.Flag("force");
  set.into = options.Text("into");
  if (options.Has("into") && set.into.empty()) return Usage("--into: a prefix is missing, drill: for example");
  set.follow = options.Flag("follow");
  ASSIGN_OR_RETURN(set.poll_ms, options.DurationMs("poll"));
  if (set.poll_ms < 1) return Usage("--poll must be at least 1ms");
  if (set.follow && (set.dry_run || !set.into.empty())) return Usage("--follow does not go with --dry-run or --into");
  if (!set.into.empty() && (set.dry_run || set.force)) return Usage("--into does not go with --dry-run or --force");
  return {};
}

Result<Config> ReadConfig(const CommandEntry& entry, const Options& options) {
  Config config;
  config.command = entry.command;
  RETURN_IF_ERROR(options.RefuseWords(entry.most_words));
  RETURN_IF_ERROR(ReadCommon(options, &config));
  if (entry.command >= Config::Command::kMigrate) {
    RETURN_IF_ERROR(ReadSet(entry, options, &config));
    return config;
  }
  config.spill_dir = options.Text("spill-dir");
  if (config.spill_dir.empty())
    return Usage("--spill-dir is needed: the sidecar's spill folder (or SPROCKETS_SPILL_DIR)");
  if (entry.command != Config::Command::kShow) {
    RETURN_IF_ERROR(ReadRedis(options, &config));
    RETURN_IF_ERROR(ReadSocket(options, &config));
  }
  if (entry.command == Config::Command::kStatus) config.watch = options.Flag("watch");
  if (entry.command == Config::Command::kShow) RETURN_IF_ERROR(ReadShow(options, &config));
  if (entry.command == Config::Command::kDrain) RETURN_IF_ERROR(ReadDrain(options, &config));
  return config;
}

}  // namespace

Result<Invocation> ParseCommandLine(int argc, const char* const* argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  const std::string version = std::string("sprockets-replayer ") + SPROCKETS_VERSION + "\n";
  if (first == "--help") return Invocation{{}, GeneralHelp()};
  if (first == "--version") return Invocation{{}, version};
  for (const CommandEntry& entry : kCommands) {
    if (entry.name != first) continue;
    ASSIGN_OR_RETURN(const Options options, Options::Parse(argc - 1, argv + 1, entry.options));
    if (options.help()) return Invocation{{}, CommandHelp(entry)};
    if (options.version()) return Invocation{{}, version};
    ASSIGN_OR_RETURN(Config config, ReadConfig(entry, options));
    return Invocation{std::move(config), ""};
  }
  if (first.empty()) return Usage("which command? See --help");
  if (first.starts_with("-"))
    return Usage("the command comes first: sprockets-replayer <command> [options] (see --help)");
  return Usage("no such command: --help lists them");
}

}  // namespace sprockets
