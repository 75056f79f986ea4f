#include "sidecar/config.h"

#include <array>
#include <charconv>
#include <filesystem>

#include "shared/base/limits.h"
#include "shared/base/options.h"
#include "sidecar/door/routes.h"

namespace sprockets {

namespace {

constexpr std::string_view kUsage = "sprockets-sidecar --socket PATH --redis URL --spill-dir DIR [options]";
constexpr std::string_view kAbout =
    "Receives events on a Unix socket that speaks Redis's protocol and forwards them to Redis streams. While Redis "
    "fails, the sidecar stores them in SQLite files instead. An event that it acknowledged is in Redis or on disk.";

constexpr std::array kOptions = {
    Option{.name = "socket",
           .value = "PATH",
           .help = "the Unix socket that clients connect to; at most 107 bytes",
           .required = true},
    Option{"socket-mode", "MODE", "the socket's permissions, in octal: who can write to it can add events", "0660"},
    Option{.name = "redis",
           .value = "URL",
           .help = "redis://[user:password@]host[:port][/db] or unix:///path",
           .required = true},
    Option{"redis-password-file", "FILE", "a file that holds the password, to keep it out of the URL"},
    Option{"redis-timeout", "DURATION", "Redis counts as failed after this long without progress", "250ms"},
    Option{.name = "spill-dir",
           .value = "DIR",
           .help = "the folder for events that wait while Redis fails; each sidecar needs its own",
           .required = true},
    Option{"ack", "WHAT",
           "what an acknowledgement means: with 'redis', the event is in Redis or, while Redis fails, on disk; with "
           "'disk', it is on disk under its final entry id, and Redis gets it from there",
           "redis"},
    Option{"retain", "DURATION",
           "with --ack disk: keep a journal for this long after all of it has landed in Redis, in case Redis forgets it",
           "24h"},
    Option{"fsync-interval", "DURATION",
           "with --ack disk: sync the disk so often, at most 1s, instead of before each answer; a power cut may then "
           "lose the events that were answered since the last sync; 0 syncs before each answer",
           "0"},
    Option{"refill", "WHAT",
           "with --ack disk: 'report' or 'append' events that Redis had, that it does not have any more, and that may "
           "have been deleted on purpose; only with other writers on the stream",
           "report"},
    Option{"unproven", "WHAT",
           "with --ack disk: 'append' or 'skip' events of which nobody can say whether Redis has had them; only with "
           "other writers on the stream",
           "append"},
    Option{"event-id-field", "NAME", "the field of an entry that holds the event's id", "event_id"},
    Option{"dedupe-window", "EVENTS", "how many events with a client's id to remember; 0 remembers none", "100000"},
    Option{"streams", "GLOB", "accept only streams that match this pattern", "", true},
    Option{"max-streams", "N", "accept at most this many different streams", "1024"},
    Option{"max-event-bytes", "SIZE", "answer INVALID to a larger event", "1MiB"},
    Option{"max-inflight-bytes", "SIZE",
           "how much may be on its way to Redis, and as much again on its way to disk, before clients wait", "8MiB"},
    Option{"seal-after", "DURATION", "hand a spill file to the drain when Redis has been back for this long", "5s"},
    Option{"fence-wait", "DURATION", "how long to wait where the sidecar's user cannot kill old connections", "5s"},
    Option{"spill-file-bytes", "SIZE", "begin a new spill file when one reaches this size", "256MiB"},
    Option{"spill-max-bytes", "SIZE", "answer RETRY when the spill files that wait reach this size", "8GiB"},
    Option{"relay", "on|off", "pass commands other than events on to Redis, each client's over a connection of its own",
           "on"},
    Option{"relay-connections", "N", "keep at most this many connections to Redis for relayed commands", "256"},
    Option{"relay-allow", "COMMAND", "relay this command, which is refused otherwise, such as 'CONFIG SET'", "", true},
    Option{"skip-while-away", "COMMAND KEYS",
           "while Redis is away, answer this command on keys that match a glob as if they were empty, and list them "
           "until a rebuild restores them; for example 'ZINCRBY leaderboard-sset'",
           "", true},
    Option{"admin", "[HOST:]PORT",
           "health, metrics and a status page by HTTP on this address; it changes nothing, asks for no password, and "
           "without HOST listens on 127.0.0.1; without --admin nothing listens"},
    Option{"log-format", "FORMAT", "text or json", "text"},
    Option{"check-config", "", "check the options and exit; change nothing"},
    Option{"probe", "", "with --check-config: also ask Redis whether it can be used"},
};

Result<std::string> Required(const Options& options, std::string_view name) {
  if (options.Text(name).empty()) return MissingOption(name);
  return options.Text(name);
}

Result<int> ParseMode(const Options& options) {
  const std::string& text = options.Text("socket-mode");
  int mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || mode < 0 || mode > 0777) {
    return UsageError(options.Origin("socket-mode") + ": '" + text + "' is not an octal mode such as 0660");
  }
  return mode;
}

Result<RedisUrl> ParseRedis(const Options& options) {
  ASSIGN_OR_RETURN(const std::string text, Required(options, "redis"));
  auto url = ParseRedisUrl(text).Prefixed(options.Origin("redis"));
  if (url.ok() && options.Has("redis-password-file")) {
    ASSIGN_OR_RETURN(url.value().password, ReadPasswordFile(options.Text("redis-password-file")));
  }
  return url;
}

Result<SidecarConfig> Read(const Options& options) {
  SidecarConfig config;
  ASSIGN_OR_RETURN(config.socket, Required(options, "socket"));
  if (config.socket.size() > kMaxSocketPathBytes) {
    return UsageError("--socket: the path is " + std::to_string(config.socket.size()) +
                      " bytes long, and a Unix socket allows 107: use a shorter path");
  }
  ASSIGN_OR_RETURN(config.socket_mode, ParseMode(options));
  ASSIGN_OR_RETURN(config.redis, ParseRedis(options));
  ASSIGN_OR_RETURN(config.spill_dir, Required(options, "spill-dir"));
  static constexpr std::array<std::string_view, 2> kAcks = {"redis", "disk"};
  ASSIGN_OR_RETURN(const size_t ack, options.Choice("ack", kAcks));
  config.ack = ack == 0 ? SidecarConfig::Ack::kRedis : SidecarConfig::Ack::kDisk;
  ASSIGN_OR_RETURN(config.retain_ms, options.DurationMs("retain"));
  ASSIGN_OR_RETURN(config.fsync_interval_ms, options.DurationMs("fsync-interval"));
  if (config.fsync_interval_ms > 1000) return UsageError(options.Origin("fsync-interval") + ": must be at most 1s");
  if (config.fsync_interval_ms > 0 && config.ack == SidecarConfig::Ack::kRedis)
    return UsageError(options.Origin("fsync-interval") + ": belongs to --ack disk");
  static constexpr std::array<std::string_view, 2> kRefills = {"report", "append"};
  ASSIGN_OR_RETURN(const size_t refill, options.Choice("refill", kRefills));
  config.placing.refill = refill == 0 ? Refill::kReport : Refill::kAppend;
  static constexpr std::array<std::string_view, 2> kUnproven = {"append", "skip"};
  ASSIGN_OR_RETURN(const size_t unproven, options.Choice("unproven", kUnproven));
  config.placing.unproven = unproven == 0 ? Unproven::kAppend : Unproven::kSkip;
  ASSIGN_OR_RETURN(config.redis_timeout_ms, options.DurationMs("redis-timeout"));
  if (config.redis_timeout_ms < 10)
    return UsageError(options.Origin("redis-timeout") +
                      ": must be at least 10ms, or a healthy Redis would count as failed");
  config.event_id_field = options.Text("event-id-field");
  if (config.event_id_field.empty() || config.event_id_field.size() > 256)
    return UsageError(options.Origin("event-id-field") + ": must be 1 to 256 bytes long");
  ASSIGN_OR_RETURN(const int64_t window, options.Integer("dedupe-window", 0, 10'000'000));
  config.dedupe_window = static_cast<size_t>(window);
  config.streams = options.All("streams");
  ASSIGN_OR_RETURN(const int64_t streams, options.Integer("max-streams", 1, 1'000'000));
  config.max_streams = static_cast<size_t>(streams);
  ASSIGN_OR_RETURN(const int64_t event_bytes, options.SizeBytes("max-event-bytes"));
  if (event_bytes < 1024 || event_bytes > (256 << 20))
    return UsageError(options.Origin("max-event-bytes") + ": must be between 1KiB and 256MiB");
  config.max_event_bytes = static_cast<size_t>(event_bytes);
  ASSIGN_OR_RETURN(config.max_inflight_bytes, options.SizeBytes("max-inflight-bytes"));
  if (config.max_inflight_bytes < 64 << 10 || config.max_inflight_bytes > 1 << 30)
    return UsageError(options.Origin("max-inflight-bytes") + ": must be between 64KiB and 1GiB");
  ASSIGN_OR_RETURN(config.seal_after_ms, options.DurationMs("seal-after"));
  ASSIGN_OR_RETURN(config.fence_wait_ms, options.DurationMs("fence-wait"));
  ASSIGN_OR_RETURN(config.spill_file_bytes, options.SizeBytes("spill-file-bytes"));
  if (config.spill_file_bytes < 1 << 20)
    return UsageError(options.Origin("spill-file-bytes") + ": must be at least 1MiB");
  ASSIGN_OR_RETURN(config.spill_max_bytes, options.SizeBytes("spill-max-bytes"));
  if (config.spill_max_bytes < 1 << 20)
    return UsageError(options.Origin("spill-max-bytes") + ": must be at least 1MiB");
  static constexpr std::array<std::string_view, 2> kOnOff = {"on", "off"};
  ASSIGN_OR_RETURN(const size_t relay, options.Choice("relay", kOnOff));
  config.relay = relay == 0;
  ASSIGN_OR_RETURN(const int64_t connections, options.Integer("relay-connections", 1, 10'000));
  config.relay_connections = static_cast<size_t>(connections);
  config.relay_allowed = options.All("relay-allow");
  for (const std::string& command : config.relay_allowed)
    RETURN_IF_ERROR(Routes::CheckAllowed(command).Prefixed(options.Origin("relay-allow")));
  for (const std::string& text : options.All("skip-while-away")) {
    ASSIGN_OR_RETURN(SkipRule rule, SkipRules::Parse(text).Prefixed(options.Origin("skip-while-away")));
    config.skips.push_back(std::move(rule));
  }
  if (!config.skips.empty() && !config.relay)
    return UsageError(options.Origin("skip-while-away") + ": nothing is relayed (--relay off), so nothing is skipped");
  if (options.Has("admin")) {
    ASSIGN_OR_RETURN(config.admin, ParseListenAddress(options.Text("admin")).Prefixed(options.Origin("admin")));
  }
  static constexpr std::array<std::string_view, 2> kFormats = {"text", "json"};
  ASSIGN_OR_RETURN(const size_t format, options.Choice("log-format", kFormats));
  config.log_format = format == 0 ? LogFormat::kText : LogFormat::kJson;
  return config;
}

}  // namespace

Result<SidecarCommand> ParseSidecarCommand(int argc, const char* const* argv) {
  ASSIGN_OR_RETURN(const Options options, Options::Parse(argc, argv, kOptions));
  SidecarCommand command;
  const bool help = options.help() || (options.words().size() == 1 && options.words().front() == "help");
  if (help || options.version()) {
    command.kind = SidecarCommand::Kind::kPrint;
    command.text = help ? HelpText(kUsage, kAbout, kOptions) : "sprockets-sidecar " SPROCKETS_VERSION "\n";
    return command;
  }
  RETURN_IF_ERROR(options.RefuseWords());
  if (options.Flag("check-config")) command.kind = SidecarCommand::Kind::kCheckConfig;
  if (options.Flag("probe")) {
    if (!options.Flag("check-config")) return UsageError("--probe goes with --check-config");
    command.kind = SidecarCommand::Kind::kProbe;
  }
  ASSIGN_OR_RETURN(command.config, Read(options));
  return command;
}

}  // namespace sprockets
