#include "sidecar/config.h"

#include <array>
#include <charconv>
#include <filesystem>

#include "shared/base/limits.h"
#include "shared/base/options.h"

namespace sprockets {

namespace {

constexpr std::string_view kUsage = "sprockets-sidecar --socket PATH --redis URL --spill-dir DIR [options]";
constexpr std::string_view kAbout =
    "Takes events over a Unix socket that speaks Redis's protocol, forwards them to Redis streams, and spills them to\n"
    "SQLite files while Redis fails. What it acknowledges is in Redis or on disk.";

constexpr std::array kOptions = {
    Option{"socket", "PATH", "the Unix socket that clients connect to, at most 107 bytes"},
    Option{"socket-mode", "MODE", "the socket's permissions, octal: who may write to it may add events", "0660"},
    Option{"redis", "URL", "redis://[user:password@]host:port/db or unix:///path"},
    Option{"redis-password-file", "FILE", "the password, kept out of the URL"},
    Option{"redis-timeout", "DURATION", "Redis counts as failed after that long without progress", "250ms"},
    Option{"spill-dir", "DIR", "where events wait while Redis fails; one folder a sidecar"},
    Option{"ack", "WHAT", "what an acknowledgement means: 'redis', Redis has it, or the disk while Redis fails",
           "redis"},
    Option{"event-id-field", "NAME", "the entry's field that holds the event's id", "event_id"},
    Option{"dedupe-window", "EVENTS", "how many events with a client's id are remembered; 0: none", "100000"},
    Option{"streams", "GLOB", "accept these streams only; may be given again", "", true},
    Option{"max-streams", "N", "accept at most this many streams", "1024"},
    Option{"max-event-bytes", "SIZE", "of one event; more is refused as INVALID", "1MiB"},
    Option{"max-inflight-bytes", "SIZE", "on the way to Redis, and as much on the way to disk; then clients wait",
           "8MiB"},
    Option{"seal-after", "DURATION", "a spill file is handed to the drain when Redis has been back for that long",
           "5s"},
    Option{"fence-wait", "DURATION", "how long to wait where old connections cannot be killed", "5s"},
    Option{"spill-file-bytes", "SIZE", "a spill file of this size is sealed", "256MiB"},
    Option{"spill-max-bytes", "SIZE", "of all spill files; beyond it events are answered RETRY", "8GiB"},
    Option{"log-format", "FORMAT", "text or json", "text"},
    Option{"check-config", "", "check the options, touch nothing, exit"},
};

Error Usage(std::string why) {
  return {ErrorCode::kUsage, std::move(why)};
}

Result<std::string> Required(const Options& options, std::string_view name) {
  if (options.Text(name).empty())
    return Usage("--" + std::string(name) + " is missing (or " + EnvironmentName(name) + " in the environment)");
  return options.Text(name);
}

Result<int> ParseMode(const Options& options) {
  const std::string& text = options.Text("socket-mode");
  int mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || mode < 0 || mode > 0777) {
    return Usage(options.Origin("socket-mode") + ": '" + text + "' is no octal mode such as 0660");
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
    return Usage("--socket: the path is " + std::to_string(config.socket.size()) +
                 " bytes long, a Unix socket's may have 107: use a shorter folder");
  }
  ASSIGN_OR_RETURN(config.socket_mode, ParseMode(options));
  ASSIGN_OR_RETURN(config.redis, ParseRedis(options));
  ASSIGN_OR_RETURN(config.spill_dir, Required(options, "spill-dir"));
  static constexpr std::array<std::string_view, 1> kAcks = {"redis"};
  ASSIGN_OR_RETURN([[maybe_unused]] const size_t ack, options.Choice("ack", kAcks));
  ASSIGN_OR_RETURN(config.redis_timeout_ms, options.DurationMs("redis-timeout"));
  if (config.redis_timeout_ms < 10)
    return Usage(options.Origin("redis-timeout") + ": less than 10ms would fail a healthy Redis");
  config.event_id_field = options.Text("event-id-field");
  if (config.event_id_field.empty() || config.event_id_field.size() > 256)
    return Usage(options.Origin("event-id-field") + ": takes 1 to 256 bytes");
  ASSIGN_OR_RETURN(const int64_t window, options.Integer("dedupe-window", 0, 10'000'000));
  config.dedupe_window = static_cast<size_t>(window);
  config.streams = options.All("streams");
  ASSIGN_OR_RETURN(const int64_t streams, options.Integer("max-streams", 1, 1'000'000));
  config.max_streams = static_cast<size_t>(streams);
  ASSIGN_OR_RETURN(const int64_t event_bytes, options.SizeBytes("max-event-bytes"));
  if (event_bytes < 1024 || event_bytes > (256 << 20))
    return Usage(options.Origin("max-event-bytes") + ": takes 1KiB to 256MiB");
  config.max_event_bytes = static_cast<size_t>(event_bytes);
  ASSIGN_OR_RETURN(config.max_inflight_bytes, options.SizeBytes("max-inflight-bytes"));
  if (config.max_inflight_bytes < 64 << 10 || config.max_inflight_bytes > 1 << 30)
    return Usage(options.Origin("max-inflight-bytes") + ": takes 64KiB to 1GiB");
  ASSIGN_OR_RETURN(config.seal_after_ms, options.DurationMs("seal-after"));
  ASSIGN_OR_RETURN(config.fence_wait_ms, options.DurationMs("fence-wait"));
  ASSIGN_OR_RETURN(config.spill_file_bytes, options.SizeBytes("spill-file-bytes"));
  if (config.spill_file_bytes < 1 << 20) return Usage(options.Origin("spill-file-bytes") + ": takes 1MiB or more");
  ASSIGN_OR_RETURN(config.spill_max_bytes, options.SizeBytes("spill-max-bytes"));
  if (config.spill_max_bytes < 1 << 20) return Usage(options.Origin("spill-max-bytes") + ": takes 1MiB or more");
  static constexpr std::array<std::string_view, 2> kFormats = {"text", "json"};
  ASSIGN_OR_RETURN(const size_t format, options.Choice("log-format", kFormats));
  config.log_format = format == 0 ? LogFormat::kText : LogFormat::kJson;
  return config;
}

}  // namespace

Result<SidecarCommand> ParseSidecarCommand(int argc, const char* const* argv) {
  ASSIGN_OR_RETURN(const Options options, Options::Parse(argc, argv, kOptions));
  SidecarCommand command;
  if (options.help() || options.version()) {
    command.kind = SidecarCommand::Kind::kPrint;
    command.text = options.help() ? HelpText(kUsage, kAbout, kOptions) : "sprockets-sidecar " SPROCKETS_VERSION "\n";
    return command;
  }
  RETURN_IF_ERROR(options.RefuseWords());
  if (options.Flag("check-config")) command.kind = SidecarCommand::Kind::kCheckConfig;
  ASSIGN_OR_RETURN(command.config, Read(options));
  return command;
}

}  // namespace sprockets
